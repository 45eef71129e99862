package media

import (
	"bytes"
	"testing"
)

// needle is sound that was not to be kept.
var needle = bytes.Repeat([]byte{0x22, 0x57, 0x33}, 8)

// needles is a packet of it.
func needles(n int) []byte { return bytes.Repeat(needle, n/len(needle)+1)[:n] }

// holds says whether the needle is anywhere in a timeline.
func (t *timeline) holds() bool {
	in := func(b []byte) bool { return bytes.Contains(b[:cap(b)], needle) }
	for _, c := range t.channels {
		if in(c.data) {
			return true
		}
	}
	for _, s := range t.streams {
		if in(s.held.buf) || in(s.decoder.bytes) {
			return true
		}
	}
	return in(t.scratch)
}

// say gives one stream packets of a payload, a frame of 20 ms each, from a time on.
func say(t *timeline, pt uint8, from float64, first, n int, payload []byte) {
	for i := range n {
		at := from + float64(i)*0.02
		s := sent{pt: pt, ssrc: 1, sequence: uint16(first + i), timestamp: uint32((first + i) * 160), payload: payload}
		t.packet(0, clockTime(at), sourceAddr, s.bytes())
	}
}

// What is taken back, held and not placed, given on or moved is nowhere in memory, and after the end nothing is.
func TestNothingIsLeftInMemory(t *testing.T) {
	linear := func(line *timeline) { say(line, 9, 0, 0, 5, make([]byte, 160)) } // the ring has 16 bits then
	for name, c := range map[string]struct {
		before func(line *timeline) // more of it is placed
		pt     uint8
		after  func(line *timeline)
	}{
		"taken back":                   {after: func(line *timeline) { line.pause(clockTime(0.1), true, CausePaused) }},
		"moved, then taken back":       {before: func(line *timeline) { say(line, 0, 0, 0, 5, filled1()) }, after: func(line *timeline) { late(t, line); line.pause(clockTime(0.1), true, CausePaused) }},
		"not decoded, then taken back": {before: linear, pt: 9, after: func(line *timeline) { line.pause(clockTime(0.1), true, CausePaused) }},
		"on hold":                      {after: func(line *timeline) { setActive(0, false)(line, clockTime(0.1)) }},
		"of another source": {after: func(line *timeline) {
			line.pause(clockTime(0.1), true, CausePaused)
			line.pause(clockTime(0.32), false, "")
			for i := range 2 { // they are held, until the present source goes on
				s := sent{ssrc: 2, sequence: uint16(i), timestamp: uint32(i * 160), payload: needles(160)}
				line.packet(0, clockTime(0.33), sourceAddr, s.bytes())
			}
			say(line, 0, 0.34, 16, 1, filled1())
		}},
		"given on":               {after: giveOn},
		"not decoded, given on":  {before: linear, pt: 9, after: giveOn},
		"ended":                  {after: func(line *timeline) { line.close(clockTime(1)); line.wipe() }},
		"not decoded, and ended": {before: linear, pt: 9, after: func(line *timeline) { line.wipe() }},
	} {
		t.Run(name, func(t *testing.T) {
			streams := []Stream{fuzzStream(0), stream1(1)}
			line := newTimeline(startTime, 2, streams, &memory{})
			if c.before != nil {
				c.before(line)
			}
			say(line, c.pt, 0.1, 5, 11, needles(160))
			if !line.holds() {
				t.Fatal("it is not there at first: the search proves nothing")
			}
			c.after(line)
			if line.holds() {
				t.Error("it is in memory still")
			}
		})
	}
}

func filled1() []byte { return bytes.Repeat([]byte{0x21}, 160) }

// late has what is placed moved: packets come earlier than the first ones did, which were late.
func late(t *testing.T, line *timeline) {
	say(line, 0, 0.30, 16, 5, needles(160))
	before := line.streams[0].clock.anchor
	line.cut(clockTime(0.42))
	if line.streams[0].clock.anchor == before {
		t.Fatal("nothing has moved")
	}
}

// giveOn gives the stream to another timeline.
func giveOn(line *timeline) {
	line.conclude(0)
	heir := newTimeline(startTime, 2, line.epochs[0].list(), &memory{})
	heir.inherit(0, line, 0, clockTime(0.1))
}

// list gives the streams of an epoch.
func (e *epoch) list() (streams []Stream) {
	for i := range e.streams {
		streams = append(streams, e.streams[i].Stream)
	}
	return streams
}
