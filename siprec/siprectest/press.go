package siprectest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A DigitKind is how a telephone key is sent.
type DigitKind uint8

// How a key may be sent.
const (
	ByEvent DigitKind = iota // as telephone events (RFC 4733), in place of the sound
	InBand                   // as two tones (ITU-T Q.23), in place of the source's sound
)

const (
	// pressOn and pressOff are how long a key is pressed, and until the next one is. Events take whole frames.
	pressOn  = 100 * time.Millisecond
	pressOff = 100 * time.Millisecond
	// eventEnds is how many times the last packet of an event is sent (RFC 4733 section 2.5.1.4).
	eventEnds = 3
	// eventVolume is what events say of their level: -10 dBm0. Tones have it.
	eventVolume   = 10
	toneAmplitude = 7050
)

// keyNames are the keys by their event code (RFC 4733 section 3.2).
const keyNames = "0123456789*#ABCD"

// keyTones are the frequencies of each key, in Hz.
var keyTones = [len(keyNames)][2]float64{
	{941, 1336}, {697, 1209}, {697, 1336}, {697, 1477}, {770, 1209}, {770, 1336}, {770, 1477}, {852, 1209}, {852, 1336}, {852, 1477},
	{941, 1209}, {941, 1477}, {697, 1633}, {770, 1633}, {852, 1633}, {941, 1633},
}

// A PressTruth is a key that was pressed.
type PressTruth struct {
	Key  byte
	Kind DigitKind
	At   time.Duration // when it began, from Truth.Start: its first packet, or the first sample of its tones
}

// A run is keys that are pressed one after the other.
type run struct {
	keys  string
	kind  DigitKind
	done  chan struct{} // closed when the last one was let go
	next  int64         // frames that have been sent, of events; samples, of tones
	event event
}

// An event is the packet of a telephone event that goes out in place of a frame.
type event struct {
	stamp   uint32 // of all packets of the press
	first   bool
	payload [4]byte
}

// Press presses keys on the stream with the label: '0' to '9', '*', '#', 'A' to 'D', each for 100 ms, with 100 ms between. It returns
// when the last one was let go. The truth tells when each began. What a script does to frames it does to these too; while nothing may be
// sent they wait.
func (c *Call) Press(ctx context.Context, label siprec.Label, keys string, as DigitKind) error {
	s := c.Stream(label)
	if s == nil {
		return fmt.Errorf("press %q: there is no stream with the label %q", keys, label)
	}
	if i := strings.IndexFunc(keys, func(k rune) bool { return !strings.ContainsRune(keyNames, k) }); i >= 0 {
		return fmt.Errorf("press %q: a telephone has no key %q: want 0 to 9, *, #, A to D", keys, keys[i])
	}
	if keys == "" {
		return nil
	}
	r := &run{keys: keys, kind: as, done: make(chan struct{})}
	if err := s.queue(r); err != nil {
		return fmt.Errorf("press %q: %w", keys, err)
	}
	select {
	case <-r.done:
		return nil
	case <-s.done:
		select {
		case <-r.done:
			return nil
		default:
			return fmt.Errorf("press %q: the stream ended before the last key", keys)
		}
	case <-ctx.Done():
		s.unqueue(r)
		return fmt.Errorf("press %q: %w", keys, ctx.Err())
	}
}

func (s *Stream) queue(r *run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.kind == ByEvent && s.events == nil:
		return errors.New("the answer has no telephone-event: press them InBand")
	case r.kind == InBand && s.spec.Encoded != nil:
		return errors.New("the stream's sound is encoded already: press them ByEvent")
	}
	s.runs = append(s.runs, r)
	return nil
}

func (s *Stream) unqueue(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = slices.DeleteFunc(s.runs, func(x *run) bool { return x == r })
}

// pressed puts the keys that are pressed into the frame that begins at an instant: tones into its samples, or an event in its place, which
// it returns.
func (s *Stream) pressed(at time.Duration) *event {
	if len(s.runs) == 0 {
		return nil
	}
	r := s.runs[0]
	if r.kind == InBand {
		s.tones(r, at)
		return nil
	}
	return s.pressEvent(r, at)
}

// tones writes the tones of keys in place of the frame's samples.
func (s *Stream) tones(r *run, at time.Duration) {
	on, each := samples(pressOn), samples(pressOn+pressOff)
	for i := range s.pcm {
		k, in := r.next/each, r.next%each
		if in == 0 {
			s.truth.Presses = append(s.truth.Presses, PressTruth{r.keys[k], InBand, at + duration(int64(i))})
		}
		s.pcm[i] = 0
		if in < on {
			t := 2 * math.Pi * float64(in) / sampleRate
			f := keyTones[strings.IndexByte(keyNames, r.keys[k])]
			s.pcm[i] = int16(math.Round(toneAmplitude * (math.Sin(f[0]*t) + math.Sin(f[1]*t))))
		}
		if r.next++; r.next == each*int64(len(r.keys)) {
			s.finish(r)
			return
		}
	}
}

// pressEvent gives the event that goes out in place of the frame; nil between keys.
func (s *Stream) pressEvent(r *run, at time.Duration) *event {
	on, off := frames(pressOn, s.spec.PTime), max(frames(pressOff, s.spec.PTime), eventEnds-1)
	k, in := r.next/(on+off), r.next%(on+off)
	if r.next++; r.next == int64(len(r.keys))*(on+off) {
		s.finish(r)
	}
	if in >= on+eventEnds-1 {
		return nil
	}
	e := &r.event
	if e.first = in == 0; e.first {
		s.truth.Presses = append(s.truth.Presses, PressTruth{r.keys[k], ByEvent, at})
	}
	e.payload = [4]byte{byte(strings.IndexByte(keyNames, r.keys[k])), eventVolume}
	if in >= on-1 {
		e.payload[1] |= 0x80 // the end
	}
	binary.BigEndian.PutUint16(e.payload[2:], uint16(min(in+1, on)*int64(s.samples)*s.clock()))
	return e
}

// finish ends a run.
func (s *Stream) finish(r *run) {
	s.runs = s.runs[1:]
	close(r.done)
}

// frames is how many frames a time takes.
func frames(d, ptime time.Duration) int64 { return int64((d + ptime - 1) / ptime) }

// clock is how many units the timestamps count for each sample of the source.
func (s *Stream) clock() int64 {
	if e := s.spec.Encoded; e != nil {
		return int64(e.Format.ClockRate) / sampleRate
	}
	return 1
}
