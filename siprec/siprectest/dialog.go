package siprectest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/emiago/sipgo/sip"
	"github.com/greffier/greffier/siprec"
)

// A Change is what a re-INVITE or an UPDATE says. An empty Change repeats the session description as it is.
type Change struct {
	Directions map[siprec.Label]siprec.Direction // what we offer from now on; labels that are not named stay
	Add        []StreamSpec                      // new m-lines
	Remove     []siprec.Label                    // m-lines that are closed: port 0

	Record string // a=record of every m-line from now on (RFC 7866 section 7.3.1): "on", "off" or "paused"; "" leaves it as it is

	Metadata    *Metadata
	RawMetadata []byte // instead of Metadata

	NewKeys  bool   // streams with keys in the offer get new ones
	ZeroAddr bool   // the address for media is 0.0.0.0, as clients hold that are older than directions (RFC 3264 section 8.4)
	NoSDP    bool   // send no session description
	RawSDP   []byte // send this one instead of ours
	NoACK    bool   // leave the 200 to a re-INVITE unacknowledged
	Body     Body
	Headers  []Header
}

// directions names the labels (none: all) with one direction; back to sendonly means what was offered at first.
func (c *Call) directions(d siprec.Direction, labels []siprec.Label) map[siprec.Label]siprec.Direction {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := map[siprec.Label]siprec.Direction{}
	for _, l := range c.lines {
		if len(labels) > 0 && !slices.Contains(labels, l.spec.Label) {
			continue
		}
		m[l.spec.Label] = d
		if d == siprec.SendOnly {
			m[l.spec.Label] = l.spec.Direction
		}
	}
	return m
}

// ReInvite sends a re-INVITE, acknowledges its answer and follows it. Streams that become inactive stop before the
// request is sent, streams that become active start after the answer.
func (c *Call) ReInvite(ctx context.Context, ch Change) (*Answer, error) {
	res, cseq, err := c.change(ctx, "INVITE", ch)
	if err != nil {
		return nil, err
	}
	c.established(res)
	if !ch.NoACK {
		if err := c.ack(cseq, content{}); err != nil {
			return nil, err
		}
	}
	if len(res.Body()) == 0 {
		return c.Answer(), nil
	}
	a, err := ParseAnswer(res.Body())
	if err != nil {
		return nil, fmt.Errorf("re-INVITE: %w", err)
	}
	c.apply(a)
	c.secure(ctx)
	return a, nil
}

// Update sends an UPDATE (RFC 3311). Without directions, streams or a raw session description it carries metadata only,
// which is how an SRC reports a change of the participants.
func (c *Call) Update(ctx context.Context, ch Change) (*Answer, error) {
	if ch.Directions == nil && ch.Add == nil && ch.Remove == nil && ch.RawSDP == nil && ch.Record == "" && !ch.ZeroAddr {
		ch.NoSDP = true
	}
	res, _, err := c.change(ctx, "UPDATE", ch)
	if err != nil {
		return nil, err
	}
	if len(res.Body()) == 0 {
		return c.Answer(), nil
	}
	a, err := ParseAnswer(res.Body())
	if err != nil {
		return nil, fmt.Errorf("UPDATE: %w", err)
	}
	c.apply(a)
	return a, nil
}

// change runs a transaction that changes the session.
func (c *Call) change(ctx context.Context, method string, ch Change) (*sip.Response, uint32, error) {
	sdp, err := c.prepare(ch)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", method, err)
	}
	metadata := ch.RawMetadata
	if metadata == nil && ch.Metadata != nil {
		metadata = ch.Metadata.Marshal()
	}
	headers := append([]Header{{"Contact", c.contact()}}, ch.Headers...)
	return c.send(ctx, method, ch.Body.build(sdp, metadata), headers)
}

// prepare takes a change into our session description and writes it.
func (c *Call) prepare(ch Change) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, d := range ch.Directions {
		i := slices.IndexFunc(c.lines, func(x *line) bool { return x.spec.Label == l })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q", ErrNoStream, l)
		}
		c.lines[i].direction = d
		if s := c.lines[i].stream; s != nil && d != siprec.SendOnly && d != siprec.SendRecv {
			s.shut()
		}
	}
	for _, l := range ch.Remove {
		i := slices.IndexFunc(c.lines, func(x *line) bool { return x.spec.Label == l && !x.removed })
		if i < 0 {
			return nil, fmt.Errorf("%w: %q", ErrNoStream, l)
		}
		c.lines[i].removed = true
		if s := c.lines[i].stream; s != nil {
			s.stop(0)
		}
	}
	for _, s := range ch.Add {
		if err := c.addLine(s); err != nil {
			return nil, err
		}
	}
	for _, l := range c.lines {
		if ch.Record != "" {
			l.record = ch.Record
		}
		if ch.NewKeys && l.stream != nil && l.stream.sec != nil {
			if err := l.stream.newKey(); err != nil {
				return nil, err
			}
		}
	}
	if ch.NoSDP {
		return nil, nil
	}
	if !c.spec.FreezeVersion {
		c.version++
	}
	if ch.RawSDP != nil {
		return ch.RawSDP, nil
	}
	if ch.ZeroAddr {
		return c.offerFrom(netip.IPv4Unspecified()), nil
	}
	return c.offer(), nil
}

// apply points the streams to where an answer wants them. Answers are matched by position, as RFC 3264 section 6 says.
func (c *Call) apply(a *Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = a
	for i, l := range c.lines {
		if l.stream == nil || i >= len(a.Media) {
			continue
		}
		sends := l.direction == siprec.SendOnly || l.direction == siprec.SendRecv
		l.stream.direct(a.Media[i], sends && !l.removed && a.Media[i].Wants())
		if !c.epoch.IsZero() && c.mediaEnd.IsZero() {
			l.stream.start(c.client.pacer(), c.epoch) // one that was added
		}
	}
}

// Info sends an INFO request with a body.
func (c *Call) Info(ctx context.Context, contentType string, body []byte) error {
	_, _, err := c.send(ctx, "INFO", content{contentType, body}, nil)
	return err
}

// Options sends an OPTIONS request inside the dialog.
func (c *Call) Options(ctx context.Context) error {
	_, _, err := c.send(ctx, "OPTIONS", content{}, nil)
	return err
}

// Bye stops the media and ends the session; metadata may be nil. The call is over whatever the SRS answers: the error
// tells about the answer only.
func (c *Call) Bye(ctx context.Context, metadata *Metadata) error {
	var raw []byte
	if metadata != nil {
		raw = metadata.Marshal()
	}
	return c.ByeRaw(ctx, Body{}.build(nil, raw).Type, raw)
}

// ByeRaw is Bye with a body of any kind.
func (c *Call) ByeRaw(ctx context.Context, contentType string, body []byte) error {
	c.StopMedia()
	_, _, err := c.send(ctx, "BYE", content{contentType, body}, nil)
	c.finish(End{By: ByClient, Reason: "BYE sent"})
	return err
}

// Abandon ends our side without a word: what the SRS sees when an SRC dies.
func (c *Call) Abandon() { c.finish(End{By: ByClient, Reason: "abandoned"}) }

// send runs one transaction inside the dialog, again when the server asks for credentials, and gives its 2xx.
func (c *Call) send(ctx context.Context, method string, body content, headers []Header) (*sip.Response, uint32, error) {
	for tries := 0; ; tries++ {
		res, cseq, br, err := c.sendOnce(ctx, method, body, headers)
		if err != nil {
			return nil, cseq, err
		}
		if res.StatusCode < 300 {
			return res, cseq, nil
		}
		if method == "INVITE" {
			c.ackRefusal(cseq, br, res)
		}
		if tries == maxChallenges || !c.client.prover.challenged(res) {
			return nil, cseq, responseError(method, res)
		}
	}
}

func (c *Call) sendOnce(ctx context.Context, method string, body content, headers []Header) (res *sip.Response, cseq uint32, br string, err error) {
	select {
	case <-c.ended:
		return nil, 0, "", fmt.Errorf("%s: %w", method, ErrEnded)
	default:
	}
	br = branch()
	c.mu.Lock()
	c.cseq++
	cseq = c.cseq
	m := c.requestMessage(method, cseq, br, body)
	dest := c.dest
	c.mu.Unlock()
	m.headers = append(m.headers, headers...)
	c.client.prover.sign(m)
	res, err = c.client.request(ctx, method, br, dest, m.bytes())
	return res, cseq, br, err
}
