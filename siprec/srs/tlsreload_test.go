package srs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/srs"
)

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
