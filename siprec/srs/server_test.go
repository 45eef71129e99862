package srs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

func TestConfigErrors(t *testing.T) {
	sbc := func(prefixes ...string) srs.Source {
		s := srs.Source{Name: "sbc"}
		for _, p := range prefixes {
			s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
		}
		return s
	}
	other := sbc("192.0.2.1/24")
	other.Name = "other"
	for name, x := range map[string]struct {
		cfg  srs.Config
		want string // part of the error; "" for none
	}{
		"nothing":             {srs.Config{}, "nothing to listen on"},
		"no network":          {srs.Config{Listen: []string{"127.0.0.1:5060"}}, "udp://"},
		"tls":                 {srs.Config{Listen: []string{"tls://127.0.0.1:5060"}}, "set tls_cert and tls_key"},
		"name":                {srs.Config{Listen: []string{"udp://sbc:5060"}}, "write an IP address"},
		"loopback":            {srs.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://[::1]:0"}}, ""},
		"everywhere":          {srs.Config{Listen: []string{"udp://0.0.0.0:0"}}, "list the SRCs"},
		"one of them outside": {srs.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://[::]:0"}}, "list the SRCs"},
		"with sources":        {srs.Config{Listen: []string{"udp://0.0.0.0:0"}, Sources: []srs.Source{sbc("192.0.2.0/24")}}, ""},
		"source twice":        {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, Sources: []srs.Source{sbc("192.0.2.0/24"), sbc("192.0.3.0/24")}}, "twice"},
		"prefix twice":        {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, Sources: []srs.Source{sbc("192.0.2.0/24"), other}}, "both have prefix"},
		"no prefix":           {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, Sources: []srs.Source{sbc()}}, "no prefixes"},
		"no name":             {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, Sources: []srs.Source{{}}}, "no name"},
		"bad prefix":          {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, Sources: []srs.Source{{Name: "x", Prefixes: make([]netip.Prefix, 1)}}}, "not valid"},
		"negative":            {srs.Config{Listen: []string{"udp://127.0.0.1:0"}, MaxDialogs: -1}, "positive"},
	} {
		_, err := srs.New(x.cfg, newFake(t))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s: error %v, want %q", name, err, x.want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := srs.New(srs.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://" + l.Addr().String()}}, newFake(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "listen on tcp://") {
		t.Errorf("Serve: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Serve(t.Context()); err == nil {
		t.Error("Serve after Close gave no error")
	}
}

// TestLargeMessages sends an INVITE of 20 KB over UDP, whose answer is much longer than 1300 bytes.
func TestLargeMessages(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		directions := strings.Split(strings.Repeat("sendonly ", 30), " ")[:30]
		var names []string
		for i := range 60 {
			names = append(names, fmt.Sprintf("%s-%d", strings.Repeat("participant", 5), i))
		}
		body := multipart([2]string{"application/sdp", offer(directions...)}, [2]string{metadataType, metadata(names...)})
		if len(body) < 20_000 {
			t.Fatalf("the body has %d bytes only", len(body))
		}
		ok := c.open(multipartType, body)
		if len(ok.body) < 1500 || strings.Count(ok.body, "m=audio") != 30 {
			t.Errorf("answer of %d bytes", len(ok.body))
		}
		if in := take(t, "Begin", rec.begins); len(in.Metadata.Participants) != 60 {
			t.Errorf("%d participants", len(in.Metadata.Participants))
		}
		c.bye()
	})
}

func TestTCPInPieces(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("tcp").caller()
	c.seq = 1
	invite := c.compose("INVITE", multipartType, both("sendonly"))
	for len(invite) > 0 {
		n := min(97, len(invite))
		c.send(invite[:n])
		invite = invite[n:]
	}
	c.toTag = c.expect("1 INVITE", 200).toTag()
	ack := c.compose("ACK", "", "")
	c.seq++
	c.send(ack + c.compose("INFO", "", "") + "\r\n\r\n") // two messages and a keep-alive in one segment
	c.expect("2 INFO", 200)
	c.bye()
}

// TestDialogOnAnotherConnection goes on after the client has opened a new TCP connection.
func TestDialogOnAnotherConnection(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	first := r.dial("tcp")
	c := first.caller()
	c.open(multipartType, both("sendonly"))
	c.peer = r.dial("tcp")
	c.expect(c.ask("INFO", "", ""), 200)
	_ = first.conn.Close()
	done := make(chan error, 1)
	id := take(t, "Begin", rec.begins).Dialog
	go func() { done <- r.server.Hangup(context.Background(), id, siprec.EndOperator, `an "operator"`) }()
	bye := c.request("BYE")
	if got := bye.header.Get("Reason"); got != `Q.850;cause=16;text="an \"operator\""` {
		t.Errorf("Reason %q", got)
	}
	c.reply(bye, "200 OK")
	if err := take(t, "return of Hangup", done); err != nil {
		t.Error(err)
	}
	if e := take(t, "End", rec.ends); e.cause != siprec.EndOperator {
		t.Errorf("ended %+v", e)
	}
	if err := r.server.Hangup(context.Background(), id, siprec.EndOperator, "again"); !errors.Is(err, srs.ErrNoDialog) {
		t.Errorf("Hangup: %v", err)
	}
}

func TestRouteSet(t *testing.T) {
	for name, x := range map[string]struct {
		recordRoute, uri string
		routes           []string
	}{
		"loose":  {"<sip:127.0.0.1:PORT;lr>, <sip:p2.example.com;lr>", "sip:src@", []string{"<sip:127.0.0.1:PORT;lr>", "<sip:p2.example.com;lr>"}},
		"strict": {"<sip:127.0.0.1:PORT>, <sip:p2.example.com>", "sip:127.0.0.1:PORT", []string{"<sip:p2.example.com>", "<sip:src@"}},
		"name":   {"<sip:proxy.invalid;lr>", "sip:src@", []string{"<sip:proxy.invalid;lr>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			r := start(t, rec)
			c := r.dial("udp").caller()
			_, port, _ := net.SplitHostPort(c.conn.LocalAddr().String())
			fill := func(s string) string { return strings.ReplaceAll(s, "PORT", port) }
			c.open(multipartType, both("sendonly"), "Record-Route: "+fill(x.recordRoute))
			done := make(chan error, 1)
			go func() {
				done <- r.server.Hangup(context.Background(), take(t, "Begin", rec.begins).Dialog, siprec.EndFailed, "no disk")
			}()
			bye := c.request("BYE")
			if !strings.HasPrefix(bye.start, "BYE "+fill(x.uri)) {
				t.Errorf("start line %q", bye.start)
			}
			if got := bye.header["Route"]; len(got) != len(x.routes) {
				t.Errorf("Route %q", got)
			} else {
				for i := range got {
					if !strings.HasPrefix(got[i], fill(x.routes[i])) {
						t.Errorf("Route %q, want %q", got[i], fill(x.routes[i]))
					}
				}
			}
			c.reply(bye, "200 OK")
			if err := take(t, "return of Hangup", done); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	p := r.dial("udp")
	c, late := p.caller(), p.caller()
	c.open(multipartType, both("sendonly"))
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.server.Drain(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	drained := make(chan error, 1)
	go func() { drained <- r.server.Drain(context.Background()) }()
	for _, method := range []string{"INVITE", "OPTIONS"} {
		got := late.expect(late.ask(method, multipartType, both("sendonly")), 503)
		if got.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		r.refusal(503)
		if method == "INVITE" {
			late.ack("", "")
		}
	}
	c.expect(c.ask("INVITE", multipartType, both("inactive")), 200) // the call goes on
	c.ack("", "")
	c.bye()
	if err := take(t, "end of Drain", drained); err != nil {
		t.Error(err)
	}
}

// TestClose ends what is left with a BYE and leaves no goroutine behind.
func TestClose(t *testing.T) {
	before := runtime.NumGoroutine()
	rec := newFake(t)
	s, err := srs.New(srs.Config{Listen: []string{"udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0"}}, rec)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := s.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	var callers []*caller
	for _, a := range s.Addrs() {
		c := dial(t, a, "").caller()
		c.open(multipartType, both("sendonly"))
		callers = append(callers, c)
	}
	cancel()
	for _, c := range callers {
		bye := c.request("BYE")
		if !strings.HasPrefix(bye.header.Get("Reason"), "SIP;cause=503;") {
			t.Errorf("Reason %q", bye.header.Get("Reason"))
		}
		c.reply(bye, "200 OK")
	}
	if err := take(t, "end of Serve", served); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range callers {
		if e := take(t, "End", rec.ends); e.cause != siprec.EndDrained {
			t.Errorf("ended %+v", e)
		}
	}
	if err := s.Hangup(context.Background(), siprec.DialogID{}, siprec.EndOperator, ""); !errors.Is(err, srs.ErrNoDialog) {
		t.Errorf("Hangup: %v", err)
	}
	for _, c := range callers {
		_ = c.conn.Close()
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if s.Connections() != 0 {
		t.Errorf("%d connections are open", s.Connections())
	}
}

// TestCloseWithoutPeers ends in time although nobody answers the BYE.
func TestCloseWithoutPeers(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	for _, network := range []string{"udp", "tcp"} {
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly"))
		_ = c.conn.Close()
	}
	if err := r.server.Close(); err != nil {
		t.Error(err)
	}
	for range 2 {
		take(t, "End", rec.ends)
	}
}

// TestWildcardListeners takes IPv4 and IPv6 on one socket and names the address that the client can reach.
func TestWildcardListeners(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(network+" "+host, func(t *testing.T) {
				rec := newFake(t)
				r := start(t, rec, func(c *srs.Config) {
					c.Listen = []string{network + "://[::]:0"}
					c.Sources = []srs.Source{{Name: "here", Prefixes: []netip.Prefix{
						netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
					}}}
				})
				_, port := hostPort(r.listener(network))
				c := dial(t, network+"://"+net.JoinHostPort(host, port), "").caller()
				ok := c.open(multipartType, both("sendonly"))
				want := fmt.Sprintf("<sip:greffier@%s;transport=%s>;+sip.srs", net.JoinHostPort(host, port), network)
				if got := ok.header.Get("Contact"); got != want {
					t.Errorf("Contact %q, want %q", got, want)
				}
				in := take(t, "Begin", rec.begins)
				if in.Local.String() != host || in.Source.Addr().String() != host {
					t.Errorf("local %s, source %s", in.Local, in.Source)
				}
				done := make(chan error, 1)
				go func() { done <- r.server.Hangup(context.Background(), in.Dialog, siprec.EndOperator, "") }()
				c.reply(c.request("BYE"), "200 OK")
				if err := take(t, "return of Hangup", done); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAdvertise(t *testing.T) {
	for name, x := range map[string]struct {
		advertise netip.AddrPort
		media     netip.Addr
		contact   string
		local     string
	}{
		"with port":    {netip.MustParseAddrPort("192.0.2.7:5070"), netip.Addr{}, "192.0.2.7:5070", "192.0.2.7"},
		"without port": {netip.MustParseAddrPort("192.0.2.7:0"), netip.Addr{}, "192.0.2.7:PORT", "192.0.2.7"},
		"media apart":  {netip.MustParseAddrPort("192.0.2.7:5070"), netip.MustParseAddr("192.0.2.8"), "192.0.2.7:5070", "192.0.2.8"},
		"IPv6":         {netip.MustParseAddrPort("[2001:db8::7]:5070"), netip.Addr{}, "[2001:db8::7]:5070", "2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			rec := newFake(t)
			r := start(t, rec, func(c *srs.Config) {
				c.Advertise = []netip.AddrPort{x.advertise}
				if x.media.IsValid() {
					c.MediaAddr = []netip.Addr{x.media}
				}
			})
			c := r.dial("udp").caller()
			ok := c.open(multipartType, both("sendonly"))
			_, port := hostPort(r.listener("udp"))
			if want := strings.ReplaceAll("<sip:greffier@"+x.contact+";transport=udp>;+sip.srs", "PORT", port); ok.header.Get("Contact") != want {
				t.Errorf("Contact %q, want %q", ok.header.Get("Contact"), want)
			}
			if in := take(t, "Begin", rec.begins); in.Local.String() != x.local {
				t.Errorf("local %s", in.Local)
			}
			if !strings.Contains(ok.body, x.local) {
				t.Errorf("description %q", ok.body)
			}
			c.bye()
		})
	}
}

func TestLongestPrefixWins(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) {
		c.Sources = []srs.Source{
			{Name: "all", Prefixes: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
			{Name: "one", Prefixes: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.1/128")}},
			{Name: "net", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/8")}},
		}
	})
	for local, want := range map[string]string{"127.0.0.1": "one", "127.0.0.2": "net"} {
		c := dial(t, r.listener("udp"), local).caller()
		c.open(multipartType, both("sendonly"))
		if in := take(t, "Begin", rec.begins); in.SRC != want {
			t.Errorf("%s is %q, want %q", local, in.SRC, want)
		}
		c.bye()
	}
}

// TestDialectsOfContact opens calls with the Contact fields that deployed clients send.
func TestDialectsOfContact(t *testing.T) {
	for _, contact := range []string{
		"<sip:src@127.0.0.1:5060>;+sip.src", "<sip:src@127.0.0.1>;src", "sip:src@127.0.0.1;+sip.src",
		"<sip:src@127.0.0.1;+sip.src>", "<sip:src@127.0.0.1;+sip.src", "<sip127.0.0.1:5060>;+sip.src",
		`"Recorder, the" <sip:src@sbc.example.com:5060;tranport=udp>;isup-oli=00;+sip.src`, "<sip:[::1]:5060>",
	} {
		r := start(t, newFake(t))
		c := r.dial("tcp").caller()
		c.open(multipartType, both("sendonly"), "Contact: "+contact)
		c.bye()
	}
}
