package siprectest

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/greffier/greffier/siprec"
)

// maxRemembered is how many answers to requests of the SRS a call keeps, for requests that come again.
const maxRemembered = 8

// answered is a request of the SRS that was answered, by its transaction.
type answered struct {
	branch, method string
	response       []byte
}

// receiveRequest answers a request of the SRS at once, in the reader's goroutine: nothing here waits.
func (c *Client) receiveRequest(req *sip.Request, from netip.AddrPort, back reply) {
	if req.Via() == nil || req.CSeq() == nil || req.CallID() == nil || req.To() == nil || req.From() == nil {
		c.unreadable.Add(1)
		return
	}
	req.SetSource(from.String())
	c.mu.Lock()
	call := c.calls[req.CallID().Value()]
	c.mu.Unlock()
	method := string(req.Method)
	switch {
	case method == "ACK":
		if call != nil {
			call.acknowledged()
		}
	case call != nil && call.owns(req):
		call.receive(req, method, back)
	case method == "OPTIONS":
		c.respond(response(req, 200, nil, content{}), back)
	default:
		c.respond(response(req, 481, nil, content{}), back)
	}
}

// response writes an answer.
func response(req *sip.Request, status int, headers []Header, body content) []byte {
	res := sip.NewResponseFromRequest(req, status, reasonOf(status), nil)
	for _, h := range headers {
		res.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	if body.Type != "" {
		res.AppendHeader(sip.NewHeader("Content-Type", body.Type))
	}
	res.SetBody(body.Bytes)
	return []byte(res.String())
}

func (c *Client) respond(b []byte, back reply) {
	if c.cfg.Trace != nil {
		c.cfg.Trace(true, netip.AddrPort{}, b)
	}
	_ = back(b) // a lost answer brings the request again
}

// owns tells whether a request is in the call's dialog.
func (c *Call) owns(req *sip.Request) bool {
	local, _ := req.To().Params.Get("tag")
	remote, _ := req.From().Params.Get("tag")
	c.mu.Lock()
	defer c.mu.Unlock()
	return local == c.localTag && remote == c.remoteTag
}

func (c *Call) receive(req *sip.Request, method string, back reply) {
	br, _ := req.Via().Params.Get("branch")
	c.mu.Lock()
	for _, a := range c.replies {
		if a.branch == br && a.method == method {
			c.mu.Unlock()
			_ = back(a.response)
			return
		}
	}
	c.mu.Unlock()
	status := c.statusFor(req, method)
	r := Request{Method: method, At: time.Now(), Body: req.Body(), Status: status, Headers: map[string]string{}}
	for _, h := range req.Headers() {
		r.Headers[h.Name()] = h.Value()
	}
	headers := []Header{{"Contact", c.contact()}, {"Allow", allowed}}
	var body content
	if status == 200 && (method == "INVITE" || method == "UPDATE" && describes(req)) {
		sdp, err := c.counter(req.Body())
		if err != nil {
			status, r.Status = 488, 488
		} else {
			body = content{sdpType, sdp}
		}
	}
	b := response(req, status, headers, body)
	c.mu.Lock() // noted before it is answered: who sees the answer sees the request in the list
	c.requests = append(c.requests, r)
	c.replies = append(c.replies, answered{br, method, b})
	if len(c.replies) > maxRemembered {
		c.replies = c.replies[1:]
	}
	c.mu.Unlock()
	c.client.respond(b, back)
	switch {
	case method == "BYE" && status == 200:
		reason := r.Headers["Reason"]
		c.finish(End{By: ByServer, Reason: reason})
	case method == "INVITE" && status == 200:
		c.awaitAck(b, back)
	}
}

// describes tells whether a request carries a session description; requests for metadata carry none.
func describes(req *sip.Request) bool {
	t := req.ContentType()
	return len(req.Body()) > 0 && t != nil && t.Value() == sdpType
}

func (c *Call) statusFor(req *sip.Request, method string) int {
	if c.spec.OnRequest != nil {
		if s := c.spec.OnRequest(method); s != 0 {
			return s
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if method == "CANCEL" {
		return 200 // of a request that was answered at once: it changes nothing
	}
	if n := int64(req.CSeq().SeqNo); n > c.remoteSeq {
		c.remoteSeq = n
	} else {
		return 500 // out of order (RFC 3261 section 12.2.2)
	}
	switch method {
	case "INVITE", "UPDATE", "BYE", "OPTIONS", "INFO", "NOTIFY":
		return 200
	}
	return 405
}

func reasonOf(status int) string {
	switch status {
	case 200:
		return "OK"
	case 405:
		return "Method Not Allowed"
	case 481:
		return "Call/Transaction Does Not Exist"
	case 488:
		return "Not Acceptable Here"
	case 500:
		return "Server Internal Error"
	}
	return fmt.Sprintf("Status %d", status)
}

// counter answers a new session description of the SRS, which resumes or pauses streams: we send where it wants to
// receive. Without a description it offers ours again.
func (c *Call) counter(sdp []byte) ([]byte, error) {
	var a *Answer
	if len(sdp) > 0 {
		var err error
		if a, err = ParseAnswer(sdp); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	if a != nil {
		for i, l := range c.lines {
			if i >= len(a.Media) {
				break
			}
			l.direction = siprec.Inactive
			if a.Media[i].Wants() {
				l.direction = siprec.SendOnly
			}
		}
	}
	if !c.spec.FreezeVersion {
		c.version++
	}
	out := c.offer()
	c.mu.Unlock()
	if a != nil {
		c.apply(a)
	}
	return out, nil
}

// awaitAck repeats the 200 to a re-INVITE of the SRS until it is acknowledged (RFC 3261 section 13.3.1.4).
func (c *Call) awaitAck(response []byte, back reply) {
	acked := make(chan struct{})
	c.mu.Lock()
	c.reinvite = acked
	c.mu.Unlock()
	if c.client.wire.reliable() {
		return
	}
	c.client.goUnlessClosed(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeoutT1*c.client.t1)
		defer cancel()
		wait := c.client.t1
		timer := time.NewTimer(wait)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				_ = back(response)
				wait = min(2*wait, timerT2)
				timer.Reset(wait)
			case <-acked:
				return
			case <-c.ended:
				return
			case <-c.client.done:
				return
			case <-ctx.Done():
				return
			}
		}
	})
}

func (c *Call) acknowledged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reinvite != nil {
		close(c.reinvite)
		c.reinvite = nil
	}
}
