package recorder_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/recorder"
)

// TestRedactGaps: the gap of a redaction takes the place of what lies in it, on every channel.
func TestRedactGaps(t *testing.T) {
	gap := func(channel int, start, duration float64, cause media.Cause) recorder.Gap {
		return recorder.Gap{Channel: channel, StartMS: start, DurationMS: duration, Cause: cause}
	}
	in := []recorder.Gap{
		gap(0, 0, 100, media.CauseNotStarted), gap(0, 900, 200, media.CauseLost), gap(0, 1200, 100, media.CauseLost), gap(1, 500, 2500, media.CauseInactive), gap(1, 4000, 10, media.CauseEnded),
	}
	want := []recorder.Gap{
		gap(0, 0, 100, media.CauseNotStarted), gap(0, 900, 100, media.CauseLost), gap(0, 1000, 1000, media.CauseRedacted),
		gap(1, 500, 500, media.CauseInactive), gap(1, 1000, 1000, media.CauseRedacted), gap(1, 2000, 1000, media.CauseInactive), gap(1, 4000, 10, media.CauseEnded),
	}
	p := media.Plan{Encoding: codec.PCMU, Rate: 8000, Channels: 2, Samples: 80000}
	if diff := cmp.Diff(want, recorder.RedactGaps(in, time.Second, 2*time.Second, &p)); diff != "" {
		t.Errorf("gaps differ (-want +got):\n%s", diff)
	}
}

// endless gives one byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// TestRedactNeedsNoMemory: two hours take as much memory as a second.
func TestRedactNeedsNoMemory(t *testing.T) {
	p := media.Plan{Encoding: codec.L16, Rate: 16000, Channels: 2, Samples: 2 * 3600 * 16000}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := recorder.CopyRedacted(io.Discard, endless(1), &p, time.Hour, 90*time.Minute); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// TestRedactedSpan: whatever its bounds, exactly the samples of the span are silent, also those at the ends of a buffer; a file that is
// too short is an error.
func TestRedactedSpan(t *testing.T) {
	const rate, channels, n = 8000, 3, 9000
	p := media.Plan{Encoding: codec.PCMA, Rate: rate, Channels: channels, Samples: n}
	at := func(sample int) time.Duration { return time.Duration(sample) * time.Second / rate }
	for _, x := range []struct{ from, to int }{{0, 1}, {0, n}, {4095, 4097}, {4096, 8192}, {1, 8999}, {8999, 9000}, {100, 20000}} {
		var out bytes.Buffer
		if err := recorder.CopyRedacted(&out, endless(7), &p, at(x.from), at(x.to)); err != nil {
			t.Fatal(err)
		}
		for i, b := range out.Bytes() {
			want := byte(7)
			if s := i / channels; s >= x.from && s < x.to {
				want = codec.PCMA.Silence()
			}
			if b != want {
				t.Fatalf("%+v: byte %d is %#x, want %#x", x, i, b, want)
			}
		}
		if out.Len() != n*channels {
			t.Errorf("%+v: %d bytes", x, out.Len())
		}
	}
	if err := recorder.CopyRedacted(io.Discard, io.LimitReader(endless(7), 100), &p, 0, time.Second); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a short file: %v", err)
	}
}
