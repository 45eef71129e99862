package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"testing"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
)

// TestFormatFor: what a format cannot hold is stored as wav, and never not at all.
func TestFormatFor(t *testing.T) {
	for _, c := range []struct {
		class          policy.Format
		rate, channels int
		want           policy.Format
	}{
		{policy.WAV, 8000, 2, policy.WAV},
		{"", 8000, 2, policy.WAV},
		{"mp3", 8000, 2, policy.WAV},
		{policy.FLAC, 8000, 8, policy.FLAC},
		{policy.FLAC, 8000, 9, policy.WAV},
		{policy.FLAC, 44100, 1, policy.FLAC},
		{policy.Opus, 8000, 32, policy.Opus},
		{policy.Opus, 48000, 1, policy.Opus},
		{policy.Opus, 44100, 1, policy.WAV},
	} {
		plan := media.Plan{Encoding: codec.L16, Rate: c.rate, Channels: c.channels, Samples: 100}
		if got := formatFor(c.class, &plan); got != c.want {
			t.Errorf("%q at %d Hz, %d channels: %q, want %q", c.class, c.rate, c.channels, got, c.want)
		}
	}
}

// assembled is the plan and the blocks of some seconds of sound.
func assembled(t *testing.T, seconds int) (media.Plan, iter.Seq2[media.Block, error]) {
	t.Helper()
	all := make([]media.Block, seconds)
	var a media.Assembly
	for i := range all {
		all[i] = media.Block{
			Start: int64(i) * media.Rate, Samples: media.Rate, Rate: media.Rate, Channels: 2, Encoding: codec.PCMU,
			Data: bytes.Repeat([]byte{0x20, 0xA0}, media.Rate),
		}
		a.Add(all[i])
	}
	return a.Finish(), func(yield func(media.Block, error) bool) {
		for _, b := range all {
			if !yield(b, nil) {
				return
			}
		}
	}
}

type brokenDisk struct{ left int }

var errDisk = errors.New("no space")

func (d *brokenDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

// TestFaultsAreToldApart: a full disk and a stop are no reason to store another format; an encoder that cannot go on is.
func TestFaultsAreToldApart(t *testing.T) {
	plan, sound := assembled(t, 10)
	for _, f := range policy.Formats() {
		if err := writeSound(t.Context(), io.Discard, f, &plan, io.Discard, sound); err != nil {
			t.Errorf("%s: %v", f, err)
		}
		for _, left := range []int{0, 20, 100} {
			err := writeSound(t.Context(), &brokenDisk{left}, f, &plan, io.Discard, sound)
			if !errors.Is(err, errDisk) || errors.Is(err, errEncoder) {
				t.Errorf("%s, disk full after %d bytes: %v", f, left, err)
			}
		}
		stopped, stop := context.WithCancel(t.Context())
		stop()
		if err := writeSound(stopped, io.Discard, f, &plan, io.Discard, sound); !errors.Is(err, context.Canceled) || errors.Is(err, errEncoder) {
			t.Errorf("%s, stopped: %v", f, err)
		}
	}
	if err := writeSound(t.Context(), io.Discard, "mp3", &plan, io.Discard, sound); !errors.Is(err, errEncoder) {
		t.Errorf("a format that nobody can write: %v", err)
	}
	many := plan
	many.Channels = 9
	if err := writeSound(t.Context(), io.Discard, policy.FLAC, &many, io.Discard, sound); !errors.Is(err, errEncoder) {
		t.Errorf("too many channels: %v", err)
	}
	short := plan
	short.Samples += 5 // the encoder was promised more than comes
	file, err := newSoundFile(io.Discard, policy.FLAC, &short)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Write(file, sound); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err == nil {
		t.Error("a file with too few samples was closed without a word")
	}
	panics := &linearFile{encoding: codec.PCMU, frame: 2} // no encoder
	if _, err := panics.Write(make([]byte, 16)); !errors.Is(err, errEncoder) {
		t.Errorf("an encoder that panics: %v", err)
	}
	if err := panics.Close(); !errors.Is(err, errEncoder) {
		t.Errorf("an encoder that panics at the end: %v", err)
	}
}

// BenchmarkSealHour is what finishing an hour of two channels costs beside reading the spool, by format.
func BenchmarkSealHour(b *testing.B) {
	for _, f := range policy.Formats() {
		b.Run(string(f), func(b *testing.B) {
			second := speechSecond()
			sound := func(yield func(media.Block, error) bool) {
				for i := range 3600 {
					block := media.Block{Start: int64(i) * media.Rate, Samples: media.Rate, Rate: media.Rate, Channels: 2, Encoding: codec.PCMU, Data: second[i%len(second)]}
					if !yield(block, nil) {
						return
					}
				}
			}
			var a media.Assembly
			for block := range sound {
				a.Add(block)
			}
			plan := a.Finish()
			for b.Loop() {
				size := newCounter(io.Discard)
				if err := writeSound(b.Context(), size, f, &plan, media.NewLevels(plan.Encoding, plan.Rate, plan.Channels), sound); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(size.n)/1e6, "MB")
			}
		})
	}
}
