package media

import "net/netip"

// settleKeys takes what handshakes have agreed on, and then the packets that waited for it; mu is held.
func (rec *Recording) settleKeys(now int64) {
	if !rec.guarded {
		return
	}
	for i := range rec.legs {
		g := rec.legs[i].guard
		if g == nil || g.security.DTLS == nil {
			continue
		}
		for n := range g.sides {
			rec.settleSide(i, n, now)
		}
		if g.security.DTLS.Active {
			rec.beginActive(i, now)
		}
	}
}

func (rec *Recording) settleSide(i, n int, now int64) {
	s := &rec.legs[i].guard.sides[n]
	switch h := s.shake; {
	case h == nil || h.going():
		return
	case h.pending():
		h.taken = true
		s.replace(h.keys(), now)
	case h.taken && h.over():
		s.shake = nil // and its memory
	}
	early := s.early
	s.early = nil
	for _, e := range early {
		rec.deliver(i, n, e.at, e.from, rec.admit(i, n, e.at, e.from, e.data))
		clear(e.data)
	}
}

// replace gives a side other keys, or nil; those of before hold for a while.
func (s *side) replace(k *keys, now int64) {
	if s.keys != nil {
		s.before, s.until = s.keys, now+rekeyOverlap
		s.keep(s.keys)
	}
	s.keys, s.inClear = k, 0
}

// deliver gives an opened packet to whom it is for.
func (rec *Recording) deliver(i, n int, at int64, from netip.AddrPort, data []byte) {
	switch {
	case data == nil:
	case rec.isReport(i, n, data):
		rec.report(i, at, &datagram{data: data, source: from.Addr()})
	default:
		rec.timeline.packet(i, at, from.Addr(), data)
	}
}
