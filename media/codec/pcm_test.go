package codec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media/codec"
)

func TestPCMDecoders(t *testing.T) {
	quiet := []codec.Frame{{Kind: codec.Quiet}}
	for _, c := range []struct {
		name    string
		format  codec.Format
		payload []byte
		frames  []codec.Frame
		want    []int16
	}{
		{"mu-law", codec.Format{Name: "PCMU", ClockRate: 8000}, []byte{0xFF, 0x00, 0x80}, []codec.Frame{{Samples: 3}}, []int16{0, -32124, 32124}},
		{"A-law", codec.Format{Name: "PCMA", ClockRate: 8000}, []byte{0xD5, 0x55}, []codec.Frame{{Samples: 2}}, []int16{8, -8}},
		{"nothing", codec.Format{Name: "PCMA", ClockRate: 8000}, nil, nil, nil},
		{"L16", codec.Format{Name: "L16", ClockRate: 16000, Channels: 1}, []byte{0x12, 0x34, 0x80, 0x00}, []codec.Frame{{Samples: 2}}, []int16{0x1234, -32768}},
		{"L16 of two channels", codec.Format{Name: "L16", ClockRate: 44100, Channels: 2},
			[]byte{0, 100, 0, 50, 0x7F, 0xFF, 0x7F, 0xFF, 0x80, 0, 0x80, 0}, []codec.Frame{{Samples: 3}}, []int16{75, 32767, -32768}},
		{"comfort noise", codec.Format{Name: "CN", ClockRate: 8000}, []byte{50, 1, 2}, quiet, nil},
		{"comfort noise of no byte", codec.Format{Name: "CN", ClockRate: 16000}, nil, quiet, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, d := mustDecoder(t, c.format)
			got, frames := decodeAll(t, d, [][]byte{c.payload})
			if diff := cmp.Diff(c.frames, frames); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinearSamplesThatAreNotWholeAreRefused(t *testing.T) {
	_, d := mustDecoder(t, codec.Format{Name: "L16", ClockRate: 8000, Channels: 2})
	if _, err := d.Frames(nil, make([]byte, 6)); err == nil {
		t.Error("Frames takes half a pair of samples")
	}
	if got, err := d.Decode(nil, make([]byte, 6)); err == nil || len(got) != 0 {
		t.Errorf("Decode takes half a pair of samples: %v", got)
	}
}

// The payloads of 20 ms of the decoders that must not allocate, by name.
var twentyMilliseconds = []struct {
	name    string
	format  codec.Format
	payload []byte
}{
	{"PCMU", codec.Format{Name: "PCMU", ClockRate: 8000}, make([]byte, 160)},
	{"PCMA", codec.Format{Name: "PCMA", ClockRate: 8000}, make([]byte, 160)},
	{"L16 48000/2", codec.Format{Name: "L16", ClockRate: 48000, Channels: 2}, make([]byte, 3840)},
	{"G722", codec.Format{Name: "G722", ClockRate: 8000}, make([]byte, 160)},
	{"CN", codec.Format{Name: "CN", ClockRate: 8000}, make([]byte, 1)},
}

func TestDecodersDoNotAllocate(t *testing.T) {
	for _, c := range twentyMilliseconds {
		t.Run(c.name, func(t *testing.T) {
			_, d := mustDecoder(t, c.format)
			pcm, frames := make([]int16, 0, 4096), make([]codec.Frame, 0, 8)
			if n := testing.AllocsPerRun(100, func() {
				_, _ = d.Frames(frames, c.payload)
				_, _ = d.Decode(pcm, c.payload)
			}); n != 0 {
				t.Errorf("%v allocations for a payload", n)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range twentyMilliseconds {
		b.Run(c.name, func(b *testing.B) {
			_, d := mustDecoder(b, c.format)
			pcm := make([]int16, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.Decode(pcm, c.payload)
			}
		})
	}
}
