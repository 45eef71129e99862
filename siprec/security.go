package siprec

import (
	"encoding/hex"
	"slices"
	"strings"
)

// A Security is how the media of an m-line are protected.
type Security string

const (
	Refused Security = ""     // not at all as it must be: the m-line has to be refused
	Clear   Security = "rtp"  // RTP/AVP, RTP/AVPF
	SDES    Security = "sdes" // SRTP with keys in the session description (RFC 4568)
	DTLS    Security = "dtls" // SRTP with keys agreed by DTLS (RFC 5763, RFC 5764)
)

// Security says how the m-line is to be protected. The profile alone decides whether it is: a=crypto beside RTP/AVP is no SRTP, and
// a secure profile without a usable key is Refused, never answered in clear. So is what does not go over UDP, and what we do not
// know. RTP/SAVP with both keys and fingerprint goes by the keys; with a fingerprint only, by DTLS, as older browsers wrote it.
func (m *Media) Security() Security {
	switch strings.ToUpper(m.Protocol) {
	case "RTP/AVP", "RTP/AVPF":
		return Clear
	case "RTP/SAVP", "RTP/SAVPF":
		if len(m.Crypto) > 0 {
			return SDES
		}
		return m.byDTLS()
	case "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return m.byDTLS()
	}
	return Refused
}

func (m *Media) byDTLS() Security {
	if len(m.Fingerprints) == 0 || m.Setup.Answer() == "" {
		return Refused
	}
	return DTLS
}

// A Setup says who opens the DTLS connection (RFC 4145, RFC 5763 section 5).
type Setup string

const (
	SetupActive  Setup = "active"
	SetupPassive Setup = "passive"
	SetupActPass Setup = "actpass"
)

// Answer is what we answer to it: passive whenever we may, so that the SRC's address proves itself. It is "" for what cannot be
// answered, holdconn and the unknown.
func (s Setup) Answer() Setup {
	switch s {
	case SetupActive, SetupActPass, "":
		return SetupPassive
	case SetupPassive:
		return SetupActive
	}
	return ""
}

// A Fingerprint is the hash of a certificate (RFC 8122 section 5).
type Fingerprint struct {
	Hash string // "sha-256", "sha-384" or "sha-512"
	Sum  []byte
}

// hashSize gives the bytes of a hash that we trust; 0 for others. SHA-1 and what came before it are not among them.
func hashSize(name string) int {
	switch name {
	case "sha-256":
		return 32
	case "sha-384":
		return 48
	case "sha-512":
		return 64
	}
	return 0
}

// parseFingerprint reads "sha-256 4A:AD:...".
func parseFingerprint(value string) (Fingerprint, bool) {
	hash, text, _ := strings.Cut(strings.ReplaceAll(value, "\t", " "), " ")
	fp := Fingerprint{Hash: strings.ToLower(hash)}
	size := hashSize(fp.Hash)
	pairs := strings.Split(strings.TrimSpace(text), ":")
	if size == 0 || len(pairs) != size {
		return Fingerprint{}, false
	}
	for _, p := range pairs {
		b, err := hex.DecodeString(p)
		if err != nil || len(b) != 1 {
			return Fingerprint{}, false
		}
		fp.Sum = append(fp.Sum, b[0])
	}
	return fp, true
}

// String writes the value of an a=fingerprint attribute.
func (f Fingerprint) String() string {
	pairs := make([]string, len(f.Sum))
	for i, b := range f.Sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return f.Hash + " " + strings.Join(pairs, ":")
}

// Equal compares two fingerprints.
func (f Fingerprint) Equal(o Fingerprint) bool { return f.Hash == o.Hash && slices.Equal(f.Sum, o.Sum) }

// A protection is what the attributes of the session, or of one m-line, say of keys and ICE.
type protection struct {
	fingerprints []Fingerprint
	setup        Setup
	ufrag, pwd   string
}

// attribute takes one attribute; false when it is another's.
func (p *protection) attribute(name, value string) bool {
	switch name {
	case "fingerprint":
		if fp, ok := parseFingerprint(value); ok && len(p.fingerprints) < MaxFingerprints {
			p.fingerprints = append(p.fingerprints, fp)
		}
	case "setup":
		p.setup = Setup(strings.ToLower(value))
	case "ice-ufrag":
		p.ufrag = value
	case "ice-pwd":
		p.pwd = value
	default:
		return false
	}
	return true
}

// finishSecurity fills in what the session says and the m-line does not.
func (m *mediaReader) finishSecurity(session protection) {
	p := m.protection
	if len(p.fingerprints) == 0 {
		p.fingerprints = session.fingerprints
	}
	if p.setup == "" {
		p.setup = session.setup
	}
	if p.ufrag == "" && p.pwd == "" {
		p.ufrag, p.pwd = session.ufrag, session.pwd
	}
	m.Fingerprints, m.Setup = p.fingerprints, p.setup
	if isICE(p.ufrag, minUfrag) && isICE(p.pwd, minPwd) {
		m.ICE = &ICE{Ufrag: p.ufrag, Pwd: NewSecret([]byte(p.pwd))}
	}
}
