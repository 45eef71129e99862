package media

import (
	"net/netip"

	"github.com/pion/transport/v5/packetio"
)

// receiveDTLS gives a datagram to the handshake of its socket, and begins one when the peer does.
func (rec *Recording) receiveDTLS(i, n int, now int64, from netip.AddrPort, data []byte) {
	g := rec.legs[i].guard
	s := &g.sides[n]
	hello := isHello(data)
	if hello && !g.security.DTLS.Active && s.mayBegin(from) && now-s.begun >= handshakeEvery {
		rec.shakeHands(i, n, from, now)
	}
	if s.shake == nil || from != s.shake.pipe.peer && (g.ice == nil || from != s.peer) {
		return
	}
	s.shake.pipe.feed(data)
	s.shake.answered = s.shake.answered || !hello
	if s.shake.going() {
		rec.hurry(now)
	}
}

// isHello tells that a datagram begins with a ClientHello that begins an association (RFC 6347 section 4.2.8): it is in epoch 0.
func isHello(data []byte) bool {
	const handshakeRecord, clientHello, recordHeader = 22, 1, 13
	return len(data) > recordHeader && data[0] == handshakeRecord && data[3] == 0 && data[4] == 0 && data[recordHeader] == clientHello
}

// mayBegin tells whether a hello begins a handshake: none goes on, or only with one who sent nothing but hellos from elsewhere. When
// keys are agreed the peer has begun anew, and they hold until the others are.
func (s *side) mayBegin(from netip.AddrPort) bool {
	if s.shake.going() {
		return from != s.shake.pipe.peer && !s.shake.answered
	}
	return !s.shake.pending()
}

// beginActive begins the handshakes of a side that is the client; mu is held.
func (rec *Recording) beginActive(i int, now int64) {
	for n := range sides {
		s := &rec.legs[i].guard.sides[n]
		if s.shake == nil && s.keys != nil || !s.shake.done() || now-s.begun < rec.receiver.again || n == sideRTCP && rec.streams[i].RTCPMux {
			continue
		}
		rec.shakeHands(i, n, rec.passivePeer(i, n), now)
	}
}

// renewActive begins handshakes with a peer that moved; mu is held.
func (rec *Recording) renewActive(i int, now int64) {
	rec.shakeHands(i, sideRTP, rec.passivePeer(i, sideRTP), now)
	if !rec.streams[i].RTCPMux {
		rec.shakeHands(i, sideRTCP, rec.passivePeer(i, sideRTCP), now)
	}
}

// passivePeer is where the peer of a handshake of ours is.
func (rec *Recording) passivePeer(i, n int) netip.AddrPort {
	g := rec.legs[i].guard
	switch {
	case g.ice != nil && g.sides[n].peer.IsValid():
		return g.sides[n].peer
	case n == sideRTCP:
		return g.security.DTLS.PeerRTCP
	}
	return g.security.DTLS.Peer
}

// shakeHands begins a handshake with a peer. Keys that are agreed already hold until others are; mu is held.
func (rec *Recording) shakeHands(i, n int, peer netip.AddrPort, now int64) {
	l := &rec.legs[i]
	s := &l.guard.sides[n]
	if !peer.IsValid() || peer.Port() == 0 || rec.closed {
		return
	}
	if s.shake != nil {
		s.shake.pipe.muted.Store(true) // the peer does not know it any more
		s.shake.stop()
	}
	socket := l.rtp
	if n == sideRTCP {
		socket = l.rtcp
	}
	s.begun = now
	s.shake = newHandshake(rec.receiver, l.guard.security.DTLS, &pipe{in: packetio.NewBuffer(), socket: socket, peer: peer})
}
