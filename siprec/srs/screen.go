package srs

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A screen looks at what a known source sent over UDP before sipgo does. sipgo drops what it cannot read without a word, and
// keeps a transaction for half a minute for each request that it can: here the first is counted, and answered when enough of
// it can be read; and requests that come faster than their source may send them are answered without keeping anything.
type screen struct {
	parser  *sip.Parser
	now     func() time.Time
	known   func(siprec.DialogID) bool // whether a dialog is open
	quotas  map[*Source]*quota         // never changes
	sources []Source
}

func newScreen(p *sip.Parser, now func() time.Time, known func(siprec.DialogID) bool, sources []Source) *screen {
	c := &screen{parser: p, now: now, known: known, quotas: map[*Source]*quota{}, sources: sources}
	for i := range sources {
		c.quotas[&sources[i]] = newQuota(&sources[i])
	}
	return c
}

const (
	tooFastReason   = "this client sends more requests than its profile allows"
	garbageReason   = "a message could not be read"
	unfinishReason  = "a message did not become whole in time"
	oversizedReason = "a message was too long"
)

// A word is an answer that is given without a transaction.
type word struct {
	status  int
	headers []sip.Header
}

// admit tells whether sipgo may have a datagram. If not, the answer may have one of its own, to the given port.
func (c *screen) admit(data []byte, from netip.AddrPort, src *Source) (ok bool, answer []byte, port uint16) {
	if isKeepAlive(data) {
		return false, nil, 0
	}
	q, now := c.quotas[src], c.now()
	msg, err := c.parse(data)
	if err != nil {
		q.count(Refused{Status: 400, Kind: siprec.Malformed, Cause: CauseGarbage, Reason: garbageReason})
		answer, port = c.answer(q, data, from, word{400, malformed(garbageReason).fields()})
		return false, answer, port
	}
	req, isRequest := msg.(*sip.Request)
	if !isRequest || req.IsAck() {
		return true, nil, 0
	}
	switch {
	case isInDialog(req) && c.known(dialogID(req)): // what is in progress is always served, if not at once
		return q.within(now), nil, 0
	case req.IsInvite() && q.inviteOverUDP(req, now):
		return true, nil, 0
	case !req.IsInvite() && q.other(now):
		return true, nil, 0
	}
	q.count(Refused{Status: 503, Kind: siprec.Unavailable, Cause: CauseSourceRate, Reason: tooFastReason})
	f := unavailable(tooFastReason)
	f.retryAfter = rateRetryAfter
	answer, port = c.answer(q, data, from, word{503, f.fields()})
	return false, answer, port
}

// parse reads a message, whatever the parser makes of it.
func (c *screen) parse(data []byte) (msg sip.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parse: %v", p)
		}
	}()
	return c.parser.ParseSIP(data)
}

func (c *screen) answer(q *quota, data []byte, from netip.AddrPort, w word) ([]byte, uint16) {
	if !q.answer(c.now()) {
		return nil, 0
	}
	_, out, port := reply(c.parser, data, from, w)
	return out, port
}

// isKeepAlive knows what keeps a NAT's binding alive: line ends, zeros, or STUN (RFC 5626 section 3.5, RFC 5389 section 6).
func isKeepAlive(data []byte) bool {
	if len(data) >= 20 && data[0] < 2 {
		return true
	}
	for _, b := range data {
		if b != '\r' && b != '\n' && b != 0 {
			return false
		}
	}
	return true
}

// reply builds an answer for which nothing is kept, as far as the header fields can be read, and tells the port that it
// goes to (RFC 3261 section 18.2.2, RFC 3581). The request is nil when there is none; the answer is nil for what gets none.
func reply(p *sip.Parser, data []byte, from netip.AddrPort, w word) (req *sip.Request, out []byte, port uint16) {
	defer func() {
		if recover() != nil { // the parser's, on what a peer sent
			out = nil
		}
	}()
	msg, _, err := p.ParseHeaders(data, false)
	if err != nil && w.status == 400 {
		data = append(data[:len(data):len(data)], headEnd...) // the empty line may be what is missing
		msg, _, err = p.ParseHeaders(data, false)
	}
	if err != nil && w.status == 400 {
		if again, status, ok := restarted(data); ok {
			w.status = status
			msg, _, err = p.ParseHeaders(again, false)
		}
	}
	req, ok := msg.(*sip.Request)
	if err != nil || !ok {
		return nil, nil, 0
	}
	via := req.Via()
	if req.IsAck() || via == nil {
		return req, nil, 0
	}
	port = uint16(sip.DefaultUdpPort)
	if via.Port > 0 && via.Port <= 65535 {
		port = uint16(via.Port)
	}
	if via.Params.Has("rport") {
		port = from.Port()
	}
	req.SetSource(net.JoinHostPort(from.Addr().String(), strconv.Itoa(int(from.Port()))))
	res := sip.NewResponseFromRequest(req, w.status, phrase(w.status), nil)
	res.SipVersion = "SIP/2.0"
	if to := res.To(); to != nil && !isInDialog(req) {
		// The same request gets the same tag without anything being kept (RFC 3261 section 8.2.7).
		to.Params.Add("tag", "stranger")
	}
	for _, h := range w.headers {
		res.AppendHeader(h)
	}
	return req, []byte(res.String()), port
}

// summarise gives what was counted and is due.
func (c *screen) summarise(now time.Time, all bool) (out []Refused) {
	for i := range c.sources {
		src := &c.sources[i]
		out = append(out, c.quotas[src].summary(src.Name, now, all)...)
	}
	return out
}
