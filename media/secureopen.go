package media

import "encoding/binary"

// open tries the keys: those of now, those of before, and those of now beyond a roll-over that nobody saw.
func (g *guard) open(s *side, report bool, at int64, data []byte) ([]byte, opening) {
	if s.before != nil && at > s.until {
		s.before = nil
	}
	if s.keys == nil && s.before == nil {
		return nil, forged
	}
	if report {
		return g.openReport(s, data)
	}
	if len(data) < rtpFixedHeader {
		return nil, forged
	}
	if s.keys != nil && s.before == nil && !s.shake.pending() && s.keys.settled(data, at) {
		return s.keys.open(data, data, at)
	}
	// A failure may have written to the destination: there is more to try, so it is not the packet.
	v := forged
	var plain []byte
	if s.keys != nil {
		plain, v = s.keys.open(g.room(), data, at)
	}
	if v == forged && s.before != nil {
		plain, v = s.before.open(g.room(), data, at)
	}
	if v != opened && s.keys != nil {
		if rolled, w := s.keys.openRolled(g.room(), data, at, s.rolled[binary.BigEndian.Uint32(data[8:])]); w == opened {
			return rolled, w
		}
	}
	return plain, v
}

func (g *guard) openReport(s *side, data []byte) ([]byte, opening) {
	v := forged
	var plain []byte
	if s.keys != nil {
		plain, v = s.keys.openRTCP(g.room(), data)
	}
	if v == forged && s.before != nil {
		plain, v = s.before.openRTCP(g.room(), data)
	}
	return plain, v
}

// room is memory for one packet.
func (g *guard) room() []byte {
	if g.scratch == nil {
		g.scratch = make([]byte, 0, datagramSize)
	}
	g.used = true
	return g.scratch
}

// wipe leaves nothing of what was opened.
func (g *guard) wipe() {
	if g.used {
		clear(g.scratch[:cap(g.scratch)])
		g.used = false
	}
}

// afterKeys is for a stream that is in clear now. The sender may go on under the keys of before, until it has our answer or for
// longer: that is opened, so that it does not pass for sound. The keys are given up when packets in clear have come, and none other
// for a while.
func (g *guard) afterKeys(s *side, report bool, at int64, data []byte) []byte {
	if s.before == nil || len(data) < rtpFixedHeader && !report {
		return data
	}
	plain, v := g.openOld(s.before, report, at, data)
	switch {
	case v == opened:
		s.until, s.inClear = max(s.until, at+rekeyOverlap), 0
		return plain
	case v == replayed && s.before.authentic(g.room(), report, data):
		return nil
	}
	if s.inClear++; s.inClear >= minInClear && at > s.until {
		s.before = nil
	}
	return data
}

func (g *guard) openOld(k *keys, report bool, at int64, data []byte) ([]byte, opening) {
	if report {
		return k.openRTCP(g.room(), data)
	}
	return k.open(g.room(), data, at)
}
