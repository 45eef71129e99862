package media

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/stun/v3"
)

// answerCheck answers a connectivity check (RFC 8445 section 7.3) and takes its source for one of the stream's; mu is held.
func (rec *Recording) answerCheck(i, n int, at int64, from netip.AddrPort, data []byte) {
	l := &rec.legs[i]
	g := l.guard
	response, c := check(g.ice, from, data)
	if response == nil {
		return
	}
	socket := l.rtp
	if n == sideRTCP {
		socket = l.rtcp
	}
	if err := socket.send(response, from); err != nil {
		rec.receiver.sendErrors.Add(1)
	}
	if !c.valid {
		return
	}
	if s := &g.sides[n]; c.nominates || !s.chosen {
		s.peer, s.chosen = from, s.chosen || c.nominates
	}
	if slices.Contains(g.checked, from.Addr()) || len(g.checked) == maxChecked {
		return
	}
	g.checked = append(g.checked, from.Addr())
	s := &rec.streams[i]
	if !slices.Contains(s.Addrs, from.Addr()) {
		s.Addrs = append(s.Addrs, from.Addr())
		rec.timeline.update(at, copyStreams(rec.streams))
	}
}

// A checked is what a connectivity check amounts to.
type checked struct {
	valid     bool // it proved that it knows our password, and asked nothing that we cannot do
	nominates bool
}

// check reads a STUN message and makes the answer to it. Only a binding request with our user name, the right integrity and the
// right fingerprint has one (RFC 8489 section 9.1.3, RFC 8445 section 7.3): whoever cannot show that it read our session
// description gets silence, so that we are nobody's amplifier.
func check(ice *ICE, from netip.AddrPort, data []byte) ([]byte, checked) {
	m := &stun.Message{Raw: data}
	if err := m.Decode(); err != nil || m.Type != stun.BindingRequest {
		return nil, checked{}
	}
	integrity := stun.MessageIntegrity(ice.Pwd.bytes())
	// The fingerprint covers all the rest, and must be last.
	if n := len(m.Attributes); n == 0 || m.Attributes[n-1].Type != stun.AttrFingerprint || m.Check(stun.Fingerprint) != nil {
		return nil, checked{}
	}
	if m.Check(integrity) != nil {
		return nil, checked{}
	}
	var c checked
	var unknown stun.UnknownAttributes
	user := false
	for _, a := range m.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			break // what stands behind it is not proven
		}
		switch a.Type {
		case stun.AttrUsername:
			ufrag, _, ok := strings.Cut(string(a.Value), ":")
			user = ok && ufrag == ice.Ufrag
		case stun.AttrUseCandidate:
			c.nominates = true
		case stun.AttrPriority:
		default:
			if a.Type.Required() {
				unknown = append(unknown, a.Type)
			}
		}
	}
	if !user {
		return nil, checked{}
	}
	answer := []stun.Setter{
		stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: net.IP(from.Addr().AsSlice()), Port: int(from.Port())}, integrity, stun.Fingerprint,
	}
	if unknown != nil {
		c = checked{}
		answer = []stun.Setter{
			stun.NewTransactionIDSetter(m.TransactionID), stun.BindingError, stun.CodeUnknownAttribute, unknown, integrity, stun.Fingerprint,
		}
	} else {
		c.valid = true
	}
	response, err := stun.Build(answer...)
	if err != nil {
		return nil, checked{}
	}
	return response.Raw, c
}
