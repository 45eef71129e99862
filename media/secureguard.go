package media

import (
	"bytes"
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
	used       bool // something was opened into scratch
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
		if l.yielded {
			continue
		}
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
