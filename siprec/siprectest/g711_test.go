package siprectest_test

import (
	"slices"
	"testing"

	"github.com/greffier/greffier/siprec/siprectest"
)

// decodeMuLaw and decodeALaw follow the tables of ITU-T G.711 by their segments, not the encoder.
func decodeMuLaw(b byte) int {
	b = ^b
	v := (int(b&0x0f)*2+33)<<(b>>4&7) - 33
	if b&0x80 != 0 {
		return -v * 4
	}
	return v * 4
}

func decodeALaw(b byte) int {
	b ^= 0x55
	m, seg := int(b&0x0f)*2+1, b>>4&7
	if seg > 0 {
		m = (m + 32) << (seg - 1)
	}
	if b&0x80 == 0 {
		return -m * 8
	}
	return m * 8
}

// TestG711 checks that what is decoded is coded the same, that a larger sample never gets a smaller value, and that
// every sample is within half a step of its value.
func TestG711(t *testing.T) {
	for _, tc := range []struct {
		name   string
		encode func([]byte, []int16) []byte
		decode func(byte) int
	}{
		{"PCMU", siprectest.EncodePCMU, decodeMuLaw}, {"PCMA", siprectest.EncodePCMA, decodeALaw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := make([]int16, 0, 1<<16)
			for v := -32768; v <= 32767; v++ {
				all = append(all, int16(v))
			}
			var values []int
			for c := range 256 {
				values = append(values, tc.decode(byte(c)))
				if back := tc.encode(nil, []int16{int16(values[c])})[0]; back != byte(c) && values[c] != 0 { // mu-law has two zeros
					t.Errorf("code %#x is %d, which is coded %#x", c, values[c], back)
				}
			}
			slices.Sort(values)
			last := values[0]
			for i, code := range tc.encode(nil, all) {
				v, got := int(all[i]), tc.decode(code)
				k, _ := slices.BinarySearch(values, got)
				step := max(values[min(k+1, 255)]-got, got-values[max(k-1, 0)])
				clipped := got == values[0] || got == values[255]
				if got < last || abs(got-v) > step/2+8 && !clipped {
					t.Fatalf("sample %d is coded %#x, which is %d; the step is %d, the value before %d", v, code, got, step, last)
				}
				last = got
			}
		})
	}
}

func abs(v int) int { return max(v, -v) }
