package siprectest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v3"

	"github.com/greffier/greffier/siprec"
)

const (
	// secureLimit is how long checks or a handshake may take.
	secureLimit = 10 * time.Second
	// checkInterval is how soon a check is repeated.
	checkInterval = 100 * time.Millisecond
)

// An identity is a self-signed certificate.
type identity struct {
	certificate tls.Certificate
	sum         [sha256.Size]byte
}

func newIdentity() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return identity{}, err
	}
	return identity{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, sha256.Sum256(der)}, nil
}

// offered writes the fingerprint, or that of another certificate.
func (id identity) offered(wrong bool) string {
	sum := id.sum
	if wrong {
		sum[0] ^= 1
	}
	return fingerprint(sum[:])
}

func fingerprint(sum []byte) string {
	return "sha-256 " + strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum)), " ", ":")
}

// readAll takes what comes on the RTP socket until it is closed: answers to checks, DTLS, and reports with rtcp-mux.
func (s *Stream) readAll(conn *net.UDPConn) {
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		switch b := buf[:n]; {
		case n == 0:
		case b[0] <= 3:
			select {
			case s.sec.checks <- bytes.Clone(b):
			default:
			}
		case b[0] >= 20 && b[0] <= 63:
			_, _ = s.sec.dtlsIn.Write(b, nil)
		default:
			s.readReport(b)
		}
	}
}

// readReport counts the reports of one RTCP packet.
func (s *Stream) readReport(b []byte) {
	s.mu.Lock()
	plain, err := s.sec.openReport(b)
	s.mu.Unlock()
	if err != nil {
		return
	}
	if packets, err := rtcp.Unmarshal(plain); err == nil {
		s.count(packets)
	}
}

// check sends connectivity checks to the SRS's candidate until one is answered (RFC 8445 section 7.2).
func (s *Stream) check(ctx context.Context, m AnswerMedia) error {
	if !s.sec.spec.ICE || s.sec.checked {
		return nil
	}
	if !m.Lite || len(m.Candidates) == 0 {
		return errors.New("the answer has no ICE")
	}
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(m.Ufrag+":"+s.sec.ufrag),
		stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0x6e, 0, 1, 0xff}}, stun.RawAttribute{Type: stun.AttrICEControlling, Value: make([]byte, 8)},
		stun.RawAttribute{Type: stun.AttrUseCandidate}, stun.NewShortTermIntegrity(m.Pwd), stun.Fingerprint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, secureLimit)
	defer cancel()
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		if _, err := s.conn.WriteToUDPAddrPort(request.Raw, m.Addr); err != nil {
			return err
		}
		select {
		case b := <-s.sec.checks:
			s.sec.checked = true
			return s.checkAnswer(b, request.TransactionID, m.Pwd)
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Stream) checkAnswer(b []byte, id [stun.TransactionIDSize]byte, pwd string) error {
	answer := &stun.Message{Raw: b}
	var mapped stun.XORMappedAddress
	if err := errors.Join(answer.Decode(), answer.Check(stun.Fingerprint), answer.Check(stun.NewShortTermIntegrity(pwd)), mapped.GetFrom(answer)); err != nil {
		return err
	}
	local := addrPort(s.conn.LocalAddr())
	got, _ := netip.AddrFromSlice(mapped.IP)
	if answer.Type != stun.BindingSuccess || answer.TransactionID != id || netip.AddrPortFrom(got.Unmap(), uint16(mapped.Port)) != local {
		return fmt.Errorf("answer %s to a check from %s", answer, local)
	}
	return nil
}

// A pipe is the RTP socket as DTLS sees it.
type pipe struct {
	*Stream
	peer net.Addr
}

func (p pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := p.sec.dtlsIn.Read(b, nil)
	return n, p.peer, err
}
func (p pipe) WriteTo(b []byte, to net.Addr) (int, error) { return p.conn.WriteTo(b, to) }
func (p pipe) Close() error                               { return p.sec.dtlsIn.Close() }
func (p pipe) LocalAddr() net.Addr                        { return p.conn.LocalAddr() }
func (p pipe) SetDeadline(t time.Time) error              { return p.sec.dtlsIn.SetReadDeadline(t) }
func (p pipe) SetReadDeadline(t time.Time) error          { return p.sec.dtlsIn.SetReadDeadline(t) }
func (p pipe) SetWriteDeadline(time.Time) error           { return nil }

// shake runs the DTLS handshake.
func (s *Stream) shake(ctx context.Context, m AnswerMedia) error {
	if !s.sec.spec.DTLS || s.sec.shaken {
		return nil
	}
	conn, err := s.openDTLS(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, secureLimit)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		return errors.Join(err, conn.Close())
	}
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	state, known := conn.ConnectionState()
	if !ok || !known {
		return errors.Join(errors.New("no SRTP profile was agreed on"), conn.Close())
	}
	c := srtp.Config{Profile: srtp.ProtectionProfile(chosen)}
	if err := c.ExtractSessionKeysFromDTLS(&state, m.Setup == siprec.SetupPassive); err != nil {
		return errors.Join(err, conn.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sec.shaken = true
	s.sec.close = func() { _ = conn.Close() }
	s.sec.use(c.Profile, append(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt...), append(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt...))
	return s.sec.err
}

// openDTLS is the client when the SRS is passive, and the server when it is active.
func (s *Stream) openDTLS(m AnswerMedia) (*dtls.Conn, error) {
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) > 0 {
			sum := sha256.Sum256(raw[0])
			if strings.EqualFold(m.Fingerprint, fingerprint(sum[:])) {
				return nil
			}
		}
		return fmt.Errorf("the SRS's certificate is not %s", m.Fingerprint)
	}
	both := []dtls.Option{
		dtls.WithCertificates(s.sec.identity.certificate), dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	}
	to := net.UDPAddrFromAddrPort(m.Addr)
	switch m.Setup {
	case siprec.SetupPassive:
		var o []dtls.ClientOption
		for _, x := range both {
			o = append(o, x)
		}
		return dtls.ClientWithOptions(pipe{s, to}, to, o...)
	case siprec.SetupActive:
		o := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, x := range both {
			o = append(o, x)
		}
		return dtls.ServerWithOptions(pipe{s, to}, to, o...)
	}
	return nil, fmt.Errorf("the answer has setup %q", m.Setup)
}
