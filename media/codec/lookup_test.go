package codec_test

import (
	"testing"

	"github.com/greffier/greffier/media/codec"
)

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		format codec.Format
		want   string // "" when it is not found
		rate   int
		law    codec.Encoding
	}{
		{codec.Format{Name: "PCMU", ClockRate: 8000, Channels: 1}, "PCMU", 8000, codec.PCMU},
		{codec.Format{Name: "pcma", ClockRate: 8000}, "PCMA", 8000, codec.PCMA},
		{codec.Format{Name: "PCMA", ClockRate: 16000, Channels: 1}, "", 0, 0},
		{codec.Format{Name: "PCMU", ClockRate: 8000, Channels: 2}, "", 0, 0},
		{codec.Format{Name: "L16", ClockRate: 44100, Channels: 2}, "L16", 44100, 0},
		{codec.Format{Name: "L16", ClockRate: 8000}, "L16", 8000, 0},
		{codec.Format{Name: "L16", ClockRate: 12000}, "", 0, 0},
		{codec.Format{Name: "L16", ClockRate: 8000, Channels: 3}, "", 0, 0},
		{codec.Format{Name: "L16", ClockRate: 8000, Channels: -1}, "", 0, 0},
		{codec.Format{Name: "G722", ClockRate: 8000, Channels: 1}, "G722", 16000, 0},
		{codec.Format{Name: "G722", ClockRate: 16000, Channels: 1}, "", 0, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 2}, "opus", 48000, 0},
		{codec.Format{Name: "OPUS", ClockRate: 48000, Channels: 2, Params: "minptime=10;useinbandfec=1"}, "opus", 48000, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 2, Params: "sprop-maxcapturerate=16000; stereo=0"}, "opus", 16000, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 2, Params: "sprop-maxcapturerate=9000"}, "opus", 12000, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 2, Params: "maxplaybackrate=8000;sprop-maxcapturerate=20000"}, "opus", 24000, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 2, Params: "sprop-maxcapturerate=1"}, "opus", 48000, 0},
		{codec.Format{Name: "opus", ClockRate: 48000, Channels: 1}, "", 0, 0},
		{codec.Format{Name: "opus", ClockRate: 16000, Channels: 2}, "", 0, 0},
		{codec.Format{Name: "CN", ClockRate: 8000}, "CN", 8000, 0},
		{codec.Format{Name: "G729", ClockRate: 8000}, "", 0, 0},
		{codec.Format{Name: "telephone-event", ClockRate: 8000, Channels: 1}, "", 0, 0},
		{codec.Format{ClockRate: 8000, Channels: 1}, "", 0, 0},
	} {
		got, ok := codec.Lookup(c.format)
		if ok != (c.want != "") || got.Name != c.want && ok || got.Rate != c.rate && ok || got.Law != c.law && ok {
			t.Errorf("Lookup(%+v) = %s, %d Hz, law %v, %v; want %s, %d Hz, law %v", c.format, got.Name, got.Rate, got.Law, ok, c.want, c.rate, c.law)
		}
		if !ok {
			continue
		}
		if got.ClockRate != c.format.ClockRate {
			t.Errorf("%s: clock rate %d, want %d", c.want, got.ClockRate, c.format.ClockRate)
		}
		if d, err := got.New(); err != nil || d == nil {
			t.Errorf("%s: New: %v, %v", c.want, d, err)
		}
	}
}
