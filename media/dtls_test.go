package media_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"

	"github.com/greffier/greffier/media"
)

// newCertificate makes a certificate of a peer, and its fingerprint.
func newCertificate(t testing.TB) (tls.Certificate, media.Fingerprint) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, media.Fingerprint{Hash: "sha-256", Sum: sum[:]}
}

// keepOpen hides Close, so that the phone's socket survives a DTLS connection.
type keepOpen struct{ net.PacketConn }

func (keepOpen) Close() error { return nil }

func peerOptions(cert tls.Certificate) []dtls.Option {
	return []dtls.Option{
		dtls.WithCertificates(cert), dtls.WithInsecureSkipVerify(true),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80), dtls.WithFlightInterval(200 * time.Millisecond),
	}
}

// client prepares a handshake with where the phone sends to.
func (p *phone) client(cert tls.Certificate) *dtls.Conn {
	p.t.Helper()
	if err := p.conn.SetDeadline(time.Time{}); err != nil {
		p.t.Fatal(err)
	}
	var options []dtls.ClientOption
	for _, o := range peerOptions(cert) {
		options = append(options, o)
	}
	conn, err := dtls.ClientWithOptions(keepOpen{p.conn}, p.to, options...)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn
}

// server prepares one with whoever begins it from where the phone sends to.
func (p *phone) server(cert tls.Certificate) *dtls.Conn {
	p.t.Helper()
	if err := p.conn.SetDeadline(time.Time{}); err != nil {
		p.t.Fatal(err)
	}
	options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
	for _, o := range peerOptions(cert) {
		options = append(options, o)
	}
	conn, err := dtls.ServerWithOptions(keepOpen{p.conn}, p.to, options...)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn
}

// shake shakes hands, and gives what the phone seals with.
func (p *phone) shake(conn *dtls.Conn, client bool) *srtp.Context {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		p.t.Fatalf("handshake: %v", err)
	}
	state, _ := conn.ConnectionState()
	c := srtp.Config{Profile: srtp.ProtectionProfileAes128CmHmacSha1_80}
	if err := c.ExtractSessionKeysFromDTLS(&state, client); err != nil {
		p.t.Fatal(err)
	}
	out, err := srtp.CreateContext(c.Keys.LocalMasterKey, c.Keys.LocalMasterSalt, c.Profile)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// silence ends a connection of which the other side hears nothing.
func (p *phone) silence(conn *dtls.Conn) {
	if err := p.conn.SetDeadline(time.Unix(1, 0)); err != nil { // its reader lets go of the socket
		p.t.Fatal(err)
	}
	_ = conn.Close() // it cannot say anything any more
}

func (p *phone) local() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func passiveStream(fp media.Fingerprint) media.Stream {
	s := pcmu(0)
	s.RTCPMux = true
	s.Security.DTLS = &media.DTLS{Fingerprints: []media.Fingerprint{fp}}
	return s
}

func activeStream(fp media.Fingerprint, peer *phone) media.Stream {
	s := passiveStream(fp)
	s.Security.DTLS.Active, s.Security.DTLS.Peer = true, peer.local()
	return s
}

// An SRC that shakes hands again, because it moved, was restarted, or closed the association, is keyed again; the keys of before hold
// until then. One with another certificate is not, and changes nothing.
func TestSecondHandshake(t *testing.T) {
	cert, fp := newCertificate(t)
	for name, begin := range map[string]func(p *phone, conn *dtls.Conn){
		"closed":    func(p *phone, conn *dtls.Conn) { _ = conn.Close(); _ = p.conn.SetDeadline(time.Unix(1, 0)) },
		"restarted": func(p *phone, conn *dtls.Conn) { p.silence(conn) },
		"moved":     func(p *phone, _ *dtls.Conn) { p.moveTo(loopback) },
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{})
			sink := new(tape)
			rec := openRecording(t, r, sink, passiveStream(fp))
			p := newPhone(t, loopback, rec.Ports()[0])
			first := p.client(cert)
			before := p.shake(first, true)
			p.secureSend(before, filled(0x21))
			eventually(t, "the first packet", func() bool { return rec.Stats()[0].Packets == 1 })

			other, _ := newCertificate(t)
			q := newPhone(t, loopback, rec.Ports()[0])
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := q.client(other).HandshakeContext(ctx); err == nil {
				t.Log("the client took it for done") // our refusal comes after its last flight
			}
			p.secureSend(before, filled(0x22))
			eventually(t, "a packet after another's handshake", func() bool { return rec.Stats()[0].Packets == 2 })

			begin(p, first)
			after := p.shake(p.client(cert), true)
			p.secureSend(after, filled(0x23))
			p.secureSend(before, filled(0x24))
			eventually(t, "packets under both keys", func() bool { return rec.Stats()[0].Packets == 4 })
			if s := closeRecording(t, rec).Streams[0]; s.AuthFailed != 0 || !sink.contains(0x23) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A hello from elsewhere does not keep the peer out.
func TestStrayHello(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	cert, fp := newCertificate(t)
	rec := openRecording(t, r, new(tape), passiveStream(fp))
	caught := newPhone(t, loopback, 1)
	from := newPhone(t, loopback, int(caught.local().Port()))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	conn := from.client(cert)
	go func() { ended <- conn.HandshakeContext(ctx) }()
	buf := make([]byte, 2000)
	n, _, err := caught.conn.ReadFromUDPAddrPort(buf)
	cancel()
	<-ended
	if err != nil {
		t.Fatal(err)
	}
	stray := newPhone(t, loopback, rec.Ports()[0])
	stray.raw(buf[:n])
	stray.answered()
	p := newPhone(t, loopback, rec.Ports()[0])
	p.secureSend(p.shake(p.client(cert), true), filled(0x21))
	eventually(t, "the packet", func() bool { return rec.Stats()[0].Packets == 1 })
	closeRecording(t, rec)
}

// A handshake of ours that failed is begun again, and one with a peer that moved goes to where it is.
func TestActiveAgain(t *testing.T) {
	for name, moves := range map[string]bool{"failed": false, "moved": true} {
		t.Run(name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{})
			r.Hasten(time.Minute, 100*time.Millisecond)
			cert, fp := newCertificate(t)
			p := newPhone(t, loopback, 1)
			rec := openRecording(t, r, new(tape), activeStream(fp, p))
			p.at = netip.AddrPortFrom(loopback, uint16(rec.Ports()[0]))
			p.to = net.UDPAddrFromAddrPort(p.at)
			p.answered() // our hello
			if moves {
				p.moveTo(loopback)
				if err := rec.Update([]media.Stream{activeStream(fp, p)}); err != nil {
					t.Fatal(err)
				}
			} else {
				p.raw([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40}) // fatal: handshake_failure
			}
			p.secureSend(p.shake(p.server(cert), false), filled(0x21))
			eventually(t, "the packet", func() bool { return rec.Stats()[0].Packets == 1 })
			closeRecording(t, rec)
		})
	}
}

// A peer of ours that moves and does not shake hands again is heard under the keys of before.
func TestActivePeerMovesSilently(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	r.Hasten(time.Minute, 50*time.Millisecond)
	cert, fp := newCertificate(t)
	p := newPhone(t, loopback, 1)
	rec := openRecording(t, r, new(tape), activeStream(fp, p))
	p.at = netip.AddrPortFrom(loopback, uint16(rec.Ports()[0]))
	p.to = net.UDPAddrFromAddrPort(p.at)
	out := p.shake(p.server(cert), false)
	p.secureSend(out, filled(0x21))
	eventually(t, "a packet", func() bool { return rec.Stats()[0].Packets == 1 })
	p.moveTo(loopback)
	if err := rec.Update([]media.Stream{activeStream(fp, p)}); err != nil {
		t.Fatal(err)
	}
	p.answered() // our hello
	p.secureSend(out, filled(0x21))
	eventually(t, "another packet", func() bool { return rec.Stats()[0].Packets == 2 })
	closeRecording(t, rec)
}

// An association ends a while after its keys are agreed, without a word; the keys hold.
func TestAssociationEnds(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	r.Hasten(time.Millisecond, time.Minute)
	cert, fp := newCertificate(t)
	rec := openRecording(t, r, new(tape), passiveStream(fp))
	p := newPhone(t, loopback, rec.Ports()[0])
	conn := p.client(cert)
	out := p.shake(conn, true)
	p.secureSend(out, filled(0x21))
	eventually(t, "the association is gone", func() bool { return rec.Associations() == 0 && rec.Stats()[0].Packets == 1 })
	p.secureSend(out, filled(0x21))
	eventually(t, "another packet", func() bool { return rec.Stats()[0].Packets == 2 })
	closeRecording(t, rec)
	// A close_notify would have ended the peer's side.
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Errorf("the peer heard of the end: %v", err)
	}
	p.silence(conn)
}
