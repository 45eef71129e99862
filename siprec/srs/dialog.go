package srs

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A dialog is one recording session.
//
// sipgo starts a goroutine per message, so a dialog's requests arrive in any order. Whoever works on the dialog holds its
// turn: every call of the Recorder and every change of the session description happens under it.
type dialog struct {
	// Set once, before the dialog can be found.
	id     siprec.DialogID
	src    *Source
	place  place
	key    string // of the INVITE that opened it
	local  sip.FromHeader
	remote sip.ToHeader
	routes []sip.Uri // the route set, in the order for our requests

	turn chan struct{} // holds one token; who has taken it owns what follows
	sdp  []byte        // our session description as sent last
	prev *siprec.Offer // the client's, as accepted last
	orig siprec.Origin

	confirmed chan struct{} // closed by the first ACK
	ended     chan struct{} // closed when the dialog is over

	mu        sync.Mutex // protects what follows
	seq       sequence
	progress  chan struct{} // closed and replaced when seq advances
	localSeq  uint32
	target    sip.Uri        // the client's Contact
	peer      netip.AddrPort // where its last request came from
	timer     sessionTimer
	canUpdate bool // the client takes UPDATE
	acks      map[uint32]chan *sip.Request
	ourOffer  uint32 // the INVITE whose 200 carries an offer of ours that the ACK will answer; 0: none
	later     bool   // a request came after the INVITE
	isEnded   bool
	isAcked   bool
}

var (
	errEnded   = errors.New("the dialog has ended")
	errPending = errors.New("another request of the dialog is pending")
	errStale   = errors.New("the sequence number is not higher than the last one")
)

func newDialog(id siprec.DialogID, in *inbound, sessionID uint64) *dialog {
	d := &dialog{
		id: id, src: in.src, place: in.place, key: inviteKey(in.req),
		local: in.req.To().AsFrom(), remote: in.req.From().AsTo(),
		turn:      make(chan struct{}, 1),
		orig:      siprec.Origin{SessionID: sessionID, Version: 1},
		confirmed: make(chan struct{}),
		ended:     make(chan struct{}),
		progress:  make(chan struct{}),
		acks:      map[uint32]chan *sip.Request{},
		seq:       sequence{in.req.CSeq().SeqNo},
		target:    *in.req.Contact().Address.Clone(),
		peer:      in.from,
		canUpdate: hasToken(in.req, "UPDATE", "allow"),
	}
	d.local.Params.Add("tag", id.LocalTag)
	for _, h := range in.req.GetHeaders("record-route") {
		d.routes = append(d.routes, *h.(*sip.RecordRouteHeader).Address.Clone())
	}
	d.turn <- struct{}{}
	return d
}

// take waits for the dialog's turn until the context ends.
func (d *dialog) take(ctx context.Context) error {
	select {
	case <-d.turn:
		return nil
	case <-ctx.Done():
		return errPending
	}
}

func (d *dialog) release() { d.turn <- struct{}{} }

// enter takes the turn for a request with the sequence number n. A request that skips numbers first waits, as long as
// reorder says, for the ones between.
func (d *dialog) enter(ctx context.Context, n uint32, reorder time.Duration) error {
	missing := time.NewTimer(reorder)
	defer missing.Stop()
	patient := true
	for {
		if err := d.take(ctx); err != nil {
			return err
		}
		d.mu.Lock()
		ended, v, progress := d.isEnded, d.seq.judge(n), d.progress
		d.mu.Unlock()
		switch {
		case ended:
			d.release()
			return errEnded
		case v == stale:
			d.release()
			return errStale
		case v == ahead && patient:
			d.release()
			select {
			case <-progress:
			case <-d.ended:
			case <-missing.C:
				patient = false
			}
			continue
		}
		d.advance(n)
		return nil
	}
}

func (d *dialog) advance(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq.accept(n)
	d.later = true
	close(d.progress)
	d.progress = make(chan struct{})
}

// heardFrom remembers where the client's last request came from.
func (d *dialog) heardFrom(peer netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peer = peer
}

// refreshTarget remembers the Contact of a target refresh request (RFC 3261 section 12.2.2).
func (d *dialog) refreshTarget(in *inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := in.req.Contact(); c != nil && !c.Address.Wildcard && c.Address.Host != "" {
		d.target = *c.Address.Clone()
	}
}

// awaitAck gives the channel on which the ACK to the INVITE with this sequence number will come.
func (d *dialog) awaitAck(n uint32) <-chan *sip.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch := make(chan *sip.Request, 1)
	d.acks[n] = ch
	return ch
}

func (d *dialog) forgetAck(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.acks, n)
}

// acked passes an ACK on to whoever repeats the 2xx that it acknowledges; a second one is dropped.
func (d *dialog) acked(ack *sip.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.isAcked {
		d.isAcked = true
		close(d.confirmed)
	}
	select {
	case d.acks[ack.CSeq().SeqNo] <- ack:
	default:
	}
}

// awaitConfirmed waits for the first ACK: before it we may not send a BYE (RFC 3261 section 15).
func (d *dialog) awaitConfirmed(ctx context.Context, grace time.Duration) {
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-d.confirmed:
	case <-d.ended:
	case <-t.C:
	case <-ctx.Done():
	}
}

// abandoned tells whether nothing at all came after the INVITE.
func (d *dialog) abandoned() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.isAcked && !d.later && !d.isEnded
}

// restartTimer begins the session interval anew.
func (d *dialog) restartTimer(a timerAnswer, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.restart(a, now)
}

// offerIn remembers that the 200 to INVITE n carries an offer of ours; 0: none is open.
func (d *dialog) offerIn(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ourOffer = n
}

// settle closes our offer in the 200 to INVITE n; false when it was not open any more.
func (d *dialog) settle(n uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ourOffer != n {
		return false
	}
	d.ourOffer = 0
	return true
}

func (d *dialog) hasOffered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ourOffer != 0
}

// markEnded closes the dialog; it reports false when it was closed before.
func (d *dialog) markEnded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isEnded {
		return false
	}
	d.isEnded = true
	close(d.ended)
	return true
}
