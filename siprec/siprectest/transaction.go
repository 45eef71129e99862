package siprectest

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Timers of RFC 3261 section 17.1.1.1. T1 may be changed by Config.
const (
	defaultT1 = 500 * time.Millisecond
	timerT2   = 4 * time.Second
	timeoutT1 = 64 // timers B and F, in T1
	// proceedingLimit bounds an INVITE that was answered provisionally only (timer C, section 16.6).
	proceedingLimit = 3 * time.Minute
)

// A transaction is one request of ours that waits for its answers.
type transaction struct {
	client    *Client
	method    string
	branch    string
	to        netip.AddrPort
	msg       []byte
	responses chan *sip.Response

	// provisional is closed by the first 1xx.
	provisional chan struct{}
	early       bool // owned by the goroutine in run
}

// responseQueue is how many answers may wait for a transaction's owner; more are dropped, as the network would.
const responseQueue = 16

func (c *Client) newTransaction(method, branch string, to netip.AddrPort, msg []byte) (*transaction, error) {
	t := &transaction{client: c, method: method, branch: branch, to: to, msg: msg,
		responses: make(chan *sip.Response, responseQueue), provisional: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	c.transactions[txKey{branch, method}] = t
	return t, nil
}

func (c *Client) endTransaction(t *transaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.transactions, txKey{t.branch, t.method})
}

// run sends the request, again and again over UDP, until a final answer, the context's end or the transaction's timeout.
func (t *transaction) run(ctx context.Context) (*sip.Response, error) {
	c := t.client
	if err := c.write(ctx, t.to, t.msg); err != nil {
		return nil, fmt.Errorf("%s: %w", t.method, err)
	}
	timeout := time.NewTimer(timeoutT1 * c.t1)
	defer timeout.Stop()
	wait := c.t1
	resend := time.NewTimer(wait)
	defer resend.Stop()
	if c.wire.reliable() {
		resend.Stop()
	}
	for {
		select {
		case res := <-t.responses:
			if res.StatusCode >= 200 {
				return res, nil
			}
			t.sawProvisional()
			if t.method == "INVITE" { // section 17.1.1.2: "Proceeding" has no timer
				resend.Stop()
				timeout.Reset(proceedingLimit)
			} else if !c.wire.reliable() {
				wait = timerT2
			}
		case <-resend.C:
			if err := c.write(ctx, t.to, t.msg); err != nil {
				return nil, fmt.Errorf("%s: %w", t.method, err)
			}
			wait *= 2
			if t.method != "INVITE" && wait > timerT2 {
				wait = timerT2
			}
			resend.Reset(wait)
		case <-timeout.C:
			return nil, fmt.Errorf("%s to %s: %w", t.method, t.to, ErrTimeout)
		case <-ctx.Done():
			return nil, fmt.Errorf("%s to %s: %w", t.method, t.to, ctx.Err())
		case <-c.done:
			return nil, fmt.Errorf("%s to %s: %w", t.method, t.to, ErrClosed)
		}
	}
}

func (t *transaction) sawProvisional() {
	if !t.early {
		t.early = true
		close(t.provisional)
	}
}

// request runs one transaction other than INVITE to its end.
func (c *Client) request(ctx context.Context, method, branch string, to netip.AddrPort, msg []byte) (*sip.Response, error) {
	t, err := c.newTransaction(method, branch, to, msg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	defer c.endTransaction(t)
	return t.run(ctx)
}
