package recorder

import (
	"crypto/rand"
	"encoding/base64"
	"net/netip"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// Bytes of our ICE credentials: 48 and 192 bits, in characters that base64 has (RFC 8445 section 5.3 wants 24 and 128).
const (
	ufragBytes = 6
	pwdBytes   = 24
)

// A protection is what we answered to the keys of one m-line. It is kept from offer to offer: the same keys have the same answer, so
// that a session refresh disturbs nobody.
type protection struct {
	theirs siprec.Crypto
	ours   *siprec.Crypto // nil without SDES
	remote *siprec.ICE
	local  *siprec.ICE // nil without ICE
}

// protect brings the protection of a label up to what its m-line offers now.
func (s *session) protect(label siprec.Label, m siprec.Media) *protection {
	p := s.protections[label]
	if p == nil {
		p = &protection{}
		s.protections[label] = p
	}
	switch {
	case m.Security() != siprec.SDES:
		p.theirs, p.ours = siprec.Crypto{}, nil
	case p.ours != nil && p.theirs.SameKeys(m.Crypto[0]): // perhaps under another tag
		ours := *p.ours
		p.theirs, ours.Tag = m.Crypto[0], m.Crypto[0].Tag
		p.ours = &ours
	default:
		p.theirs = m.Crypto[0]
		p.ours = answerCrypto(p.theirs)
	}
	switch {
	case m.ICE == nil:
		p.remote, p.local = nil, nil
	case p.local == nil || p.remote.Ufrag != m.ICE.Ufrag || !p.remote.Pwd.Equal(m.ICE.Pwd): // new, or restarted (RFC 8445 section 9)
		p.remote, p.local = m.ICE, &siprec.ICE{Ufrag: word(ufragBytes), Pwd: siprec.NewSecret([]byte(word(pwdBytes)))}
	}
	return p
}

// keepProtections is a copy, for when the offer at hand is rejected.
func (s *session) keepProtections() map[siprec.Label]*protection {
	kept := make(map[siprec.Label]*protection, len(s.protections))
	for label, p := range s.protections {
		same := *p
		kept[label] = &same
	}
	return kept
}

// answerCrypto makes a key of ours for the offer's first usable line, which is the one that the SRC likes best.
func answerCrypto(offered siprec.Crypto) *siprec.Crypto {
	key, salt := offered.Suite.Sizes()
	return &siprec.Crypto{Tag: offered.Tag, Suite: offered.Suite, Keys: []siprec.CryptoKey{{Secret: siprec.NewSecret(random(key + salt))}}}
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func word(n int) string { return base64.RawStdEncoding.EncodeToString(random(n)) }

// secure tells the receiving end of an m-line its keys.
func (p *protection) secure(s *media.Stream, m siprec.Media) {
	switch m.Security() {
	case siprec.SDES:
		keys := &media.SDES{Suite: media.Suite(p.ours.Suite), Ours: media.NewKey(p.ours.Keys[0].Secret.Reveal())}
		for _, k := range p.theirs.Keys {
			keys.Theirs = append(keys.Theirs, media.MasterKey{Key: media.NewKey(k.Secret.Reveal()), MKI: k.MKI})
		}
		s.Security.SDES = keys
	case siprec.DTLS:
		d := &media.DTLS{Active: m.Setup.Answer() == siprec.SetupActive, PeerRTCP: m.RTCP}
		if m.Addr.IsValid() && !m.Addr.IsUnspecified() {
			d.Peer = netip.AddrPortFrom(m.Addr, uint16(m.Port))
		}
		for _, f := range m.Fingerprints {
			d.Fingerprints = append(d.Fingerprints, media.Fingerprint{Hash: f.Hash, Sum: f.Sum})
		}
		s.Security.DTLS = d
	}
	if p.local != nil {
		s.ICE = &media.ICE{Ufrag: p.local.Ufrag, Pwd: media.NewKey(p.local.Pwd.Reveal())}
	}
}

// secureAnswer says in an answer what the m-line's profile asks for.
func (s *session) secureAnswer(a *siprec.AnswerMedia, label siprec.Label, m siprec.Media) {
	p := s.protect(label, m)
	a.Crypto, a.ICE = p.ours, p.local
	if m.Security() == siprec.DTLS {
		a.Fingerprint = &siprec.Fingerprint{Hash: s.fingerprint.Hash, Sum: s.fingerprint.Sum}
		a.Setup = m.Setup.Answer()
	}
}
