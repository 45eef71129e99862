package media

import "time"

const (
	// suspectLate is the lateness from which a packet is not placed at once: was the network slow, or did the sender's clock
	// stand still? What follows will tell.
	suspectLate = 150 * ms
	// burstCatch is how much of the lateness must vanish to be sure that the network was slow (or half of it, if that is less).
	burstCatch = 200 * ms
	// steadyTime is how long packets must come as late as the first one, to be sure that the clock stood still.
	steadyTime = 100 * ms
	// limboTime is how long a held packet waits for another.
	limboTime = 200 * time.Millisecond
	// maxHeld and maxHeldBytes bound what is held.
	maxHeld      = 48
	maxHeldBytes = 16 << 10
)

// A limbo holds the few packets that cannot be placed until those that follow tell how.
type limbo struct {
	packets []heldPacket
	buf     []byte
	other   bool  // they are of another source; else of this one, and late
	late    int64 // lateness of the first
}

type heldPacket struct {
	packet
	header rtpHeader
	offset int
	bytes  int
}

func (l *limbo) payload(i int) []byte {
	p := &l.packets[i]
	return l.buf[p.offset:][:p.bytes]
}

// hold keeps a packet; false when there is no room.
func (l *limbo) hold(p packet, h rtpHeader, other bool) bool {
	if len(l.packets) == maxHeld || len(l.buf)+len(p.payload) > maxHeldBytes {
		return false
	}
	held := heldPacket{packet: p, header: h, offset: len(l.buf), bytes: len(p.payload)}
	held.packet.payload = nil
	l.buf = appendWiped(l.buf, p.payload)
	l.packets = append(l.packets, held)
	l.other = other
	return true
}

// follows says whether a packet goes on from the held ones: the same SSRC, and a sequence number near the last.
func (l *limbo) follows(h rtpHeader) bool {
	if len(l.packets) == 0 {
		return true
	}
	last := &l.packets[len(l.packets)-1].header
	delta := int16(h.sequence - last.sequence)
	return h.ssrc == last.ssrc && delta != 0 && delta > -maxMisorder && delta < maxMisorder
}

func (l *limbo) clear() {
	clear(l.buf)
	l.packets, l.buf, l.other = l.packets[:0], l.buf[:0], false
}

// A verdict is what the held packets are.
type verdict uint8

const (
	undecided verdict = iota
	burst             // the network was slow: they belong where their timestamps say
	stopped           // the sender's clock stood still: they belong where they came
)

// judge compares the pace of arrivals with the pace of timestamps since the first held packet. After a slow network the packets
// come faster than they were spoken, until they have caught up; after a clock that stood still they come as they are spoken.
func (l *limbo) judge(late int64) verdict {
	first, last := &l.packets[0], &l.packets[len(l.packets)-1]
	caught := l.late - late
	elapsed := last.at - first.at
	switch {
	case late <= suspectLate || caught >= min(burstCatch, l.late/2):
		return burst
	case elapsed >= steadyTime && caught*3 < elapsed:
		return stopped
	}
	return undecided
}

// doubt holds a late packet, and places all that is held when it is clear how.
func (t *timeline) doubt(s *stream, p *packet, late int64) {
	if len(s.held.packets) == 0 {
		s.held.late = late
	}
	if !s.held.hold(*p, rtpHeader{}, false) {
		// So many, and still not clear: by timestamps, so that nothing is moved without proof.
		t.replay(s, burst)
		if terms := t.terms(s, p.arrival); terms != nil {
			t.put(s, terms, p, s.clock.position(p.time))
		}
		return
	}
	if v := s.held.judge(late); v != undecided {
		t.replay(s, v)
	}
}

// catchStep is by how much a burst must become less late within steadyTime to go on being one.
const catchStep = 10 * ms

// catches says whether a late packet is one of a burst that has been recognised, and still catches up.
func (k *clock) catches(at, late int64) bool {
	switch {
	case !k.catching:
		return false
	case late <= k.catchLate-catchStep:
		k.catchLate, k.catchAt = late, at
	case at-k.catchAt > steadyTime:
		k.catching = false
	}
	return k.catching
}

// release decides for the held packets when nothing follows them: a burst would have gone on, so they are where they came.
func (t *timeline) release(s *stream) {
	switch {
	case len(s.held.packets) == 0:
	case s.held.other:
		s.stats.Refused += uint64(len(s.held.packets))
		s.held.clear()
	default:
		t.replay(s, stopped)
	}
}

// replay places the held packets of the stream's source.
func (t *timeline) replay(s *stream, v verdict) {
	held, k := &s.held, &s.clock
	if n := len(held.packets); v == burst && n > 0 {
		last := &held.packets[n-1]
		k.catching, k.catchAt, k.catchLate = true, last.at, last.at-k.position(last.time)-last.length
	}
	for i := range held.packets {
		p := held.packets[i].packet
		p.payload = held.payload(i)
		terms := t.terms(s, p.arrival)
		if terms == nil || !terms.allowed {
			s.stats.Discarded++
			continue
		}
		if v == stopped {
			t.reanchor(s, terms, &p)
			v = burst // the others follow it
		}
		t.put(s, terms, &p, s.clock.position(p.time))
	}
	held.clear()
}
