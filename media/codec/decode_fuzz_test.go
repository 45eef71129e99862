package codec_test

import (
	"testing"

	"github.com/greffier/greffier/media/codec"
)

func FuzzG722(f *testing.F) {
	f.Add([]byte{}, []byte{0})
	f.Add([]byte{0x00, 0xFF, 0x3F, 0xC0}, []byte{0x81, 0x42})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		_, d := mustDecoder(t, codec.Format{Name: "G722", ClockRate: 8000})
		decodeHostile(t, d, first, 2*len(first))
		decodeHostile(t, d, second, 2*len(second))
	})
}

func FuzzPCM(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xFF, 0x00, 0x80, 0x7F, 0x55})
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, format := range []codec.Format{
			{Name: "PCMU", ClockRate: 8000}, {Name: "PCMA", ClockRate: 8000}, {Name: "CN", ClockRate: 8000},
			{Name: "L16", ClockRate: 16000}, {Name: "L16", ClockRate: 48000, Channels: 2},
		} {
			_, d := mustDecoder(t, format)
			decodeHostile(t, d, payload, len(payload))
		}
	})
}
