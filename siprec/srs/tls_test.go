package srs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestTLSCall makes a call with each version of TLS; what we send inside it says TLS, and comes over the client's connection.
func TestTLSCall(t *testing.T) {
	ca := newAuthority(t)
	for name, x := range map[string]struct {
		version uint16
		uri     string // of the client's Contact
		contact string // ours, with the listener for %s
	}{
		"1.3":  {tls.VersionTLS13, "sip:src@127.0.0.1:5061;transport=tls", "<sip:greffier@%s;transport=tls>;+sip.srs"},
		"1.2":  {tls.VersionTLS12, "sip:src@127.0.0.1;transport=tls", "<sip:greffier@%s;transport=tls>;+sip.srs"},
		"sips": {tls.VersionTLS13, "sips:src@127.0.0.1", "<sips:greffier@%s>;+sip.srs"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newFake(t)
			r := start(t, rec, secured(t, ca, false))
			cfg := ca.client()
			cfg.MaxVersion = x.version
			c := dialTLS(t, r.listener("tls"), cfg).caller()
			ok := c.open(multipartType, both("sendonly"), "Contact: <"+x.uri+">;+sip.src")
			_, addr, _ := strings.Cut(r.listener("tls"), "://")
			if got, want := ok.header.Get("Contact"), fmt.Sprintf(x.contact, addr); got != want {
				t.Errorf("Contact %q, want %q", got, want)
			}
			in := take(t, "Begin", rec.begins)
			if in.SRC != "loopback" {
				t.Errorf("SRC %q", in.SRC)
			}
			done := make(chan error, 1)
			go func() { done <- r.server.Hangup(context.Background(), in.Dialog, siprec.EndOperator, "") }()
			bye := c.request("BYE")
			if via := bye.header.Get("Via"); !strings.HasPrefix(via, "SIP/2.0/TLS "+addr+";") {
				t.Errorf("Via %q", via)
			}
			c.reply(bye, "200 OK")
			if err := take(t, "return of Hangup", done); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("1.1", func(t *testing.T) {
		r := start(t, newFake(t), secured(t, ca, false))
		cfg := ca.client()
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		if _, err := tryTLS(t, r.listener("tls"), "", cfg); err == nil {
			t.Error("TLS 1.1 is spoken")
		}
	})
}

// TestMutualTLS: who a request is from follows from its certificate and address; who is nobody gets 403, and is reported.
func TestMutualTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	sources := []srs.Source{
		named("anywhere", []string{"sbc1.example.com"}),
		named("both", []string{"SBC2.example.com", "sbc3.example.com"}, "127.0.0.2/32"),
		named("twin", []string{"twin.example.com"}, "127.0.0.2/32"),
		named("address", nil, "127.0.0.0/29"),
	}
	usage := func(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.ExtKeyUsage = u }
	}
	cn := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name }
	}
	cases := map[string]struct {
		from string
		by   *authority
		cert []string // names; nil: no certificate
		with func(*x509.Certificate)
		src  string // "": refused
		why  string // reason of the 403, "" with src "": the handshake fails
	}{
		"DNS name":                  {from: "127.0.0.9", cert: []string{"x.example.com", "SBC1.Example.com"}, src: "anywhere"},
		"SIP URI":                   {from: "127.0.0.9", cert: []string{"sip:sbc1.example.com"}, src: "anywhere"},
		"SIP URI with port":         {from: "127.0.0.9", cert: []string{"sip:sbc1.example.com:5061;transport=tls"}, src: "anywhere"},
		"SIP URI of a person":       {from: "127.0.0.9", cert: []string{"sip:me@sbc1.example.com"}, why: "names no configured source"},
		"SIPS URI":                  {from: "127.0.0.9", cert: []string{"sips:sbc1.example.com"}, why: "names no configured source"},
		"common name":               {from: "127.0.0.9", cert: []string{}, with: cn("sbc1.example.com"), src: "anywhere"},
		"common name and other":     {from: "127.0.0.9", cert: []string{"x.example.com"}, with: cn("sbc1.example.com"), why: "names no configured source"},
		"wildcard":                  {from: "127.0.0.9", cert: []string{"*.example.com"}, why: "names no configured source"},
		"suffix":                    {from: "127.0.0.9", cert: []string{"a.sbc1.example.com"}, why: "names no configured source"},
		"both match":                {from: "127.0.0.2", cert: []string{"sbc3.example.com"}, src: "both"},
		"twin":                      {from: "127.0.0.2", cert: []string{"twin.example.com"}, src: "twin"},
		"name at another address":   {from: "127.0.0.3", cert: []string{"sbc2.example.com"}, why: "does not have this address"},
		"address with another name": {from: "127.0.0.2", cert: []string{"x.example.com"}, why: "asks for TLS and a certificate"},
		"name beats address":        {from: "127.0.0.2", cert: []string{"sbc1.example.com"}, src: "anywhere"},
		"address only":              {from: "127.0.0.3", cert: []string{"x.example.com"}, src: "address"},
		"server's usage":            {from: "127.0.0.9", cert: []string{"sbc1.example.com"}, with: usage(x509.ExtKeyUsageServerAuth), src: "anywhere"},
		"usage for SIP": {from: "127.0.0.9", cert: []string{"sbc1.example.com"}, src: "anywhere", with: func(c *x509.Certificate) {
			c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 20}}
		}},
		"usage for code":    {from: "127.0.0.9", cert: []string{"sbc1.example.com"}, with: usage(x509.ExtKeyUsageCodeSigning)},
		"another authority": {from: "127.0.0.3", by: other, cert: []string{"sbc1.example.com"}},
		"expired": {from: "127.0.0.3", cert: []string{"sbc1.example.com"}, with: func(c *x509.Certificate) {
			c.NotAfter = time.Now().Add(-time.Hour)
		}},
		"no certificate": {from: "127.0.0.3", why: "a client certificate is needed"},
	}
	rec := newFake(t)
	r := start(t, rec, secured(t, ca, true, sources...))
	for name, x := range cases {
		t.Run(name, func(t *testing.T) {
			cfg := ca.client()
			if x.cert != nil {
				by, with := ca, func(*x509.Certificate) {}
				if x.by != nil {
					by = x.by
				}
				if x.with != nil {
					with = x.with
				}
				cert := by.issue(x.cert, with)
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			}
			p, err := tryTLS(t, r.listener("tls"), x.from, cfg)
			if x.src == "" && x.why == "" {
				if err == nil { // with TLS 1.3 the client learns it at its first read
					if _, err = p.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
						t.Errorf("the connection lives: %v", err)
					}
				}
				if got := r.refusal(403); got.Method != "" || got.Reason != "the client's certificate was not accepted" {
					t.Errorf("report %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c := p.caller()
			if x.src != "" {
				c.open(multipartType, both("sendonly"))
				if in := take(t, "Begin", rec.begins); in.SRC != x.src {
					t.Errorf("SRC %q, want %q", in.SRC, x.src)
				}
				c.bye()
				return
			}
			c.expect(c.ask("INVITE", multipartType, both("sendonly")), 403)
			if got := r.refusal(403); got.Method != "INVITE" || got.SRC != "" || !strings.Contains(got.Reason, x.why) || got.Source.Addr().String() != x.from {
				t.Errorf("report %+v, want %q", got, x.why)
			}
			if _, err := c.conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still open")
			}
		})
	}
}

// TestNamesNeedTLS: a profile with names is not met without its certificate, even from its own address.
func TestNamesNeedTLS(t *testing.T) {
	ca := newAuthority(t)
	r := start(t, newFake(t), secured(t, ca, true, named("sbc", []string{"sbc.example.com"}, "127.0.0.1/32"), named("net", nil, "127.0.0.0/8")),
		func(c *srs.Config) { c.Listen = append(c.Listen, "udp://127.0.0.1:0", "tcp://127.0.0.1:0") })
	for _, network := range []string{"udp", "tcp"} {
		c := r.dial(network).caller()
		c.expect(c.ask("INVITE", multipartType, both("sendonly")), 403)
		if got := r.refusal(403); !strings.Contains(got.Reason, "asks for TLS") {
			t.Errorf("report %+v", got)
		}
		neighbour := dial(t, r.listener(network), "127.0.0.2").caller()
		neighbour.expect(neighbour.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	}
}

// TestDialogOfACertificate: another client that knows a dialog's identifiers cannot touch it.
func TestDialogOfACertificate(t *testing.T) {
	ca := newAuthority(t)
	rec := newFake(t)
	r := start(t, rec, secured(t, ca, true, named("one", []string{"one.example.com"}), named("two", []string{"two.example.com"})))
	one := dialTLS(t, r.listener("tls"), ca.client(ca.issue([]string{"one.example.com"})))
	c := one.caller()
	c.open(multipartType, both("sendonly"))
	c.peer = dialTLS(t, r.listener("tls"), ca.client(ca.issue([]string{"two.example.com"})))
	c.expect(c.ask("BYE", "", ""), 481)
	c.expect(c.ask("INVITE", multipartType, both("inactive")), 481)
	c.ack("", "")
	c.peer = one
	c.bye()
}

// TestHangupOverNewTLSConnection: when the client's connection is gone, the BYE goes over one of ours, to its certificate only.
func TestHangupOverNewTLSConnection(t *testing.T) {
	ca := newAuthority(t)
	for name, certificate := range map[string]string{"right": "sbc.example.com", "wrong": "other.example.com"} {
		t.Run(name, func(t *testing.T) {
			rec := newFake(t)
			r := start(t, rec, secured(t, ca, true, named("sbc", []string{"sbc.example.com"}, "127.0.0.1/32")))
			own, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: []tls.Certificate{ca.issue([]string{certificate})}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			c := dialTLS(t, r.listener("tls"), ca.client(ca.issue([]string{"sbc.example.com"}))).caller()
			c.open(multipartType, both("sendonly"), "Contact: <sip:src@"+own.Addr().String()+";transport=tls>")
			id := take(t, "Begin", rec.begins).Dialog
			c.expect(c.ask("INFO", "", ""), 200) // the ACK was heard
			_ = c.conn.Close()
			waitFor(t, "the connection to go", func() bool { return r.server.Connections() == 0 })
			done := make(chan error, 1)
			go func() { done <- r.server.Hangup(context.Background(), id, siprec.EndOperator, "") }()
			conn, err := own.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if name == "wrong" {
				if err := conn.(*tls.Conn).Handshake(); err == nil {
					_, err = conn.Read(make([]byte, 1))
					if err == nil {
						t.Error("something came to a client that nobody knows")
					}
				}
				if take(t, "return of Hangup", done) == nil {
					t.Error("Hangup succeeded")
				}
				return
			}
			back := dialed(t, conn)
			back.reply(back.request("BYE"), "200 OK")
			if err := take(t, "return of Hangup", done); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReload: a new certificate and new authorities are taken up by Reload and by themselves, connections stay, and broken files
// change nothing.
func TestReload(t *testing.T) {
	ca, next := newAuthority(t), newAuthority(t)
	rec := newFake(t)
	var f srs.TLSFiles
	r := start(t, rec, secured(t, ca, true, named("sbc", []string{"sbc.example.com"})), func(c *srs.Config) { f = c.TLS })
	good := func(server, client *authority) error {
		cfg := server.client(client.issue([]string{"sbc.example.com"}))
		p, err := tryTLS(t, r.listener("tls"), "", cfg)
		if err != nil {
			return err
		}
		c := p.caller()
		c.send(c.compose("OPTIONS", "", "", "To: <sip:x@y>"))
		if m, ok := c.read(patience); !ok || m.status() != 200 {
			return fmt.Errorf("answered with %q", m.start)
		}
		return nil
	}
	c := dialTLS(t, r.listener("tls"), ca.client(ca.issue([]string{"sbc.example.com"}))).caller()
	c.open(multipartType, both("sendonly"))
	session := ca.client(ca.issue([]string{"sbc.example.com"}))
	session.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for range 2 { // the second one resumes the first one's session
		p := dialTLS(t, r.listener("tls"), session).caller()
		p.expect(p.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	}

	secret := "MC4CAQAwBQYDK2VwBCIEIKnotakey"
	for path, content := range map[string]string{
		f.Cert: "nothing", f.Key: "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n", f.ClientCA: "-----BEGIN X-----\nAAAA\n-----END X-----\n",
	} {
		was, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.server.ReloadCertificates(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("broken %s: %v", path, err)
			}
		}
		if err := good(ca, ca); err != nil {
			t.Errorf("with a broken %s: %v", path, err)
		}
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.logs.FilterMessageSnippet("not reloaded").Len(); n != 6 {
		t.Errorf("%d lines say so, want 6", n)
	}
	for _, e := range r.logs.All() {
		if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), secret) {
			t.Errorf("the log has the key: %v", e.ContextMap())
		}
	}

	write(t, f, next.issue([]string{"127.0.0.1"}), next)
	if err := r.server.ReloadCertificates(); err != nil {
		t.Fatal(err)
	}
	if err := good(next, next); err != nil {
		t.Errorf("with the new authority: %v", err)
	}
	if good(ca, ca) == nil {
		t.Error("the old certificate is still there")
	}
	if good(next, ca) == nil {
		t.Error("a client of the old authority is let in")
	}
	session.RootCAs = next.pool()
	if p, err := tryTLS(t, r.listener("tls"), "", session); err == nil {
		if _, err := p.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Error("a session of the old authority is resumed")
		}
	}
	c.expect(c.ask("INVITE", multipartType, both("inactive")), 200) // the call goes on
	c.ack("", "")
	c.bye()
}

// TestReloadByItself sees changed files without being told.
func TestReloadByItself(t *testing.T) {
	ca, next := newAuthority(t), newAuthority(t)
	var f srs.TLSFiles
	r := startEager(t, newFake(t), secured(t, ca, false), func(c *srs.Config) { f = c.TLS })
	dialTLS(t, r.listener("tls"), ca.client())
	if err := os.Remove(f.Key); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a word about the key", func() bool { return r.logs.FilterMessageSnippet("not reloaded").Len() > 0 })
	write(t, f, next.issue([]string{"127.0.0.1"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }))
	waitFor(t, "the new certificate", func() bool {
		_, err := tryTLS(t, r.listener("tls"), "", next.client())
		return err == nil
	})
	if r.logs.FilterMessageSnippet("expires soon").Len() == 0 {
		t.Error("nobody is told that the certificate ends")
	}
	if n := r.logs.FilterMessageSnippet("not reloaded").Len(); n > 2 { // the file's absence, and half of a pair
		t.Errorf("%d lines about the same trouble", n)
	}
}

// TestTLSInPieces sends an INVITE of 60 KB in small writes, each a record of its own.
func TestTLSInPieces(t *testing.T) {
	ca := newAuthority(t)
	rec := newFake(t)
	r := start(t, rec, secured(t, ca, false))
	c := dialTLS(t, r.listener("tls"), ca.client()).caller()
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("%s-%d", strings.Repeat("participant", 5), i))
	}
	c.seq = 1
	invite := c.compose("INVITE", multipartType, multipart([2]string{"application/sdp", offer("sendonly")}, [2]string{metadataType, metadata(names...)}))
	if len(invite) < 60_000 {
		t.Fatalf("the INVITE has %d bytes only", len(invite))
	}
	for len(invite) > 0 {
		n := min(997, len(invite))
		c.send(invite[:n])
		invite = invite[n:]
	}
	c.toTag = c.expect("1 INVITE", 200).toTag()
	if in := take(t, "Begin", rec.begins); len(in.Metadata.Participants) != 200 {
		t.Errorf("%d participants", len(in.Metadata.Participants))
	}
	c.ack("", "")
	c.bye()
}

// TestTLSGarbage: noise, plain SIP and silence on a TLS port hurt nobody, are not kept, and do not fill the log.
func TestTLSGarbage(t *testing.T) {
	ca := newAuthority(t)
	r := start(t, newFake(t), secured(t, ca, true, named("sbc", []string{"sbc.example.com"}), named("known", nil, "127.0.0.1/32")))
	_, addr, _ := strings.Cut(r.listener("tls"), "://")
	noise := [][]byte{
		[]byte("OPTIONS sip:x SIP/2.0\r\n\r\n"), bytes.Repeat([]byte{0}, 4096), []byte("GET / HTTP/1.0\r\n\r\n"),
		{0x16, 3, 1, 0xff, 0xff, 1, 2, 3}, append([]byte{0x16, 3, 1, 0, 5, 1, 0, 0, 1}, 0), {0x80, 0x2e, 1, 0, 2},
	}
	for _, local := range []string{"127.0.0.1", "127.0.0.9"} {
		for range 10 {
			for _, b := range noise {
				c := dial(t, "tcp://"+addr, local)
				_, _ = c.conn.Write(b)
				if tcp, ok := c.conn.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
				_ = c.conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, c.conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("the connection is still open")
				}
			}
		}
	}
	var silent []*peer
	for range 40 { // more than one stranger's share
		silent = append(silent, dial(t, "tcp://"+addr, "127.0.0.9"))
	}
	c := dialTLS(t, r.listener("tls"), ca.client(ca.issue([]string{"sbc.example.com"}))).caller()
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	far, err := tryTLS(t, r.listener("tls"), "127.0.0.8", ca.client(ca.issue([]string{"sbc.example.com"})))
	if err != nil { // its address is nobody's, as that of the silent ones
		t.Fatal(err)
	}
	c = far.caller()
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	if n := r.server.Connections(); n > 2 {
		t.Errorf("%d connections are open", n)
	}
	for _, p := range silent {
		_ = p.conn.Close()
	}
	if n := r.logs.FilterLevelExact(1).Len(); n > 5 { // warnings
		t.Errorf("%d warnings", n)
	}
}

// TestTLSClose ends calls with a BYE, handshakes that are under way at once, and leaves no goroutine behind.
func TestTLSClose(t *testing.T) {
	ca := newAuthority(t)
	before := runtime.NumGoroutine()
	rec := newFake(t)
	cfg := srs.Config{}
	secured(t, ca, true, named("sbc", []string{"sbc.example.com"}))(&cfg)
	s, err := srs.New(cfg, rec)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	_, addr, _ := strings.Cut(s.Addrs()[0], "://")
	silent := dial(t, "tcp://"+addr, "")
	c := dialTLS(t, s.Addrs()[0], ca.client(ca.issue([]string{"sbc.example.com"}))).caller()
	c.open(multipartType, both("sendonly"))
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	c.reply(c.request("BYE"), "200 OK")
	if err := errors.Join(take(t, "end of Close", closed), take(t, "end of Serve", served)); err != nil {
		t.Error(err)
	}
	for _, p := range []*peer{silent, c.peer} {
		if _, ok := p.read(patience); ok {
			t.Error("something came after Close")
		}
		_ = p.conn.Close()
	}
	if s.Connections() != 0 {
		t.Errorf("%d connections are open", s.Connections())
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// TestTurnstile bounds those inside, from one address, and in a second.
func TestTurnstile(t *testing.T) {
	got := srs.Turn(3, 2, "192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "-192.0.2.1", "192.0.2.3", "-192.0.2.2", "192.0.2.1")
	if want := "in in out in out in in"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if got := srs.Turn(9, 1, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"); strings.Join(got, " ") != "in out in" {
		t.Errorf("IPv6: %v", got)
	}
}

// TestSameAddressAndPort: sipgo knows connections by the client's address and port; a second one with the same is turned away.
func TestSameAddressAndPort(t *testing.T) {
	ca := newAuthority(t)
	r := start(t, newFake(t), secured(t, ca, true, named("one", []string{"one.example.com"}), named("two", []string{"two.example.com"})),
		func(c *srs.Config) { c.Listen = append(c.Listen, "tls://127.0.0.1:0") })
	open := func(listener, name string, local net.Addr) (*tls.Conn, error) {
		d := &net.Dialer{Timeout: patience, LocalAddr: local, Control: reuseAddress}
		_, addr, _ := strings.Cut(listener, "://")
		return tls.DialWithDialer(d, "tcp", addr, ca.client(ca.issue([]string{name})))
	}
	first, err := open(r.server.Addrs()[0], "one.example.com", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	c := dialed(t, first).caller()
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	second, err := open(r.server.Addrs()[1], "two.example.com", first.LocalAddr())
	if err == nil {
		_ = second.SetReadDeadline(time.Now().Add(patience))
		if _, err = second.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the second connection lives: %v", err)
		}
		_ = second.Close()
	}
	waitFor(t, "a word about it", func() bool { return r.logs.FilterMessageSnippet("this address and port").Len() == 1 })
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
}

// TestOpenSSL: a client that nobody here wrote gets its answer, over IPv4 and IPv6.
func TestOpenSSL(t *testing.T) {
	ca := newAuthority(t)
	f := files(t, true)
	write(t, f, ca.issue([]string{"127.0.0.1", "::1"}), ca)
	client := files(t, true)
	write(t, client, ca.issue([]string{"sip:sbc.example.com"}), ca)
	r := start(t, newFake(t), func(c *srs.Config) {
		c.Listen, c.TLS = []string{"tls://127.0.0.1:0", "tls://[::1]:0"}, f
		c.Sources = []srs.Source{named("sbc", []string{"sbc.example.com"})}
	})
	for _, listener := range r.server.Addrs() {
		for status, args := range map[string][]string{
			"SIP/2.0 200 OK":        {"-cert", client.Cert, "-key", client.Key},
			"SIP/2.0 403 Forbidden": {"-tls1_2"},
		} {
			_, addr, _ := strings.Cut(listener, "://")
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "openssl", append([]string{"s_client", "-quiet", "-verify_return_error", "-connect", addr, "-CAfile", client.ClientCA}, args...)...)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(in, "OPTIONS sip:srs@example.com SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"+
				"From: <sip:a@example.com>;tag=1\r\nTo: <sip:srs@example.com>\r\nCall-ID: openssl\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
			first := make([]byte, len(status))
			if _, err := io.ReadFull(out, first); err != nil || string(first) != status {
				t.Errorf("%s %v: %q, %v, want %q\n%s", listener, args, first, err, status, said.String())
			}
			cancel()
			_ = cmd.Wait() // it was killed
		}
	}
}

// TestTLSConfigErrors: each says what to do.
func TestTLSConfigErrors(t *testing.T) {
	ca, f := newAuthority(t), files(t, true)
	write(t, f, ca.issue([]string{"127.0.0.1"}), ca)
	stray := files(t, true)
	write(t, stray, ca.issue([]string{"127.0.0.1"}), ca)
	oneWay := srs.TLSFiles{Cert: f.Cert, Key: f.Key}
	names := []string{"sbc.example.com"}
	for name, x := range map[string]struct {
		listen  string
		files   srs.TLSFiles
		sources []srs.Source
		want    string
	}{
		"good":             {"tls", f, []srs.Source{named("a", names)}, ""},
		"no key":           {"tls", srs.TLSFiles{Cert: f.Cert}, nil, "set tls_cert and tls_key"},
		"missing":          {"tls", srs.TLSFiles{Cert: f.Cert + "x", Key: f.Key}, nil, "no such file"},
		"mismatch":         {"tls", srs.TLSFiles{Cert: f.Cert, Key: stray.Key}, nil, "does not match"},
		"key for a cert":   {"tls", srs.TLSFiles{Cert: f.Key, Key: f.Key}, nil, "read certificate"},
		"key among the CA": {"tls", srs.TLSFiles{Cert: f.Cert, Key: f.Key, ClientCA: f.Key}, nil, "put certificates only there"},
		"unused and bad":   {"udp", srs.TLSFiles{Cert: f.Cert, Key: stray.Key}, nil, "does not match"},
		"names, no TLS":    {"udp", f, []srs.Source{named("a", names)}, "add a listener such as tls://"},
		"names, no CA":     {"tls", oneWay, []srs.Source{named("a", names)}, "set tls_client_ca"},
		"wildcard":         {"tls", f, []srs.Source{named("a", []string{"*.example.com"})}, "without scheme or wildcard"},
		"URI":              {"tls", f, []srs.Source{named("a", []string{"sip:sbc.example.com"})}, "without scheme or wildcard"},
		"name twice":       {"tls", f, []srs.Source{named("a", names), named("b", names)}, "both have TLS name"},
		"name, two places": {"tls", f, []srs.Source{named("a", names, "192.0.2.1/32"), named("b", names, "192.0.2.2/32")}, ""},
		"name and place":   {"tls", f, []srs.Source{named("a", names, "192.0.2.1/32"), named("b", names, "192.0.2.1/32")}, "both have prefix 192.0.2.1/32 and TLS name"},
		"two names":        {"tls", f, []srs.Source{named("a", names, "192.0.2.1/32"), named("b", []string{"x.example.com"}, "192.0.2.1/32")}, ""},
		"one has names":    {"tls", f, []srs.Source{named("a", names, "192.0.2.1/32"), named("b", nil, "192.0.2.1/32")}, "both have prefix"},
		"other has names":  {"tls", f, []srs.Source{named("b", nil, "192.0.2.1/32"), named("a", names, "192.0.2.1/32")}, "both have prefix"},
	} {
		_, err := srs.New(srs.Config{Listen: []string{x.listen + "://127.0.0.1:0"}, TLS: x.files, Sources: x.sources}, newFake(t))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: error %v, want %q", name, err, x.want)
		}
	}
}
