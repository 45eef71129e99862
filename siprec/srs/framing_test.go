package srs_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec/srs"
)

// TestFraming finds where messages end, however they are cut.
func TestFraming(t *testing.T) {
	const start = "OPTIONS sip:a@b SIP/2.0\r\n"
	for name, x := range map[string]struct {
		stream     string
		unfinished bool
		broken     string
	}{
		"keep-alives":          {"\r\n\r\n\r\n", false, ""},
		"no body":              {start + "Content-Length: 0\r\n\r\n", false, ""},
		"two":                  {start + "l: 3\r\n\r\nabc\r\n" + start + "CONTENT-LENGTH : 1\r\n\r\nx", false, ""},
		"folded":               {start + "Content-Length:\r\n 4\r\n\r\nabcd", false, ""},
		"line ends in a body":  {start + "l: 8\r\n\r\n\r\n\r\n\r\n\r\n", false, ""},
		"half a head":          {start + "Content-Len", true, ""},
		"half a body":          {start + "l: 10\r\n\r\nabc", true, ""},
		"answer":               {"SIP/2.0 200 OK\r\nl: 0\r\n\r\n", false, ""},
		"no length":            {start + "\r\n", false, "no readable"},
		"negative length":      {start + "Content-Length: -999\r\n\r\n", false, "no readable"},
		"too long":             {start + "Content-Length: 600000\r\n\r\n", false, "too long"},
		"too long by far":      {start + "Content-Length: 99999999999999999999\r\n\r\n", false, "no readable"},
		"no SIP":               {"GET / HTTP/1.1\r\n\r\n", false, "no SIP"},
		"no SIP and no end":    {strings.Repeat("x", 9000), false, "no SIP"},
		"head that never ends": {start + strings.Repeat("X-Y: z\r\n", 10000), false, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sizes := range [][]int{{1}, {2}, {3}, {7, 1, 30}, {1 << 20}} {
				unfinished, err := srs.Frame([]byte(x.stream), sizes...)
				if unfinished != x.unfinished || (err != nil) != (x.broken != "") || err != nil && !strings.Contains(err.Error(), x.broken) {
					t.Errorf("in pieces of %v: unfinished %v, error %v", sizes, unfinished, err)
				}
			}
		})
	}
}

// FuzzFramer compares with sipgo's own parser: what it takes whole, the framer must not close a connection over.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n"), 3)
	f.Add([]byte("INVITE sip:a@b SIP/2.0\r\nl: 2\r\n\r\nhi\r\n\r\nSIP/2.0 200 OK\r\nl:\r\n\t0\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		unfinished, err := srs.Frame(stream, size)
		again, errAgain := srs.Frame(stream, len(stream))
		if unfinished != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("in pieces %v, %v; whole %v, %v", unfinished, err, again, errAgain)
		}
		_, parsed := srs.ParseStream(stream)
		switch {
		case parsed == nil && (err != nil || unfinished):
			t.Fatalf("the parser took it all; the framer: unfinished %v, error %v", unfinished, err)
		case errors.Is(parsed, sip.ErrParseSipPartial) && err == nil && !unfinished && len(strings.Trim(string(stream), "\r\n")) > 0:
			t.Logf("the parser waits for more of %q", stream)
		}
	})
}

// TestSlowMessage closes a connection on which a message does not become whole, and no other.
func TestSlowMessage(t *testing.T) {
	r := startWith(t, newFake(t), func(s *srs.Server) { s.Hasten(200 * time.Millisecond) })
	patient := r.dial("tcp").caller()
	patient.open(multipartType, both("sendonly"))
	slow := r.dial("tcp").caller()
	slow.seq = 1
	raw := slow.compose("INVITE", multipartType, both("sendonly"))
	began := time.Now()
	slow.send(raw[:len(raw)-1])
	_ = slow.conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := slow.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("read: %v, want the connection's end", err)
	}
	if d := time.Since(began); d < 150*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	r.server.Sweep()
	if ref := r.refusal(400); ref.Cause != srs.CauseUnfinished || ref.SRC != "loopback" || ref.Count != 1 {
		t.Errorf("report %+v", ref)
	}
	patient.bye() // it was silent for longer, between messages
}

// TestOversizedOverTCP answers what is too long before it comes, and closes.
func TestOversizedOverTCP(t *testing.T) {
	r := start(t, newFake(t))
	for extra, status := range map[string]int{"Content-Length: 100000000": 413, "Content-Length: -1": 400} {
		p := r.dial("tcp")
		before := p.caller()
		before.seq = 1
		c := p.caller()
		c.seq = 1
		p.send(before.compose("OPTIONS", "", "", "To: <sip:x@y>") + c.compose("INVITE", multipartType, "", extra))
		got := map[string]int{}
		for range 2 {
			m := p.until("answer", func(m message) bool { return m.status() >= 200 })
			got[m.cseq()] = m.status()
		}
		if got["1 OPTIONS"] != 200 || got["1 INVITE"] != status {
			t.Errorf("%s: answers %v", extra, got)
		}
		if _, err := p.conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection is still open", extra)
		}
	}
}

// TestKeepAlives answers a ping over TCP (RFC 5626 section 3.5.1), and over UDP says nothing.
func TestKeepAlives(t *testing.T) {
	r := start(t, newFake(t))
	tcp := r.dial("tcp")
	for range 3 {
		tcp.send("\r\n\r\n")
		pong := make([]byte, 2)
		_ = tcp.conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(tcp.r, pong); err != nil || string(pong) != "\r\n" {
			t.Fatalf("pong %q, %v", pong, err)
		}
	}
	tcp.send("\r\n") // a pong of the client's own needs none
	c := tcp.caller()
	c.open(multipartType, both("sendonly"))
	c.bye()

	udp := r.dial("udp")
	for _, ping := range []string{"\r\n\r\n", "\x00", "\x00\x01\x00\x00\x21\x12\xa4\x42" + strings.Repeat("i", 12)} {
		udp.send(ping)
	}
	c = udp.caller()
	if m, ok := func() (message, bool) { c.ask("OPTIONS", "", "", "To: <sip:x@y>"); return udp.read(patience) }(); !ok || m.status() != 200 {
		t.Errorf("first answer over UDP %+v", m)
	}
	r.server.Sweep()
	if n := len(r.refused); n != 0 {
		t.Errorf("%d refusals: %+v", n, <-r.refused)
	}
}

// FuzzScreen gives any datagram to what looks at it before sipgo does.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag = 1\r\nTo: \"x, y\" <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"))
	f.Add([]byte("INVITE <sip:a@b> SIP/2.0\r\nVia: SIP / 2.0 /UDP c ; rport\r\n\r\n"))
	f.Add([]byte("OPTIONS soap.beep://a SIP/2.0\r\nVia: SIP/2.0/UDP c;rport\r\nFrom: a, b\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		passed, answer := srs.Screen(data)
		if passed && len(answer) > 0 {
			t.Fatalf("passed on and answered: %q", answer)
		}
		if len(answer) > 0 && !strings.HasPrefix(string(answer), "SIP/2.0 ") {
			t.Fatalf("answer %q", answer)
		}
	})
}
