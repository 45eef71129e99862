package srs_test

import (
	"bytes"
	"context"
	"crypto/tls"
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

	"github.com/greffier/greffier/siprec/srs"
)

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
