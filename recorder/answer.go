package recorder

import (
	"slices"

	"github.com/greffier/greffier/siprec"
)

// answer is what we want to say to the SRC's description: recvonly where sound is let in, inactive where not, and what its profile
// wants where a call is not recorded. Every usable m-line is accepted, so that the SRC does not drop the call.
func (s *session) answer() siprec.Answer {
	a := siprec.Answer{Addr: s.in.Local, Media: make([]siprec.AnswerMedia, len(s.offer.Media))}
	ports := map[*legs][]int{}
	for i, m := range s.offer.Media {
		formats, _ := usable(s.codecs, m)
		a.Media[i] = siprec.AnswerMedia{Direction: siprec.Inactive, Formats: formats, RTCPMux: m.RTCPMux}
		if formats == nil {
			continue
		}
		x, label := &a.Media[i], s.labels[i]
		c := s.owners[label]
		unwanted, held := c != nil && c.recording == nil && c.wants() == keepNothing, s.holder(label, true)
		if unwanted && s.in.Decline == siprec.DeclineRefuse && held == nil { // one that was accepted for another call becomes inactive
			x.Formats = nil // port 0: the stream is refused
			continue
		}
		s.secureAnswer(x, label, m)
		if held == nil {
			x.Port, x.ICE = discardPort, nil // nobody would answer its checks
			continue
		}
		if ports[held] == nil {
			ports[held] = held.recording.Ports()
		}
		x.Port = ports[held][held.index[label]]
		switch {
		case !s.willing[label]:
		case unwanted && s.in.Decline == siprec.DeclineAccept, c != nil && s.hears(c, label) && c.receives():
			x.Direction = siprec.RecvOnly
		}
	}
	return a
}

// receives tells whether the SRC is to send the call's sound: it is kept or held, or the keys matter that are pressed beside it.
func (c *call) receives() bool {
	if c.recording == nil {
		return c.listening
	}
	return c.muted == "" || c.keypad.ends(c.mutes)
}

// effective is what an answer means on the wire: what the SRC does not send, nobody receives (RFC 3264 section 6.1).
func effective(a siprec.Answer, o *siprec.Offer) siprec.Answer {
	a.Media = slices.Clone(a.Media)
	for i := range a.Media {
		if i >= len(o.Media) || o.Media[i].Port == 0 || !o.Media[i].Direction.Sends() {
			a.Media[i].Direction = siprec.Inactive
		}
	}
	return a
}

// differing lists the m-lines, by their labels, of which the wire does not say yet what it should: another direction, or other
// ports while we listen.
func (s *session) differing(want siprec.Answer) (listen, silence []siprec.Label) {
	for i, x := range want.Media {
		if i >= len(s.local.Media) || s.offer.Media[i].Port == 0 || x.Formats == nil {
			continue
		}
		said := s.local.Media[i]
		switch {
		case x.Direction == siprec.RecvOnly && (said.Direction != siprec.RecvOnly || said.Port != x.Port):
			listen = append(listen, s.labels[i])
		case x.Direction != siprec.RecvOnly && said.Direction == siprec.RecvOnly:
			silence = append(silence, s.labels[i])
		}
	}
	return listen, silence
}
