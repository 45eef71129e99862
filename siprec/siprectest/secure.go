package siprectest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/packetio"

	"github.com/greffier/greffier/siprec"
)

// A Security says how a stream is protected, and what is wrong with it. The zero value is RTP in clear.
type Security struct {
	Suite   string // SRTP with keys in the offer (RFC 4568), by the suite's name: "AES_CM_128_HMAC_SHA1_80"
	MKI     int    // bytes of the key's identifier; 0: it has none
	DTLS    bool   // SRTP with keys by DTLS (RFC 5763), RTCP on the same port
	Setup   siprec.Setup
	ICE     bool   // check the SRS's candidate, which must be there, before anything is sent
	Profile string // default: RTP/AVP, RTP/SAVP or UDP/TLS/RTP/SAVP
	Mux     bool   // offer rtcp-mux

	WrongKey         bool // send under another key than was offered
	WrongFingerprint bool // offer the fingerprint of another certificate
	InClear          bool // send RTP in clear all the same
}

func (s Security) secured() bool { return s.Suite != "" || s.DTLS }

func (s Security) profile() string {
	switch {
	case s.Profile != "":
		return s.Profile
	case s.DTLS:
		return "UDP/TLS/RTP/SAVP"
	case s.Suite != "":
		return "RTP/SAVP"
	}
	return "RTP/AVP"
}

// profiles are the suites that can be sent.
var profiles = map[string]srtp.ProtectionProfile{
	"AES_CM_128_HMAC_SHA1_80": srtp.ProtectionProfileAes128CmHmacSha1_80,
	"AES_CM_128_HMAC_SHA1_32": srtp.ProtectionProfileAes128CmHmacSha1_32,
	"AES_256_CM_HMAC_SHA1_80": srtp.ProtectionProfileAes256CmHmacSha1_80,
	"AES_256_CM_HMAC_SHA1_32": srtp.ProtectionProfileAes256CmHmacSha1_32,
	"AEAD_AES_128_GCM":        srtp.ProtectionProfileAeadAes128Gcm,
	"AEAD_AES_256_GCM":        srtp.ProtectionProfileAeadAes256Gcm,
}

// errNotKeyed says that a stream cannot send, because keys were not agreed on.
var errNotKeyed = errors.New("the stream has no keys")

// A secured is the security of one stream; the stream's mu protects it.
type secured struct {
	spec       Security
	key        []byte // master key and salt that are offered
	keyed      bool   // out is of key
	mki        []byte
	identity   identity
	ufrag, pwd string

	out, in *srtp.Context
	err     error // why there are none

	// Of the socket's reader, which is there with DTLS, ICE or Mux.
	dtlsIn  *packetio.Buffer
	checks  chan []byte // answers to our checks
	shaken  bool
	checked bool
	close   func()
}

func newSecured(spec Security) (*secured, error) {
	s := &secured{spec: spec, dtlsIn: packetio.NewBuffer(), checks: make(chan []byte, 8), ufrag: token(8), pwd: token(24)}
	if spec.DTLS {
		var err error
		if s.identity, err = newIdentity(); err != nil {
			return nil, err
		}
	}
	return s, s.renew()
}

// renew makes the key that the next offer has.
func (s *secured) renew() error {
	if s.spec.Suite == "" {
		return nil
	}
	profile, ok := profiles[s.spec.Suite]
	if !ok { // offered all the same, with a key that is as long as any
		s.key = make([]byte, 30)
		return nil
	}
	keyLen, err1 := profile.KeyLen()
	saltLen, err2 := profile.SaltLen()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s.key, s.keyed = make([]byte, keyLen+saltLen), false
	_, _ = rand.Read(s.key) // never fails
	if s.spec.MKI > 0 {
		s.mki = make([]byte, s.spec.MKI)
		s.mki[s.spec.MKI-1] = 1
	}
	return nil
}

// attributes are those of the m-line.
func (s *secured) attributes(local netip.AddrPort) []string {
	var a []string
	if s.spec.Suite != "" {
		line := fmt.Sprintf("crypto:1 %s inline:%s", s.spec.Suite, base64.StdEncoding.EncodeToString(s.key))
		if s.spec.MKI > 0 {
			line += fmt.Sprintf("|2^31|1:%d", s.spec.MKI)
		}
		a = append(a, line)
	}
	if s.spec.DTLS {
		setup := s.spec.Setup
		if setup == "" {
			setup = siprec.SetupActPass
		}
		a = append(a, "fingerprint:"+s.identity.offered(s.spec.WrongFingerprint), "setup:"+string(setup))
	}
	if s.spec.ICE {
		a = append(a, "ice-ufrag:"+s.ufrag, "ice-pwd:"+s.pwd,
			fmt.Sprintf("candidate:1 1 UDP 2130706431 %s %d typ host", local.Addr(), local.Port()))
	}
	if s.muxed() {
		a = append(a, "rtcp-mux")
	}
	return a
}

func (s *secured) muxed() bool { return s != nil && (s.spec.Mux || s.spec.DTLS) }

// Secret is what of an offer must not be found anywhere: the key as the a=crypto line has it.
func (s *Stream) Secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sec == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(s.sec.key)
}

// newKey makes another key, which holds from the next answer on.
func (s *Stream) newKey() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sec.renew()
}

// agree takes the answer to our key.
func (s *secured) agree(m AnswerMedia) {
	if s.spec.Suite == "" || s.keyed {
		return
	}
	f := strings.Fields(m.Crypto)
	if len(f) < 3 || f[0] != "1" || f[1] != s.spec.Suite {
		s.err = fmt.Errorf("crypto answer %q to %s", strings.Join(f[:min(2, len(f))], " "), s.spec.Suite)
		return
	}
	theirs, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(f[2], "inline:"))
	if err != nil || len(theirs) != len(s.key) {
		s.err = fmt.Errorf("crypto answer of %d bytes: want %d", len(theirs), len(s.key))
		return
	}
	ours := s.key
	if s.spec.WrongKey {
		ours = make([]byte, len(s.key))
	}
	s.use(profiles[s.spec.Suite], ours, theirs, srtp.MasterKeyIndicator(s.mki))
	s.keyed = s.err == nil
}

// use makes the contexts of master keys with their salts.
func (s *secured) use(profile srtp.ProtectionProfile, ours, theirs []byte, options ...srtp.ContextOption) {
	keyLen, err := profile.KeyLen()
	if err == nil {
		s.out, err = srtp.CreateContext(ours[:keyLen], ours[keyLen:], profile, options...)
	}
	if err == nil {
		s.in, err = srtp.CreateContext(theirs[:keyLen], theirs[keyLen:], profile)
	}
	s.err = err
}

// protect makes what is sent of an RTP packet.
func (s *secured) protect(b []byte) ([]byte, error) {
	if s == nil || !s.spec.secured() || s.spec.InClear {
		return b, nil
	}
	if s.out == nil {
		return nil, errors.Join(errNotKeyed, s.err)
	}
	return s.out.EncryptRTP(nil, b, nil)
}

// protectReport does so of an RTCP packet.
func (s *secured) protectReport(b []byte) ([]byte, error) {
	if s == nil || !s.spec.secured() || s.spec.InClear {
		return b, nil
	}
	if s.out == nil {
		return nil, errors.Join(errNotKeyed, s.err)
	}
	return s.out.EncryptRTCP(nil, b, nil)
}

// openReport reads an RTCP packet of the SRS.
func (s *secured) openReport(b []byte) ([]byte, error) {
	if s == nil || !s.spec.secured() {
		return b, nil
	}
	if s.in == nil {
		return nil, errors.Join(errNotKeyed, s.err)
	}
	return s.in.DecryptRTCP(nil, b, nil)
}

// secure does for every stream what its security wants before the first packet: checks, and handshakes. What fails is in the
// stream's truth; a stream whose handshake failed goes on under a key of its own, to see what the SRS makes of it.
func (c *Call) secure(ctx context.Context) {
	done := make(chan struct{})
	streams := c.streams()
	answer := c.Answer()
	for i, s := range streams {
		go func() {
			defer func() { done <- struct{}{} }()
			if m, ok := answer.Label(s.spec.Label); ok {
				s.prepare(ctx, m)
			} else if i < len(answer.Media) {
				s.prepare(ctx, answer.Media[i])
			}
		}()
	}
	for range streams {
		<-done
	}
}

// prepare runs the checks and the handshake of one stream.
func (s *Stream) prepare(ctx context.Context, m AnswerMedia) {
	if s.sec == nil || m.Addr.Port() == 0 {
		return
	}
	if err := s.check(ctx, m); err != nil {
		s.failed(fmt.Errorf("check: %w", err))
		return
	}
	if err := s.shake(ctx, m); err != nil {
		s.failed(fmt.Errorf("handshake: %w", err))
	}
}

func (s *Stream) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truth.Security = err
	s.sec.err = err
	if s.sec.spec.DTLS && s.sec.out == nil {
		random := make([]byte, 30)
		_, _ = rand.Read(random)
		s.sec.use(srtp.ProtectionProfileAes128CmHmacSha1_80, random, random)
	}
}
