package codec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// storedFrame makes a frame of a type as a file has it, with any bits.
func storedFrame(f *amrFamily, kind int, good bool, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, uint64(kind)))
	out := []byte{byte(kind) << 3}
	if good {
		out[0] |= 4
	}
	bits := f.bits[kind]
	for i := 0; i < bits; i += 8 {
		out = append(out, byte(rnd.Uint32())&(0xFF<<max(0, 8-(bits-i))))
	}
	return out
}

func TestAMRPayloadForms(t *testing.T) {
	for _, f := range []*amrFamily{&narrowband, &wideband} {
		for _, aligned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s aligned %v", f.name, aligned), func(t *testing.T) {
				var all [][]byte
				for kind, bits := range f.bits {
					if bits >= 0 {
						all = append(all, storedFrame(f, kind, true, 1), storedFrame(f, kind, false, 2))
					}
				}
				for n := 1; n <= len(all); n++ {
					for from := 0; from+n <= len(all); from += n {
						frames := all[from : from+n]
						payload := PackAMR(f == &wideband, aligned, frames...)
						var p amrPayload
						if err := p.parse(f, aligned, payload); err != nil {
							t.Fatalf("%d frames: %v", n, err)
						}
						if p.count != n {
							t.Fatalf("%d frames, want %d", p.count, n)
						}
						for i, want := range frames {
							var got [maxAMRStored]byte
							if size := f.store(&got, payload, p.frames[i]); !bytes.Equal(got[:size], want) {
								t.Fatalf("frame %d of %d: %x, want %x", i, n, got[:size], want)
							}
						}
					}
				}
			})
		}
	}
}

// One frame of a payload takes 10 bits and its speech, or 2 bytes and its speech in whole bytes (RFC 4867 section 4).
func TestAMRPayloadSizes(t *testing.T) {
	for _, c := range []struct {
		family  *amrFamily
		kind    int
		compact int // bytes of a bandwidth-efficient payload of one frame
		aligned int
	}{
		{&narrowband, 7, 32, 33}, {&narrowband, 0, 14, 14}, {&narrowband, 8, 7, 7}, {&narrowband, 15, 2, 2},
		{&wideband, 8, 61, 62}, {&wideband, 0, 18, 19}, {&wideband, 9, 7, 7}, {&wideband, 14, 2, 2},
	} {
		frame := storedFrame(c.family, c.kind, true, 1)
		wide := c.family == &wideband
		if a, b := len(PackAMR(wide, false, frame)), len(PackAMR(wide, true, frame)); a != c.compact || b != c.aligned {
			t.Errorf("%s type %d: %d and %d bytes, want %d and %d", c.family.name, c.kind, a, b, c.compact, c.aligned)
		}
	}
}

func TestAMRFrameKinds(t *testing.T) {
	for _, c := range []struct {
		family *amrFamily
		kind   int
		good   bool
		want   Kind
	}{
		{&narrowband, 7, true, Sound}, {&narrowband, 7, false, Bad}, {&narrowband, 8, true, Quiet}, {&narrowband, 8, false, Quiet},
		{&narrowband, 15, true, Quiet}, {&wideband, 8, true, Sound}, {&wideband, 8, false, Bad}, {&wideband, 9, true, Quiet},
		{&wideband, 14, true, Bad}, {&wideband, 14, false, Bad}, {&wideband, 15, false, Quiet},
	} {
		var p amrPayload
		if err := p.parse(c.family, true, PackAMR(c.family == &wideband, true, storedFrame(c.family, c.kind, c.good, 1))); err != nil {
			t.Fatal(err)
		}
		want := []Frame{{Samples: c.family.rate / 50, Kind: c.want}}
		if got := p.list(nil, c.family); !slices.Equal(got, want) {
			t.Errorf("%s type %d, good %v: %v, want %v", c.family.name, c.kind, c.good, got, want)
		}
	}
}

func TestAMRPayloadsThatAreMalformed(t *testing.T) {
	one := PackAMR(false, false, storedFrame(&narrowband, 7, true, 1))
	for _, c := range []struct {
		name    string
		family  *amrFamily
		aligned bool
		payload []byte
	}{
		{"empty", &narrowband, false, nil},
		{"half a table", &narrowband, false, []byte{0xF0}},
		{"a table without end", &narrowband, true, []byte{0xF0, 0xFC, 0xFC}},
		{"type 9", &narrowband, true, []byte{0xF0, 9<<3 | 4, 0, 0, 0, 0, 0}},
		{"type 14 of AMR", &narrowband, true, []byte{0xF0, 14<<3 | 4}},
		{"type 13 of AMR-WB", &wideband, true, []byte{0xF0, 13<<3 | 4}},
		{"too short", &narrowband, false, one[:len(one)-1]},
		{"too long", &narrowband, false, append(slices.Clone(one), 0)},
		{"the other form", &narrowband, true, one},
		{"the other family", &wideband, false, one},
		{"more than a second", &narrowband, true, slices.Concat([]byte{0xF0}, slices.Repeat([]byte{0xFC}, maxAMRFrames), []byte{0x7C})},
	} {
		var p amrPayload
		if err := p.parse(c.family, c.aligned, c.payload); err == nil {
			t.Errorf("%s: taken as %d frames", c.name, p.count)
		}
	}
}

func TestAMRParameters(t *testing.T) {
	for _, c := range []struct {
		params      string
		aligned, ok bool
	}{
		{"", false, true},
		{"octet-align=1", true, true},
		{"Octet-Align = 1; mode-set=0,2,4,7; mode-change-period=2", true, true},
		{"octet-align=0;crc=0;robust-sorting=0", false, true},
		{"octet-align=2", false, false},
		{"octet-align=yes", false, false},
		{"octet-align=1;crc=1", false, false},
		{"octet-align=1;interleaving=30", false, false},
		{"octet-align=1; robust-sorting=1", false, false},
	} {
		if aligned, ok := amrAligned(c.params); ok != c.ok || ok && aligned != c.aligned {
			t.Errorf("%q: aligned %v, %v", c.params, aligned, ok)
		}
	}
}

func FuzzAMRPayload(f *testing.F) {
	for kind := range 16 {
		if narrowband.bits[kind] >= 0 {
			f.Add(false, false, PackAMR(false, false, storedFrame(&narrowband, kind, true, 1)))
		}
		if wideband.bits[kind] >= 0 {
			f.Add(true, true, PackAMR(true, true, storedFrame(&wideband, kind, true, 1), storedFrame(&wideband, 0, false, 1)))
		}
	}
	f.Fuzz(func(t *testing.T, wide, aligned bool, payload []byte) {
		family := &narrowband
		if wide {
			family = &wideband
		}
		var p amrPayload
		if p.parse(family, aligned, payload) != nil {
			return
		}
		// What was read, packed again, is the same payload, but for what asks us for a mode and for padding.
		var stored [][]byte
		for _, a := range p.frames[:p.count] {
			var s [maxAMRStored]byte
			stored = append(stored, bytes.Clone(s[:family.store(&s, payload, a)]))
		}
		again := PackAMR(wide, aligned, stored...)
		var q amrPayload
		if err := q.parse(family, aligned, again); err != nil || q != p || len(again) != len(payload) {
			t.Fatalf("%d frames of %d bytes, packed again: %d frames of %d bytes, %v", p.count, len(payload), q.count, len(again), err)
		}
		if n := len(p.list(nil, family)); n > maxAMRFrames {
			t.Fatalf("%d frames", n)
		}
	})
}
