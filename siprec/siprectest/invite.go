package siprectest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Invite opens a recording session: it sends the INVITE, acknowledges the answer and starts the media. When the context
// ends before the answer the INVITE is cancelled, and an answer that comes all the same is acknowledged and hung up.
func (c *Client) Invite(ctx context.Context, spec CallSpec) (*Call, error) {
	p, err := c.Begin(ctx, spec)
	if err != nil {
		return nil, err
	}
	return p.Wait(ctx)
}

// A Pending is an INVITE that waits for its final answer.
type Pending struct {
	call     *Call
	t        *transaction
	cancel   context.CancelFunc
	mu       sync.Mutex
	accepted bool          // by mu: the answer was taken while somebody wanted the session
	given    bool          // by mu: giveUp is closed
	giveUp   chan struct{} // closed when nobody wants the session any more
	finished chan struct{}
	early    <-chan struct{} // closed by the first 1xx
	branch   string          // like cseq and t: run's, which changes them between attempts
	cseq     uint32

	// set before finished is closed
	err   error
	setup time.Duration
}

// Begin sends an INVITE and does not wait for its answer.
func (c *Client) Begin(ctx context.Context, spec CallSpec) (*Pending, error) {
	call, err := c.newCall(spec)
	if err != nil {
		return nil, fmt.Errorf("invite: %w", err)
	}
	p := &Pending{call: call, giveUp: make(chan struct{}), finished: make(chan struct{}), branch: branch()}
	p.cseq = call.nextCSeq()
	msg := call.invitation(p.cseq, p.branch)
	if p.t, err = c.newTransaction("INVITE", p.branch, c.server, msg); err != nil {
		call.finish(End{By: ByClient, Reason: "not sent"})
		return nil, fmt.Errorf("invite: %w", err)
	}
	p.early = p.t.provisional
	var own context.Context
	own, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if !c.goUnlessClosed(func() { p.run(own) }) {
		p.cancel()
		c.endTransaction(p.t)
		call.finish(End{By: ByClient, Reason: "not sent"})
		return nil, fmt.Errorf("invite: %w", ErrClosed)
	}
	return p, nil
}

func (c *Call) nextCSeq() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cseq++
	return c.cseq
}

// invitation is the first INVITE's bytes.
func (c *Call) invitation(cseq uint32, branch string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	metadata := c.spec.RawMetadata
	if metadata == nil && c.spec.Metadata != nil {
		metadata = c.spec.Metadata.Marshal()
	}
	sdp := c.offer()
	if c.spec.Offerless {
		sdp = nil
	}
	m := c.requestMessage("INVITE", cseq, branch, c.spec.Body.build(sdp, metadata))
	m.add("Contact", c.contact())
	if !c.spec.NoRequire {
		m.add("Require", "siprec")
	}
	m.add("Accept", "application/sdp, application/rs-metadata, application/rs-metadata-request")
	m.add("Allow", allowed)
	m.headers = append(m.headers, c.spec.Headers...)
	c.client.prover.sign(m)
	return m.bytes()
}

const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, NOTIFY"

// Provisional is closed by the first 1xx.
func (p *Pending) Provisional() <-chan struct{} { return p.early }

// Wait gives the call once it is answered. The context's end cancels the INVITE.
func (p *Pending) Wait(ctx context.Context) (*Call, error) {
	select {
	case <-p.finished:
	case <-ctx.Done():
		if !p.abandon() {
			return nil, fmt.Errorf("invite: %w", ctx.Err())
		}
		<-p.finished // answered at this very moment: the session is the caller's to end
	}
	if p.err != nil {
		return nil, fmt.Errorf("invite: %w", p.err)
	}
	return p.call, nil
}

// Cancel takes the INVITE back and waits for its final answer. A nil error means that there is no session: the SRS
// refused with 487, or it answered first and was hung up at once.
func (p *Pending) Cancel(ctx context.Context) error {
	answered := p.abandon()
	select {
	case <-p.finished:
	case <-ctx.Done():
		return fmt.Errorf("cancel: %w", ctx.Err())
	}
	if answered && p.err == nil {
		return p.call.Bye(ctx, nil)
	}
	if s := Status(p.err); s == 487 || errors.Is(p.err, errAbandoned) {
		return nil
	}
	return p.err
}

var errAbandoned = errors.New("the session was answered after it was cancelled, and hung up")

// abandon says that nobody wants the session. It is too late, and true, when the answer has been taken.
func (p *Pending) abandon() (answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.accepted && !p.given {
		p.given = true
		close(p.giveUp)
	}
	return p.accepted
}

// accept takes the answer, and tells whether nobody wants the session any more.
func (p *Pending) accept() (abandoned bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted = !p.given
	return p.given
}

// run owns the INVITE transactions: there are two when the server asks for credentials.
func (p *Pending) run(ctx context.Context) {
	c := p.call.client
	began := time.Now()
	defer close(p.finished)
	defer p.cancel()
	defer func() { c.endTransaction(p.t) }()
	res, err := p.attempt(ctx)
	for range maxChallenges {
		if err != nil || !c.prover.challenged(res) {
			break
		}
		p.call.ackRefusal(p.cseq, p.branch, res)
		if err = p.renew(); err == nil {
			res, err = p.attempt(ctx)
		}
	}
	p.setup = time.Since(began)
	switch {
	case err != nil:
		p.err = err
	case res.StatusCode >= 300:
		p.call.ackRefusal(p.cseq, p.branch, res)
		p.err = responseError("INVITE", res)
	default:
		p.err = p.call.accepted(p.cseq, res, p.accept())
	}
	if p.err != nil {
		p.call.finish(End{By: ByClient, Reason: p.err.Error()})
	}
}

// maxChallenges is how often a request is sent again with credentials: a second time when those of the first were too old.
const maxChallenges = 2

// attempt runs one transaction, and cancels it when the call is given up.
func (p *Pending) attempt(ctx context.Context) (*sip.Response, error) {
	ctx, stop := context.WithCancel(ctx)
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		p.sendCancel(ctx)
	}()
	res, err := p.t.run(ctx)
	stop()
	<-cancelled
	return res, err
}

// renew makes the INVITE's next transaction.
func (p *Pending) renew() error {
	c, early := p.call.client, p.t
	c.endTransaction(p.t)
	p.branch, p.cseq = branch(), p.call.nextCSeq()
	t, err := c.newTransaction("INVITE", p.branch, c.server, p.call.invitation(p.cseq, p.branch))
	if err != nil {
		return err
	}
	t.provisional, t.early = early.provisional, early.early
	p.t = t
	return nil
}

// sendCancel waits until the INVITE is given up and a provisional answer allows to say so (RFC 3261 section 9.1).
func (p *Pending) sendCancel(ctx context.Context) {
	select {
	case <-p.giveUp:
	case <-ctx.Done():
		return
	}
	c := p.call.client
	select {
	case <-p.early:
	case <-ctx.Done():
		return
	}
	p.call.mu.Lock()
	msg := p.call.requestMessage("CANCEL", p.cseq, p.branch, content{}).bytes()
	p.call.mu.Unlock()
	if _, err := c.request(ctx, "CANCEL", p.branch, c.server, msg); err != nil {
		p.cancel()
		return
	}
	// Section 9.1: without a final answer within 64*T1 the INVITE counts as cancelled.
	limit := time.NewTimer(timeoutT1 * c.t1)
	defer limit.Stop()
	select {
	case <-limit.C:
		p.cancel()
	case <-ctx.Done():
	}
}

// ackRefusal acknowledges a final answer outside 2xx, inside the INVITE's transaction (RFC 3261 section 17.1.1.3).
func (c *Call) ackRefusal(cseq uint32, branch string, res *sip.Response) {
	c.mu.Lock()
	m := c.requestMessage("ACK", cseq, branch, content{})
	dest := c.dest
	c.mu.Unlock()
	if to := res.To(); to != nil {
		for i := range m.headers {
			if m.headers[i].Name == "To" {
				m.headers[i].Value = to.Value()
			}
		}
	}
	b := m.bytes()
	c.client.rememberAck(branch, b)
	_ = c.client.write(context.Background(), dest, b) // a lost ACK brings the refusal again
}

// accepted acknowledges a 2xx to the first INVITE and starts the media, or hangs up when the call was given up.
func (c *Call) accepted(cseq uint32, res *sip.Response, abandoned bool) error {
	c.established(res)
	body := content{}
	if c.spec.Offerless {
		c.mu.Lock()
		body = content{sdpType, c.offer()}
		c.mu.Unlock()
	}
	if err := c.ack(cseq, body); err != nil {
		return err
	}
	answer, err := ParseAnswer(res.Body())
	if err == nil && !abandoned {
		c.apply(answer)
		c.secure(context.Background())
		if !c.spec.ManualMedia {
			c.StartMedia()
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeoutT1*c.client.t1)
	defer cancel()
	bye := c.Bye(ctx, nil)
	if err == nil {
		err = errAbandoned
	}
	return errors.Join(err, bye)
}

// ack acknowledges a 2xx: with the INVITE's CSeq number, whatever was sent since (RFC 3261 section 13.2.2.4).
func (c *Call) ack(cseq uint32, body content) error {
	c.mu.Lock()
	b := c.requestMessage("ACK", cseq, branch(), body).bytes()
	c.acks[cseq] = b
	dest := c.dest
	c.mu.Unlock()
	if err := c.client.write(context.Background(), dest, b); err != nil {
		return fmt.Errorf("ACK: %w", err)
	}
	return nil
}

// ackAgain repeats the ACK for a 2xx that came again.
func (c *Call) ackAgain(cseq uint32) {
	c.mu.Lock()
	b, dest := c.acks[cseq], c.dest
	c.mu.Unlock()
	if b != nil {
		_ = c.client.write(context.Background(), dest, b)
	}
}
