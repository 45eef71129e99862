package media_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/media"
)

const (
	quiet       = 0xff // silence in the µ-law
	burstEvery  = 25   // frames
	burstFrames = 5
	tolerance   = 20 * media.Rate / 1000 // samples: what two channels may differ by
)

// burst is frame i of a test signal: five frames of a 1 kHz square wave each
// half second, silence between. Level tells the streams apart.
func burst(i int, level byte) []byte {
	f := filled(quiet)
	if i%burstEvery >= burstFrames {
		return f
	}
	for n := range f {
		f[n] = level
		if n%8 >= 4 {
			f[n] ^= 0x80 // the sign bit
		}
	}
	return f
}

// A side is one party of a call: its burst level, and when it begins to send.
type side struct {
	level byte
	late  int // frames
	*phone
}

// talk sends both sides for n frames in real time. It gives the time at which
// frame 0 began to be spoken.
func talk(sides []side, n int, each func(i int)) time.Time {
	begin := time.Now()
	pace(begin, n, func(i int) {
		if each != nil {
			each(i)
		}
		for _, s := range sides {
			if i >= s.late {
				s.send(burst(i, s.level))
			}
		}
	})
	return begin
}

// finished is the assembled file: samples by channel, and the gaps. Positions
// count from the recording's start.
type finished struct {
	media.Plan
	channels [][]byte
}

func assemble(t *testing.T, k *tape) finished {
	t.Helper()
	var a media.Assembly
	for _, b := range k.all() {
		a.Add(b)
	}
	f := finished{Plan: a.Finish()}
	var flat bytes.Buffer
	err := f.Write(&flat, func(yield func(media.Block, error) bool) {
		for _, b := range k.all() {
			if !yield(b, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	f.channels = make([][]byte, f.Channels)
	for i, c := range flat.Bytes() {
		f.channels[i%f.Channels] = append(f.channels[i%f.Channels], c)
	}
	return f
}

// onsets are the positions at which bursts begin in a channel.
func (f *finished) onsets(channel int) (at []int) {
	silent := burstFrames * frameSize
	for i, c := range f.channels[channel] {
		if c == quiet {
			silent++
			continue
		}
		if silent >= frameSize {
			at = append(at, i+int(f.Offset))
		}
		silent = 0
	}
	return at
}

// checkBursts compares what is in each channel with what was sent.
func checkBursts(t *testing.T, f *finished, sides []side, first, n int) {
	t.Helper()
	for ch, s := range sides {
		got, index := f.onsets(ch), 0
		for i := range n {
			if i%burstEvery != 0 || i < s.late {
				continue
			}
			want := first + i*frameSize
			if index >= len(got) {
				t.Errorf("channel %d: burst %d is missing", ch, i/burstEvery)
				continue
			}
			if d := got[index] - want; d < -tolerance || d > tolerance {
				t.Errorf("channel %d: burst %d is %d samples off", ch, i/burstEvery, d)
			}
			index++
		}
		if len(got) != index {
			t.Errorf("channel %d: %d bursts, want %d", ch, len(got), index)
		}
		for _, other := range sides {
			if other.level != s.level && bytes.IndexByte(f.channels[ch], other.level) >= 0 {
				t.Errorf("channel %d holds sound of another", ch)
			}
		}
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	const frames = 150 // 3 s
	for _, c := range []struct {
		name string
		late int // frames by which the second side is late
		each func(t *testing.T, rec *media.Recording) func(i int)
	}{
		{name: "plain"},
		{name: "one side late", late: 60},
		{name: "receiver stalls for 500 ms", each: func(_ *testing.T, rec *media.Recording) func(int) {
			var release func()
			return func(i int) {
				switch i {
				case 40:
					release = rec.Hold()
				case 65:
					release()
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{})
			k := new(tape)
			start := time.Now()
			rec := openRecording(t, r, k, pcmu(0), pcmu(1))
			sides := []side{
				{level: 0x10, phone: newPhone(t, loopback, rec.Ports()[0])},
				{level: 0x20, late: c.late, phone: newPhone(t, loopback, rec.Ports()[1])},
			}
			var each func(int)
			if c.each != nil {
				each = c.each(t, rec)
			}
			begin := talk(sides, frames, each)
			sum := closeRecording(t, rec)
			f := assemble(t, k)
			checkBursts(t, &f, sides, int(begin.Sub(start).Seconds()*media.Rate), frames)
			if sum.Streams[0].Lost+sum.Streams[1].Lost+sum.Streams[0].KernelDrops != 0 {
				t.Errorf("streams %+v: want nothing lost", sum.Streams)
			}
			var missing int64
			for _, g := range f.Gaps {
				if g.Samples < tolerance {
					continue // at the end, where one side stopped first
				}
				missing += g.Samples
				if g.Channel != 1 || g.Cause != media.CauseNotStarted {
					t.Errorf("gap %+v", g)
				}
			}
			if want := int64(c.late * frameSize); missing < want-tolerance || missing > want+tolerance {
				t.Errorf("%d samples in gaps, want %d: %v", missing, want, cmp.Diff([]media.Gap(nil), f.Gaps))
			}
		})
	}
}
