package media

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
	"github.com/pion/srtp/v3"
	"go.uber.org/zap"
)

const (
	// handshakeLimit is how long a DTLS handshake may take.
	handshakeLimit = 10 * time.Second

	// handshakeEvery is the least time between two handshakes of one socket: each costs a signature.
	handshakeEvery = int64(500 * time.Millisecond)

	// handshakeAgain is how long after the beginning of a handshake of ours that failed another one begins.
	handshakeAgain = int64(5 * time.Second)

	// associationLinger is how long an association is kept after its keys are agreed: the peer may not have our last flight, and
	// repeats its own after 1, 2, 4 and 8 s. Nothing else is said in it.
	associationLinger = 20 * time.Second

	// handshakeFlight is how soon a flight of messages is repeated; it doubles (RFC 6347 section 4.2.4).
	handshakeFlight = 500 * time.Millisecond

	// maxHandshakeQueue bounds the bytes of DTLS that wait for the handshake's goroutine.
	maxHandshakeQueue = 64 << 10

	// certificateLife is how long our certificate is valid. A peer checks its fingerprint; some look at the dates too.
	certificateLife = 5 * 365 * 24 * time.Hour
)

var (
	errNotKeyed  = errors.New("the stream's keys are not agreed yet")
	errWrongPeer = errors.New("the certificate is not the one whose fingerprint was offered")
)

// An identity is the self-signed certificate of this process. Nothing but its fingerprint, in our answers, makes it ours.
type identity struct {
	certificate tls.Certificate
	fingerprint Fingerprint
}

func newIdentity() (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, fmt.Errorf("make DTLS key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return identity{}, fmt.Errorf("make DTLS certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: "greffier"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return identity{}, fmt.Errorf("make DTLS certificate: %w", err)
	}
	sum := sha256.Sum256(der)
	return identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		fingerprint: Fingerprint{Hash: "sha-256", Sum: sum[:]},
	}, nil
}

// Fingerprint is that of the certificate with which this receiver shakes hands.
func (r *Receiver) Fingerprint() Fingerprint { return r.identity.fingerprint }

// matches tells whether a certificate has one of the fingerprints.
func (d *DTLS) matches(der []byte) bool {
	for _, f := range d.Fingerprints {
		var sum []byte
		switch f.Hash {
		case "sha-256":
			s := sha256.Sum256(der)
			sum = s[:]
		case "sha-384":
			s := sha512.Sum384(der)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(der)
			sum = s[:]
		}
		if len(sum) > 0 && string(sum) == string(f.Sum) {
			return true
		}
	}
	return false
}

// A handshake is one DTLS association, with a goroutine of its own that the recording's end waits for.
type handshake struct {
	pipe   *pipe
	cancel context.CancelFunc
	agreed atomic.Pointer[keys]
	failed atomic.Bool
	ended  chan struct{}

	// The recording's mu protects these.
	answered bool // the peer sent more than hellos
	taken    bool // the keys are the stream's
}

func newHandshake(r *Receiver, terms *DTLS, p *pipe) *handshake {
	p.in.SetLimitSize(maxHandshakeQueue)
	ctx, cancel := context.WithCancel(context.Background())
	h := &handshake{pipe: p, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		defer cancel()
		if err := h.run(ctx, r, terms); err != nil {
			h.failed.Store(true)
			if ctx.Err() == nil {
				r.log.Warn("DTLS handshake failed", zap.Int("port", p.socket.port), zap.Error(err))
			}
		}
	}()
	return h
}

// going tells that keys may still come of it; pending that some do or may, which are not the stream's yet; done that there is none, or
// one that has failed.
func (h *handshake) going() bool   { return h != nil && h.agreed.Load() == nil && !h.failed.Load() }
func (h *handshake) pending() bool { return !h.done() && !h.taken }
func (h *handshake) done() bool    { return h == nil || h.failed.Load() }

// over tells that its goroutine has ended.
func (h *handshake) over() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

func (h *handshake) keys() *keys { return h.agreed.Load() }

// stop ends the association, with a word to the peer if it lasts still, and waits for its goroutine.
func (h *handshake) stop() {
	h.cancel()
	<-h.ended
}

// run shakes hands, tells the keys, and then keeps the association for the peer's repetitions, for a while or until ctx ends. It goes
// without a word then: to many a peer a close_notify is the end of the media (RFC 5764 does not ask for one).
func (h *handshake) run(ctx context.Context, r *Receiver, terms *DTLS) (err error) {
	conn, err := h.open(r, terms)
	if err != nil {
		return errors.Join(err, h.pipe.Close())
	}
	limited, cancel := context.WithTimeout(ctx, handshakeLimit)
	defer cancel()
	if err := conn.HandshakeContext(limited); err != nil {
		_ = conn.Close() // it has failed already
		return fmt.Errorf("shake hands: %w", err)
	}
	agreed, err := agreedKeys(conn, terms.Active)
	if err != nil {
		_ = conn.Close()
		return err
	}
	h.agreed.Store(agreed)
	_ = conn.SetReadDeadline(time.Now().Add(r.linger))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for buf := make([]byte, datagramSize); ; {
		if _, err := conn.Read(buf); err != nil { // nobody has anything to say here
			if ctx.Err() == nil {
				h.pipe.muted.Store(true)
			}
			_ = conn.Close()
			return nil
		}
	}
}

func (h *handshake) open(r *Receiver, terms *DTLS) (*dtls.Conn, error) {
	verify := func(raw [][]byte, _ [][]*x509.Certificate) error {
		if len(raw) == 0 || !terms.matches(raw[0]) {
			return errWrongPeer
		}
		return nil
	}
	both := []dtls.Option{
		dtls.WithCertificates(r.identity.certificate),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithInsecureSkipVerify(true), // there is no chain: the fingerprint is the proof, and verify asks for it
		dtls.WithVerifyPeerCertificate(verify),
		dtls.WithFlightInterval(handshakeFlight),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	}
	peer := net.UDPAddrFromAddrPort(h.pipe.peer)
	if terms.Active {
		options := make([]dtls.ClientOption, 0, len(both))
		for _, o := range both {
			options = append(options, o)
		}
		conn, err := dtls.ClientWithOptions(h.pipe, peer, options...)
		if err != nil {
			return nil, fmt.Errorf("begin handshake: %w", err)
		}
		return conn, nil
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range both {
		options = append(options, o)
	}
	conn, err := dtls.ServerWithOptions(h.pipe, peer, options...)
	if err != nil {
		return nil, fmt.Errorf("begin handshake: %w", err)
	}
	return conn, nil
}

// agreedKeys takes the SRTP keys out of a finished handshake (RFC 5764 section 4.2).
func agreedKeys(conn *dtls.Conn, client bool) (*keys, error) {
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("the peer does not speak SRTP over this handshake")
	}
	state, ok := conn.ConnectionState()
	if !ok {
		return nil, errors.New("the handshake has no state")
	}
	// The numbers are the same: IANA's DTLS-SRTP protection profiles.
	c := srtp.Config{Profile: srtp.ProtectionProfile(chosen)}
	if err := c.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		return nil, fmt.Errorf("export SRTP keys: %w", err)
	}
	theirs := NewKey(append(c.Keys.RemoteMasterKey, c.Keys.RemoteMasterSalt...))
	ours := NewKey(append(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt...))
	return newKeys(c.Profile, []MasterKey{{Key: theirs}}, ours)
}
