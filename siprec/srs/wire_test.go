package srs_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for something that must come.
const patience = 10 * time.Second

// A peer is a socket of a recording client; it speaks SIP as text, so that both ends are not the same code.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader // TCP only
	via  string        // "UDP" or "TCP"
}

// A message is one that the peer received.
type message struct {
	start  string
	header textproto.MIMEHeader
	body   string
	raw    []byte
}

func (m message) status() int {
	if f := strings.Fields(m.start); len(f) > 1 && f[0] == "SIP/2.0" {
		n, _ := strconv.Atoi(f[1])
		return n
	}
	return 0
}

func (m message) method() string {
	if m.status() != 0 {
		return ""
	}
	method, _, _ := strings.Cut(m.start, " ")
	return method
}

func (m message) cseq() string { return m.header.Get("CSeq") }

func (m message) toTag() string {
	_, tag, _ := strings.Cut(m.header.Get("To"), "tag=")
	return tag
}

// dial opens a socket to a listener such as "udp://127.0.0.1:5060", from the local address "" or "127.0.0.2".
func dial(t *testing.T, listener, local string) *peer {
	t.Helper()
	network, addr, _ := strings.Cut(listener, "://")
	d := net.Dialer{Timeout: patience}
	if local != "" && network == "udp" {
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(local)}
	} else if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<20), via: strings.ToUpper(network)}
}

func (p *peer) send(raw string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(raw)); err != nil {
		p.t.Fatal(err)
	}
}

// read gives the next message, or false when none comes in time.
func (p *peer) read(wait time.Duration) (message, bool) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	if p.via == "UDP" {
		buf := make([]byte, 65536)
		n, err := p.conn.Read(buf)
		if err != nil {
			return message{}, false
		}
		return parse(p.t, bufio.NewReader(bytes.NewReader(buf[:n])), buf[:n]), true
	}
	if _, err := p.r.Peek(1); err != nil {
		return message{}, false
	}
	return parse(p.t, p.r, nil), true
}

func parse(t *testing.T, r *bufio.Reader, raw []byte) message {
	t.Helper()
	tp := textproto.NewReader(r)
	start, err := tp.ReadLine()
	if err != nil {
		t.Fatal(err)
	}
	h, err := tp.ReadMIMEHeader()
	if err != nil {
		t.Fatalf("read header of %q: %v", start, err)
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		t.Fatalf("Content-Length of %q: %v", start, err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		t.Fatalf("read body of %q: %v", start, err)
	}
	return message{start, h, string(body), raw}
}

// until gives the first message that matches; others are dropped.
func (p *peer) until(what string, match func(message) bool) message {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		m, ok := p.read(time.Until(deadline))
		if !ok {
			p.t.Fatalf("no %s came", what)
		}
		if match(m) {
			return m
		}
	}
}

// final gives the final answer to the request with this CSeq, "1 INVITE".
func (p *peer) final(cseq string) message {
	p.t.Helper()
	return p.until("final answer to "+cseq, func(m message) bool { return m.status() >= 200 && m.cseq() == cseq })
}

func (p *peer) expect(cseq string, status int) message {
	p.t.Helper()
	m := p.final(cseq)
	if m.status() != status {
		p.t.Fatalf("%s was answered with %q, want %d\n%v", cseq, m.start, status, m.header)
	}
	return m
}

// request waits for a request of the server's.
func (p *peer) request(method string) message {
	p.t.Helper()
	return p.until(method, func(m message) bool { return m.method() == method })
}

// reply answers a request of the server's.
func (p *peer) reply(m message, status string) {
	p.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		for _, v := range m.header[name] {
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	p.send(b.String())
}

var unique atomic.Int64

// A caller is a recording client's side of one dialog.
type caller struct {
	*peer
	callID, tag, toTag string
	seq                int
	branch             string // of the last request
}

func (p *peer) caller() *caller {
	n := unique.Add(1)
	return &caller{peer: p, callID: fmt.Sprintf("call-%d@src", n), tag: fmt.Sprintf("src%d", n)}
}

// compose writes a request with the current sequence number. An extra line replaces a header line of the same name; one
// that ends with ":" removes it.
func (c *caller) compose(method, contentType, body string, extra ...string) string {
	c.branch = fmt.Sprintf("z9hG4bK-%d", unique.Add(1))
	to := "<sip:srs@127.0.0.1>"
	if c.toTag != "" {
		to += ";tag=" + c.toTag
	}
	local := c.conn.LocalAddr().String()
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s", c.via, local, c.branch),
		"Max-Forwards: 70",
		"From: <sip:src@127.0.0.1>;tag=" + c.tag,
		"To: " + to,
		"Call-ID: " + c.callID,
		fmt.Sprintf("CSeq: %d %s", c.seq, method),
		fmt.Sprintf("Contact: <sip:src@%s;transport=%s>;+sip.src", local, strings.ToLower(c.via)),
	}
	if contentType != "" {
		lines = append(lines, "Content-Type: "+contentType)
	}
	lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
	for _, e := range extra {
		name, value, _ := strings.Cut(e, ":")
		replaced := false
		for i, l := range lines {
			if n, _, _ := strings.Cut(l, ":"); strings.EqualFold(n, name) {
				lines[i], replaced = e, true
				if value == "" {
					lines[i] = ""
				}
			}
		}
		if !replaced && value != "" {
			lines = append(lines, e)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s sip:srs@127.0.0.1 SIP/2.0\r\n", method)
	for _, l := range lines {
		if l != "" {
			b.WriteString(l + "\r\n")
		}
	}
	return b.String() + "\r\n" + body
}

// ask sends the next request and gives its CSeq.
func (c *caller) ask(method, contentType, body string, extra ...string) string {
	c.t.Helper()
	c.seq++
	c.send(c.compose(method, contentType, body, extra...))
	return fmt.Sprintf("%d %s", c.seq, method)
}

func (c *caller) ack(contentType, body string) {
	c.t.Helper()
	c.send(c.compose("ACK", contentType, body))
}

// open makes a call and acknowledges it.
func (c *caller) open(contentType, body string, extra ...string) message {
	c.t.Helper()
	ok := c.expect(c.ask("INVITE", contentType, body, extra...), 200)
	c.toTag = ok.toTag()
	c.ack("", "")
	return ok
}

// bye ends it.
func (c *caller) bye() {
	c.t.Helper()
	c.expect(c.ask("BYE", "", ""), 200)
}
