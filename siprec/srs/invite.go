package srs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// onInvite opens a recording session, or changes one.
func (s *Server) onInvite(ctx context.Context, in *inbound) {
	if f := validateExtensions(in.req); f != nil {
		s.refuse(in, f)
		return
	}
	if f := checkTimer(readTimer(in.req)); f != nil {
		s.refuse(in, f)
		return
	}
	if isInDialog(in.req) {
		s.onReinvite(ctx, in)
		return
	}
	if f := validateInvite(in.req); f != nil {
		s.refuse(in, f)
		return
	}
	if f := s.ready(in.src); f != nil {
		s.refuse(in, f)
		return
	}
	select {
	case s.halfOpen <- struct{}{}:
	default:
		s.refuse(in, tooManyHalfOpen())
		return
	}
	if res, d := s.open(ctx, in); d != nil {
		// The transaction keeps the request for half a minute. Now that it has our answer it reads no more of it than the method.
		in.req.SetBody(nil)
		s.confirm(in, d, res)
	}
}

// checkTimer refuses a session interval that is too short, of a client that can ask for another one (RFC 4028 section 9).
func checkTimer(o timerOffer) *failure {
	if o.malformed {
		return malformed("Session-Expires cannot be read")
	}
	if o.supported && o.interval > 0 && o.interval < minSessionExpires {
		return &failure{
			status: 422, kind: siprec.Malformed, reason: "the session interval is too small",
			headers: []sip.Header{sip.NewHeader("Min-SE", fmt.Sprint(int(minSessionExpires/time.Second)))},
		}
	}
	return nil
}

// open takes an INVITE to its final answer. It gives the dialog and the 200 that was sent, or nil.
func (s *Server) open(ctx context.Context, in *inbound) (res *sip.Response, d *dialog) {
	defer func() { <-s.halfOpen }()
	if err := in.tx.Respond(in.response(100, "Trying", nil)); err != nil {
		s.log.Debug("100 not sent", zap.String("call_id", in.callID()), zap.Error(err))
	}
	ctx, cancelled, ok := watchCancel(ctx, in.tx)
	defer cancelled.stop()
	if !ok {
		return nil, nil
	}
	invitation, f := s.invitation(in)
	if f != nil {
		s.refuse(in, f)
		return nil, nil
	}
	fresh := newDialog(invitation.Dialog, in, newSessionID())
	<-fresh.turn
	defer fresh.release()
	if f := s.dialogs.add(fresh); f != nil {
		s.refuse(in, f)
		return nil, nil
	}
	begun := false
	defer func() {
		switch { // also after a panic
		case d != nil:
		case begun:
			s.finish(fresh, siprec.EndFailed)
		default:
			fresh.markEnded()
			s.dialogs.remove(fresh)
		}
	}()
	answer, err := s.recorder.Begin(ctx, invitation)
	if err != nil {
		if !cancelled.seen.Load() {
			s.refuse(in, failureOf(err))
		}
		return nil, nil
	}
	begun = true
	if cancelled.seen.Load() {
		s.finish(fresh, siprec.EndCancel)
		return nil, nil
	}
	return s.accept(in, fresh, invitation.Offer, answer)
}

// accept sends the 200 to a dialog's first INVITE.
func (s *Server) accept(in *inbound, d *dialog, offer *siprec.Offer, answer siprec.Answer) (*sip.Response, *dialog) {
	if err := d.describe(offer, answer); err != nil {
		s.refuse(in, internal("no answer to the offer could be made", err))
		return nil, nil
	}
	timer := readTimer(in.req).answer(d.weCanRefresh())
	headers := append(capabilities(), d.place.contactHeader())
	res := in.response(200, "OK", d.sdp, append(headers, timer.headers()...)...)
	d.restartTimer(timer, s.now())
	d.awaitAck(in.req.CSeq().SeqNo)
	if in.offerless {
		d.offerIn(in.req.CSeq().SeqNo)
	}
	if !s.answerInvite(in, res) {
		s.finish(d, siprec.EndCancel)
		return nil, nil
	}
	s.log.Info("recording session opened", zap.String("call_id", d.id.CallID), zap.String("src", d.src.Name),
		zap.Stringer("source", in.from), zap.String("transport", d.place.transport), zap.Bool("sip_src", saysSRC(in.req)),
		zap.Bool("requires_siprec", hasToken(in.req, "siprec", "require")))
	return res, d
}

// invitation reads what the INVITE asks for.
func (s *Server) invitation(in *inbound) (siprec.Invitation, *failure) {
	id := dialogID(in.req)
	id.LocalTag = in.tag
	inv := siprec.Invitation{
		Dialog: id, SRC: in.src.Name, Source: in.from, Local: in.place.media, At: in.at,
		Headers: keptHeaders(in.req, in.src.Headers), AnySource: in.src.AnySource, Decline: in.src.Decline,
	}
	c, f := readBody(in)
	if f != nil {
		return inv, f
	}
	if !understood(in, c) {
		return inv, unreadableBody(in)
	}
	inv.Offer, inv.Metadata = c.Offer, c.Metadata
	if in.offerless = inv.Offer == nil; in.offerless {
		inv.Offer = proposal(inv.Metadata)
	}
	if in.src.RequireMetadata && (inv.Metadata == nil || len(inv.Metadata.Participants)+len(inv.Metadata.Streams) == 0) {
		return inv, malformed("this client must send recording metadata in the INVITE")
	}
	return inv, nil
}

// confirm repeats the 200 to a dialog's first INVITE until it is acknowledged, and takes what the ACK brings. A client from which
// nothing more comes at all is gone; so is one that leaves an offer of ours unanswered, for it sends no media.
func (s *Server) confirm(in *inbound, d *dialog, res *sip.Response) {
	ack, ok := s.untilAcked(in, d, res)
	cause, reason := siprec.EndLost, "the 200 was not acknowledged"
	switch {
	case ok && !in.offerless:
		s.takeMetadata(s.base, d, ack)
		return
	case ok:
		err := s.takeAnswer(s.base, d, ack, in.req.CSeq().SeqNo)
		if err == nil {
			return
		}
		s.log.Warn("answer to our offer not taken", zap.String("call_id", d.id.CallID), zap.Error(err))
		cause, reason = siprec.EndFailed, "the ACK does not answer our offer"
	case !in.offerless && !d.abandoned():
		return
	}
	select {
	case <-s.stopping: // Close ends it
		return
	case <-d.ended:
		return
	default:
	}
	s.log.Warn("recording session not acknowledged", zap.String("call_id", d.id.CallID))
	if err := s.hangup(s.base, d, cause, reason); err != nil {
		s.log.Debug("BYE not answered", zap.String("call_id", d.id.CallID), zap.Error(err))
	}
}

// untilAcked repeats a 2xx until its ACK comes. False: it did not come in time, or the dialog is over. The handler stays
// here meanwhile, because over TCP sipgo drops the transaction when its handler returns.
func (s *Server) untilAcked(in *inbound, d *dialog, res *sip.Response) (*sip.Request, bool) {
	n := in.req.CSeq().SeqNo
	acks := d.awaitAck(n)
	defer d.forgetAck(n)
	plan := newSchedule(s.timing.t1, s.timing.t2)
	wait, again := plan.next()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case ack := <-acks:
			return ack, true
		case ack := <-in.tx.Acks(): // a client that uses the INVITE's branch for the ACK
			d.acked(ack)
		case <-d.ended:
			return nil, false
		case <-s.stopping:
			return nil, false
		case <-timer.C:
			if !again {
				return nil, false
			}
			if err := in.tx.Respond(res); err != nil && errors.Is(err, net.ErrClosed) {
				s.log.Debug("connection lost before the ACK", zap.String("call_id", d.id.CallID))
			}
			wait, again = plan.next()
			timer.Reset(wait)
		}
	}
}
