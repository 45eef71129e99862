package siprectest

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A Header is one header field of a request, written as it is given.
type Header struct{ Name, Value string }

// content is a message body with its type; without a type it is no body at all.
type content struct {
	Type  string
	Bytes []byte
}

// A message is a SIP request about to be written. We write requests ourselves, and not with a library, because a test
// must be able to say every byte of them.
type message struct {
	method  string
	uri     string
	headers []Header
	body    content
}

func (m *message) add(name, value string) { m.headers = append(m.headers, Header{name, value}) }

func (m *message) bytes() []byte {
	var b strings.Builder
	b.Grow(512 + len(m.body.Bytes))
	b.WriteString(m.method + " " + m.uri + " SIP/2.0\r\n")
	for _, h := range m.headers {
		b.WriteString(h.Name + ": " + h.Value + "\r\n")
	}
	if m.body.Type != "" {
		b.WriteString("Content-Type: " + m.body.Type + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(m.body.Bytes)) + "\r\n\r\n")
	b.Write(m.body.Bytes)
	return []byte(b.String())
}

// token makes a random identifier of n bytes in hexadecimal.
func token(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand
	return hex.EncodeToString(b)
}

// branch makes a transaction's identifier (RFC 3261 section 8.1.1.7).
func branch() string { return sip.RFC3261BranchMagicCookie + token(8) }

// hostPort is an address as it stands in a SIP URI.
func hostPort(a netip.AddrPort) string {
	return net.JoinHostPort(a.Addr().String(), strconv.Itoa(int(a.Port())))
}

// headerValue is the value of a response's first header field of that name, or "".
func headerValue(m interface {
	GetHeader(name string) sip.Header
}, name string) string {
	if h := m.GetHeader(name); h != nil {
		return h.Value()
	}
	return ""
}

// responseError reads a final answer outside 2xx.
func responseError(method string, res *sip.Response) *ResponseError {
	e := &ResponseError{Method: method, Status: res.StatusCode, Reason: res.Reason, Warning: headerValue(res, "Warning")}
	// Retry-After may have a comment and parameters: "18000 (I'm in a meeting);duration=3600" (RFC 3261 section 20.33).
	v := headerValue(res, "Retry-After")
	if i := strings.IndexAny(v, " ;("); i >= 0 {
		v = v[:i]
	}
	if s, err := strconv.Atoi(v); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	for _, h := range res.GetHeaders("Unsupported") {
		for t := range strings.SplitSeq(h.Value(), ",") {
			e.Requires = append(e.Requires, strings.TrimSpace(t))
		}
	}
	return e
}

// target is where a SIP URI's host is, when it is given by address; without a port it is 5060, or 5061 over TLS.
func target(uri sip.Uri) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if err != nil || addr.IsUnspecified() {
		return netip.AddrPort{}, false
	}
	port := uri.Port
	if port == 0 {
		port = 5060
		if t, _ := uri.UriParams.Get("transport"); strings.EqualFold(t, "tls") || strings.EqualFold(uri.Scheme, "sips") {
			port = 5061
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}
