package media

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// rekeyOverlap is how long packets under the keys of before a re-offer are still taken: the sender changes its keys when it
	// has our answer.
	rekeyOverlap = int64(5 * time.Second)

	// minInClear is how many packets in clear, in a row, show that the sender has done with the keys of before: a second of them.
	minInClear = 50

	// hurryInterval is how often sockets are drained whose peer waits for an answer of ours, in a handshake or a check.
	hurryInterval = 15 * time.Millisecond

	// hurryLimit is for how long, from when the stream is there or a handshake begins.
	hurryLimit = 10 * time.Second

	// maxEarly bounds the packets of one socket that wait for the end of its handshake, whose last message they overtook.
	maxEarly = 64

	// maxChecked bounds the addresses that connectivity checks add to one stream.
	maxChecked = 8
)

// The sockets of a leg.
const (
	sideRTP  = iota // RTCP too, with RTCPMux
	sideRTCP        // without
	sides
)

// Securing is what a recording keeps for its protected streams; the recording's mu protects it.
type securing struct {
	guarded    bool // some leg has a guard
	hurried    bool // a goroutine drains for those who wait
	hurryUntil int64
	over       chan struct{} // closed when the recording is
	hurrying   sync.WaitGroup
}

// A guard stands before the sockets of a leg: nothing passes it but plain RTP and RTCP that the stream's security vouches for.
type guard struct {
	security   Security
	ice        *ICE
	checked    []netip.Addr // by connectivity checks
	sides      [sides]side
	scratch    []byte
	authFailed uint64
	replayed   uint64
}

// A side is one socket.
type side struct {
	keys    *keys             // nil until they are agreed
	before  *keys             // of before the last change
	until   int64             // when they end
	rolled  map[uint32]uint64 // the last index of each source under keys of before
	inClear int               // packets in a row, of a stream in clear that has keys of before
	shake   *handshake
	begun   int64          // when the last handshake was
	early   []earlyPacket  // came while the handshake went on
	peer    netip.AddrPort // by the last connectivity check that nominated, or else the first
	chosen  bool           // it was nominated
}

type earlyPacket struct {
	at   int64
	from netip.AddrPort
	data []byte
}

// protect brings the guards to what the streams say now; mu is held.
func (rec *Recording) protect(now int64) {
	for i := range rec.streams {
		s, l := &rec.streams[i], &rec.legs[i]
		if l.guard == nil {
			if !s.Security.secured() && s.ICE == nil {
				continue
			}
			l.guard = &guard{}
			rec.guarded = true
		}
		g := l.guard
		fresh := !g.ice.same(s.ICE)
		if fresh {
			g.forget()
		}
		g.ice = s.ICE
		fresh = fresh && g.ice != nil
		for _, a := range g.checked {
			if !slices.Contains(s.Addrs, a) {
				s.Addrs = append(s.Addrs, a)
			}
		}
		switch {
		case !g.security.same(s.Security):
			rec.rekey(i, s.Security, now)
			fresh = fresh || s.Security.DTLS != nil
		case g.security.moved(s.Security): // the keys hold, should the peer know them still
			g.security = s.Security
			rec.renewActive(i, now)
			fresh = true
		}
		if fresh {
			rec.hurry(now)
		}
	}
}

// forget takes back what checks under other credentials have proved.
func (g *guard) forget() {
	g.checked = nil
	for n := range g.sides {
		g.sides[n].peer, g.sides[n].chosen = netip.AddrPort{}, false
	}
}

// rekey gives a stream other keys, or takes them away.
func (rec *Recording) rekey(i int, security Security, now int64) {
	g := rec.legs[i].guard
	g.security = security
	for n := range g.sides {
		s := &g.sides[n]
		s.stop()
		s.replace(nil, now)
		s.shake, s.begun, s.early = nil, 0, nil
	}
	switch {
	case security.SDES != nil:
		k, err := security.SDES.keys()
		if err != nil {
			return // it was checked; without keys nothing is let in
		}
		g.sides[sideRTP].keys, g.sides[sideRTCP].keys = k, k
	case security.DTLS != nil && security.DTLS.Active:
		rec.beginActive(i, now)
	}
}

// unprotect ends what the guards have begun; mu is held.
func (rec *Recording) unprotect() {
	if rec.over != nil {
		close(rec.over)
	}
	for i := range rec.legs {
		if g := rec.legs[i].guard; g != nil {
			for n := range g.sides {
				g.sides[n].stop()
			}
		}
	}
}

// abandon ends a recording that was never begun; its ports are another's business.
func (rec *Recording) abandon() {
	defer rec.hurrying.Wait()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.closed = true
	rec.unprotect()
}

func (s *side) stop() {
	if s.shake != nil {
		s.shake.stop()
	}
}

// Kinds of datagrams, by their first byte (RFC 7983 section 7).
type kind int

const (
	kindOther kind = iota
	kindSTUN
	kindDTLS
	kindRTP // and RTCP
)

func kindOf(data []byte) kind {
	switch {
	case len(data) == 0:
		return kindOther
	case data[0] <= 3:
		return kindSTUN
	case data[0] >= 20 && data[0] <= 63:
		return kindDTLS
	case data[0] >= 128 && data[0] <= 191:
		return kindRTP
	}
	return kindOther
}

// admit gives the plain RTP or RTCP of a datagram, or nil when it was for the guard itself or is not let in; mu is held. The
// datagram's memory is used.
func (rec *Recording) admit(i, n int, at int64, from netip.AddrPort, data []byte) []byte {
	g := rec.legs[i].guard
	s := &g.sides[n]
	kind := kindOf(data)
	switch {
	case kind == kindSTUN && g.ice != nil:
		rec.answerCheck(i, n, at, from, data)
		return nil
	case !g.security.secured():
		if kind != kindRTP || !rec.offered(i, n, from.Addr()) {
			return data // it is refused there
		}
		return g.afterKeys(s, rec.isReport(i, n, data), at, data)
	case !rec.offered(i, n, from.Addr()):
		rec.foreign(i, n, at, from.Addr())
		return nil
	case kind == kindDTLS && g.security.DTLS != nil:
		rec.receiveDTLS(i, n, at, from, data)
		return nil
	case kind != kindRTP:
		rec.malformed(i, n, at, from.Addr())
		return nil
	}
	plain, v := g.open(s, rec.isReport(i, n, data), at, data)
	if v == forged && s.shake.pending() && len(s.early) < maxEarly { // its keys are agreed perhaps, and not settled yet
		s.early = append(s.early, earlyPacket{at, from, bytes.Clone(data)})
		return nil
	}
	switch v {
	case replayed:
		g.replayed++
	case forged:
		g.authFailed++
	}
	return plain
}

// isReport tells RTCP from RTP.
func (rec *Recording) isReport(i, n int, data []byte) bool {
	return n == sideRTCP || rec.streams[i].RTCPMux && isRTCP(data)
}

// offered tells whether a socket of the stream takes packets from addr; reports may come from where ours go.
func (rec *Recording) offered(i, n int, addr netip.Addr) bool {
	s := &rec.streams[i]
	return s.AnySource || slices.Contains(s.Addrs, addr) || n == sideRTCP && addr == s.RTCP.Addr().Unmap()
}

// foreign and malformed count what has no content that could be looked at.
func (rec *Recording) foreign(i, n int, at int64, from netip.Addr) {
	if n == sideRTCP {
		rec.receiver.foreignReports.Add(1)
		return
	}
	rec.timeline.packet(i, at, from, nil)
}

func (rec *Recording) malformed(i, n int, at int64, from netip.Addr) {
	if n == sideRTCP {
		rec.receiver.malformedReports.Add(1)
		return
	}
	rec.timeline.packet(i, at, from, nil)
}

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
	return g.scratch
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

// waits tells whether some peer waits for an answer of ours.
func (rec *Recording) waits() bool {
	for i := range rec.legs {
		g := rec.legs[i].guard
		if g == nil {
			continue
		}
		if g.ice != nil && !g.sides[sideRTP].chosen || g.security.DTLS != nil && g.sides[sideRTP].keys == nil {
			return true
		}
		if g.sides[sideRTP].shake.going() || g.sides[sideRTCP].shake.going() {
			return true
		}
	}
	return false
}

// hurry drains the recording often until nobody waits, or the limit has passed; mu is held.
func (rec *Recording) hurry(now int64) {
	rec.hurryUntil = now + int64(hurryLimit)
	if rec.hurried || rec.closed {
		return
	}
	if rec.over == nil {
		rec.over = make(chan struct{})
	}
	rec.hurried = true
	over := rec.over
	rec.hurrying.Go(func() {
		ticker := time.NewTicker(hurryInterval)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				if !rec.drainHurried() {
					return
				}
			}
		}
	})
}

// drainHurried drains once; false when that was the last time.
func (rec *Recording) drainHurried() bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.usable() != nil {
		return false
	}
	err := rec.do(func(b *batch) {
		d := rec.collect(b)
		for i := range rec.legs { // RTCP sockets have handshakes and checks of their own
			rec.collectRTCP(i, &d)
		}
	})
	rec.hurried = err == nil && rec.waits() && rec.receiver.clock.at(time.Now()) < rec.hurryUntil
	return rec.hurried
}

// reportTo is where receiver reports of stream i go: to where its checks come from, if there are any.
func (rec *Recording) reportTo(i int) netip.AddrPort {
	s := &rec.streams[i]
	g := rec.legs[i].guard
	if g == nil || g.ice == nil {
		return s.RTCP
	}
	peer := g.sides[sideRTCP].peer
	if s.RTCPMux {
		peer = g.sides[sideRTP].peer
	}
	if peer.IsValid() {
		return peer
	}
	return s.RTCP
}

// sealReport protects a report of ours as the stream's security wants it.
func (rec *Recording) sealReport(i int, data []byte) ([]byte, error) {
	g := rec.legs[i].guard
	if !g.security.secured() {
		return data, nil
	}
	k := g.sides[sideRTCP].keys
	if rec.streams[i].RTCPMux {
		k = g.sides[sideRTP].keys
	}
	if k == nil {
		return nil, errNotKeyed
	}
	return k.seal(data)
}

// addSecurity adds the guards' figures.
func (rec *Recording) addSecurity(stats []StreamStats) []StreamStats {
	for i := range rec.legs {
		if g := rec.legs[i].guard; g != nil && i < len(stats) {
			stats[i].AuthFailed, stats[i].Replayed = g.authFailed, g.replayed
		}
	}
	return stats
}
