package media

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"net/netip"
	"slices"
)

// A Suite is an SRTP crypto suite by its name in a=crypto (RFC 4568 section 6.2, RFC 6188, RFC 7714).
type Suite string

// A Key is a master key followed by its salt, or a password. It never prints, not even as a part of something that is printed.
type Key struct {
	reveal func() []byte // behind a function, because fmt prints unexported fields without asking their methods
}

// NewKey keeps a copy of b.
func NewKey(b []byte) Key {
	b = bytes.Clone(b)
	return Key{func() []byte { return b }}
}

func (k Key) bytes() []byte {
	if k.reveal == nil {
		return nil
	}
	return k.reveal()
}

// Equal compares in constant time.
func (k Key) Equal(o Key) bool { return subtle.ConstantTimeCompare(k.bytes(), o.bytes()) == 1 }

// Format implements fmt.Formatter for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// MarshalJSON implements json.Marshaler.
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"[secret]"`), nil }

// A Security is how a stream is protected. The zero value is not at all. In a stream that is protected nothing is placed that was
// not authenticated, whatever it comes from.
type Security struct {
	SDES *SDES // keys that the session description told
	DTLS *DTLS // keys that are agreed over the media ports
}

// SDES are the keys of a stream (RFC 4568).
type SDES struct {
	Suite  Suite
	Theirs []MasterKey // of which the sender uses any; more than one only with MKIs of one length
	Ours   Key         // of our receiver reports
}

// A MasterKey is a key with the identifier that packets carry for it; a nil MKI is none.
type MasterKey struct {
	Key Key
	MKI []byte
}

// DTLS is what is known of the peer before its handshake (RFC 5763).
type DTLS struct {
	Fingerprints []Fingerprint // of the peer's certificate: one of them must match
	Active       bool          // we are the client; else the peer is, and we wait
	Peer         netip.AddrPort
	PeerRTCP     netip.AddrPort // without RTCPMux; both are used when Active only
}

// A Fingerprint is the hash of a certificate (RFC 8122): Hash is "sha-256", "sha-384" or "sha-512".
type Fingerprint struct {
	Hash string
	Sum  []byte
}

// ICE are our credentials for connectivity checks: we are the lite side (RFC 8445 section 2.5). The address from which a check
// comes becomes one of the stream's, for as long as the credentials are these.
type ICE struct {
	Ufrag string
	Pwd   Key
}

// same tells whether checks under the one prove anything under the other.
func (i *ICE) same(o *ICE) bool {
	if i == nil || o == nil {
		return i == o
	}
	return i.Ufrag == o.Ufrag && i.Pwd.Equal(o.Pwd)
}

func (s Security) secured() bool { return s.SDES != nil || s.DTLS != nil }

func isSecured(s Stream) bool { return s.Security.secured() }

// check says what keys are wrong.
func (s Security) check() error {
	switch {
	case s.SDES != nil && s.DTLS != nil:
		return fmt.Errorf("keys both by SDES and by DTLS: want one")
	case s.SDES != nil:
		_, err := s.SDES.keys()
		return err
	case s.DTLS != nil:
		if len(s.DTLS.Fingerprints) == 0 {
			return fmt.Errorf("DTLS without a fingerprint of the peer's certificate")
		}
	}
	return nil
}

// same tells whether both say the same keys, so that nothing changes. Our own key follows theirs.
func (s Security) same(o Security) bool {
	switch {
	case s.SDES != nil && o.SDES != nil:
		return s.SDES.Suite == o.SDES.Suite && s.SDES.Ours.Equal(o.SDES.Ours) &&
			slices.EqualFunc(s.SDES.Theirs, o.SDES.Theirs, func(a, b MasterKey) bool { return a.Key.Equal(b.Key) && bytes.Equal(a.MKI, b.MKI) })
	case s.DTLS != nil && o.DTLS != nil:
		return s.DTLS.Active == o.DTLS.Active &&
			slices.EqualFunc(s.DTLS.Fingerprints, o.DTLS.Fingerprints, func(a, b Fingerprint) bool { return a.Hash == b.Hash && bytes.Equal(a.Sum, b.Sum) })
	}
	return !s.secured() && !o.secured()
}

// moved tells that the peer with whom we begin a handshake is elsewhere.
func (s Security) moved(o Security) bool {
	return o.DTLS != nil && o.DTLS.Active && (s.DTLS.Peer != o.DTLS.Peer || s.DTLS.PeerRTCP != o.DTLS.PeerRTCP)
}
