package srs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
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
