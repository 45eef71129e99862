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

	snapshots string // Content-Type of snapshot requests

	turn chan struct{} // holds one token; who has taken it owns what follows
	sdp  []byte        // our session description, as the client has it
	prev *siprec.Offer // the client's, as accepted last
	orig siprec.Origin // of sdp
	used uint64        // the highest version that we ever sent

	confirmed chan struct{} // closed by the first ACK
	ended     chan struct{} // closed when the dialog is over

	mu       sync.Mutex // protects what follows
	seq      sequence
	progress chan struct{} // closed and replaced when seq advances
	localSeq uint32
	target   sip.Uri        // the client's Contact
	peer     netip.AddrPort // where its last request came from
	timer    sessionTimer
	minSE    time.Duration // the longest Min-SE that we were told
	allow    allowance
	acks     map[uint32]chan *sip.Request // a 2xx of ours waits for each
	ourOffer uint32                       // the INVITE whose 200 carries an offer of ours that the ACK will answer; 0: none
	asked    uint32                       // the request that was last asked for credentials
	inviting bool                         // a re-INVITE of ours has no final answer
	calm     chan struct{}                // closed and replaced when one of these three is over
	later    bool                         // a request came after the INVITE
	isEnded  bool
	isAcked  bool
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
		snapshots: snapshotType(in.req),
		orig:      siprec.Origin{SessionID: sessionID, Version: 1},
		used:      1,
		confirmed: make(chan struct{}),
		ended:     make(chan struct{}),
		progress:  make(chan struct{}),
		calm:      make(chan struct{}),
		acks:      map[uint32]chan *sip.Request{},
		seq:       sequence{in.req.CSeq().SeqNo},
		target:    *in.req.Contact().Address.Clone(),
		peer:      in.from,
	}
	d.allow.learn(in.req)
	d.minSE = minSEOf(in.req)
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
		if d.isNext(n) {
			v = proceed
		}
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

// refreshTarget remembers what a target refresh request says of the client (RFC 3261 section 12.2.2).
func (d *dialog) refreshTarget(in *inbound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retarget(in.req.Contact())
	d.allow.learn(in.req)
	d.minSE = max(d.minSE, minSEOf(in.req))
}

// learn remembers what a 2xx to a target refresh request of ours says of the client (RFC 3261 section 12.2.1.2).
func (d *dialog) learn(res *sip.Response) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.retarget(res.Contact())
	d.allow.learn(res)
}

// retarget is called with mu held.
func (d *dialog) retarget(c *sip.ContactHeader) {
	if c != nil && !c.Address.Wildcard && c.Address.Host != "" {
		d.target = *c.Address.Clone()
	}
}

// awaitAck gives the channel on which the ACK to the INVITE with this sequence number will come. It is asked for before the
// 2xx is sent, so that from then on no INVITE of ours comes between.
func (d *dialog) awaitAck(n uint32) <-chan *sip.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.acks[n] == nil {
		d.acks[n] = make(chan *sip.Request, 1)
	}
	return d.acks[n]
}

func (d *dialog) forgetAck(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.acks, n)
	d.calmed()
}

// unacked counts the 2xx that wait for their ACK.
func (d *dialog) unacked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.acks)
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

// refreshed begins the session interval anew after a 2xx to a request of ours.
func (d *dialog) refreshed(res sip.Message, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.answered(readTimer(res), d.minSE, now)
}

// timerFields are the header fields about the session timer of a session refresh request of ours.
func (d *dialog) timerFields() []sip.Header {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.timer.ask(d.minSE)
}

// raise remembers the Min-SE of a 422; false when it says nothing new.
func (d *dialog) raise(minSE time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if minSE <= d.minSE {
		return false
	}
	d.minSE = minSE
	return true
}

// over tells whether the dialog has ended.
func (d *dialog) over() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// offerIn remembers that the 200 to INVITE n carries an offer of ours; 0: none is open.
func (d *dialog) offerIn(n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ourOffer = n
	d.calmed()
}

// settle closes our offer in the 200 to INVITE n; false when it was not open any more.
func (d *dialog) settle(n uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ourOffer != n {
		return false
	}
	d.ourOffer = 0
	d.calmed()
	return true
}

// hasOffered tells whether an offer of ours is not answered yet.
func (d *dialog) hasOffered() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ourOffer != 0 || d.inviting
}

// isInviting tells whether a re-INVITE of ours has no final answer.
func (d *dialog) isInviting() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inviting
}

// claim takes the dialog's turn for a re-INVITE of ours, once no INVITE of either side and no offer is open (RFC 3261 section
// 14.1). Until unclaim, INVITEs of the client's are refused.
func (d *dialog) claim(ctx context.Context) error {
	for {
		if d.take(ctx) != nil {
			return context.Cause(ctx)
		}
		d.mu.Lock()
		ended, calm := d.isEnded, d.calm
		free := !d.inviting && d.ourOffer == 0 && len(d.acks) == 0
		d.inviting = d.inviting || free && !ended
		d.mu.Unlock()
		if free && !ended {
			return nil
		}
		d.release()
		if ended {
			return ErrNoDialog
		}
		select {
		case <-calm:
		case <-d.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (d *dialog) unclaim() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inviting = false
	d.calmed()
}

// calmed wakes those who wait for an INVITE or an offer to be over. It is called with mu held.
func (d *dialog) calmed() {
	close(d.calm)
	d.calm = make(chan struct{})
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
