package srs

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// dialogOf finds the request's dialog. One that a certificate or a password opened is touched by its profile only.
func (s *Server) dialogOf(in *inbound) *dialog {
	d := s.dialogs.find(dialogID(in.req))
	if d != nil && d.src != in.src && (len(d.src.TLSNames) > 0 || d.src.Digest.asked()) {
		return nil
	}
	return d
}

// within finds the request's dialog and takes its turn. It answers the request itself when that fails. The caller must
// release the dialog.
func (s *Server) within(ctx context.Context, in *inbound) *dialog {
	d := s.dialogOf(in)
	if d == nil {
		s.refuse(in, noSuchDialog())
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.pending)
	defer cancel()
	switch err := d.enter(ctx, in.req.CSeq().SeqNo, s.timing.reorder); {
	case err == nil && in.req.IsInvite() && d.isInviting(): // RFC 3261 section 14.2
		d.heardFrom(in.from)
		d.release()
		s.refuse(in, crossing("an INVITE of ours is not answered yet"))
	case err == nil && in.req.IsInvite() && d.unacked() >= maxUnacked:
		d.heardFrom(in.from)
		d.release()
		f := overlapping()
		f.reason = "too many INVITEs of this dialog are not acknowledged: send their ACKs"
		s.refuse(in, f)
	case err == nil:
		d.heardFrom(in.from)
		return d
	case errors.Is(err, errEnded):
		s.refuse(in, noSuchDialog())
	case errors.Is(err, errPending):
		s.refuse(in, overlapping())
	default:
		s.refuse(in, &failure{status: 500, kind: siprec.Malformed, reason: "CSeq is not higher than the last one"})
	}
	return nil
}

// onReinvite changes a session: its description, its metadata, both, or neither. An INVITE without a description is
// answered with our own as an offer, and the ACK brings the answer to it (RFC 3261 section 14.2).
func (s *Server) onReinvite(ctx context.Context, in *inbound) {
	d := s.within(ctx, in)
	if d == nil {
		return
	}
	res, offered := s.reanswer(ctx, in, d)
	if res == nil {
		return
	}
	in.req.SetBody(nil) // as in onInvite
	ack, ok := s.untilAcked(in, d, res)
	switch {
	case offered:
		if err := s.takeAnswer(ctx, d, ack, in.req.CSeq().SeqNo); err != nil {
			s.log.Warn("answer to our offer not taken", zap.String("call_id", d.id.CallID), zap.Error(err))
		}
	case ok:
		s.takeMetadata(ctx, d, ack)
	}
	if !ok { // some clients never acknowledge a re-INVITE when another follows: the session lives on
		s.log.Debug("re-INVITE not acknowledged", zap.String("call_id", d.id.CallID))
	}
}

// reanswer takes a re-INVITE to its final answer, and releases the dialog. It gives the 200 that was sent, or nil, and
// whether our description in it is an offer.
func (s *Server) reanswer(ctx context.Context, in *inbound, d *dialog) (res *sip.Response, offered bool) {
	defer d.release()
	ctx, cancelled, ok := watchCancel(ctx, in.tx)
	defer cancelled.stop()
	if !ok {
		return nil, false
	}
	before := d.prev
	c, f := s.readChange(in, d)
	if f == nil {
		f = s.update(ctx, d, c)
	}
	switch {
	case cancelled.seen.Load():
		s.restore(d, c, before)
		return nil, false
	case f != nil:
		s.refuse(in, f)
		return nil, false
	}
	d.refreshTarget(in)
	timer := readTimer(in.req).answer(d.weCanRefresh())
	headers := append(capabilities(), d.place.contactHeader())
	res = in.response(200, "OK", d.sdp, append(headers, timer.headers()...)...)
	if offered = c.Offer == nil; offered {
		d.offerIn(in.req.CSeq().SeqNo)
	} else {
		d.offerIn(0)
	}
	d.restartTimer(timer, s.now())
	d.awaitAck(in.req.CSeq().SeqNo)
	if !s.answerInvite(in, res) {
		d.forgetAck(in.req.CSeq().SeqNo)
		d.offerIn(0)
		s.restore(d, c, before)
		return nil, false
	}
	return res, offered
}

// readChange reads a re-INVITE's or UPDATE's body.
func (s *Server) readChange(in *inbound, d *dialog) (siprec.Change, *failure) {
	c, f := readBody(in)
	if f != nil {
		return c, f
	}
	c.Headers = keptHeaders(in.req, d.src.Headers)
	if !understood(in, c) {
		return c, unreadableBody(in)
	}
	if d.hasOffered() && c.Offer != nil && !in.req.IsInvite() { // RFC 3311 section 5.2
		return c, crossing("our offer is not answered yet")
	}
	return c, nil
}

// unreadableBody refuses a body without anything for us: of another kind (RFC 3261 section 21.4.13), or a multipart that holds
// nothing that we know.
func unreadableBody(in *inbound) *failure {
	if t := in.req.ContentType(); t != nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(t.Value())), "multipart/") {
		return &failure{status: 400, kind: siprec.Malformed, reason: "the multipart body holds neither a session description nor recording metadata"}
	}
	return &failure{
		status: 415, kind: siprec.Malformed, reason: "the body is neither a session description nor recording metadata",
		headers: []sip.Header{sip.NewHeader("Accept", accepted)},
	}
}

// restore undoes the change of a re-INVITE that was cancelled after the Recorder had taken it: the session is as before
// (RFC 3261 section 14.1). New metadata stay, for what they say is true.
func (s *Server) restore(d *dialog, c siprec.Change, before *siprec.Offer) {
	if c.Offer == nil || before == nil || d.prev == before {
		return
	}
	if f := s.update(s.base, d, siprec.Change{Offer: before, At: s.now()}); f != nil {
		s.log.Warn("cancelled change not undone", zap.String("call_id", d.id.CallID), zap.String("reason", f.reason), zap.Error(f.err))
	}
}

// onUpdate changes a session like a re-INVITE, without ACK (RFC 3311).
func (s *Server) onUpdate(ctx context.Context, in *inbound) {
	if f := validateExtensions(in.req); f != nil {
		s.refuse(in, f)
		return
	}
	if f := checkTimer(readTimer(in.req)); f != nil {
		s.refuse(in, f)
		return
	}
	d := s.within(ctx, in)
	if d == nil {
		return
	}
	defer d.release()
	c, f := s.readChange(in, d)
	if f == nil {
		f = s.update(ctx, d, c)
	}
	if f != nil {
		s.refuse(in, f)
		return
	}
	d.refreshTarget(in)
	timer := readTimer(in.req).answer(d.weCanRefresh())
	d.restartTimer(timer, s.now())
	var sdp []byte
	if c.Offer != nil {
		sdp = d.sdp
	}
	headers := append(capabilities(), d.place.contactHeader())
	s.respond(in, 200, "OK", sdp, append(headers, timer.headers()...)...)
}

// onInfo takes metadata and header fields, and anything else without a word.
func (s *Server) onInfo(ctx context.Context, in *inbound) {
	d := s.within(ctx, in)
	if d == nil {
		return
	}
	defer d.release()
	c, f := readBody(in)
	c.Headers = keptHeaders(in.req, d.src.Headers)
	if f == nil && (c.Metadata != nil || len(c.Headers) > 0) {
		c.Offer = nil // INFO does not change a session description (RFC 6086)
		if f := s.update(ctx, d, c); f != nil {
			s.refuse(in, f)
			return
		}
	}
	s.respond(in, 200, "OK", nil)
}

// onBye ends a session, after the metadata that the BYE may bring.
func (s *Server) onBye(ctx context.Context, in *inbound) {
	d := s.dialogOf(in)
	if d == nil {
		s.refuse(in, noSuchDialog())
		return
	}
	wait, cancel := context.WithTimeout(ctx, s.timing.pending)
	defer cancel()
	err := d.enter(wait, in.req.CSeq().SeqNo, s.timing.reorder)
	if errors.Is(err, errPending) { // the client must not wait for a slow Recorder; the session ends when that is done
		s.respond(in, 200, "OK", nil)
		err = d.enter(ctx, in.req.CSeq().SeqNo, s.timing.reorder)
	}
	switch {
	case errors.Is(err, errEnded):
		s.refuse(in, noSuchDialog())
		return
	case errors.Is(err, errStale):
		s.refuse(in, &failure{status: 500, kind: siprec.Malformed, reason: "CSeq is not higher than the last one"})
		return
	case err != nil:
		return
	}
	defer d.release()
	defer s.finishAt(d, siprec.EndBye, in.at) // also when the Recorder panics over the metadata
	if c, f := readBody(in); f == nil && c.Metadata != nil {
		c.Offer, c.Last = nil, true
		if f := s.update(ctx, d, c); f != nil {
			s.log.Warn("metadata of a BYE not taken", zap.String("call_id", d.id.CallID), zap.String("reason", f.reason), zap.Error(f.err))
		}
	}
	if !in.answered {
		s.respond(in, 200, "OK", nil)
	}
}

// onAck ends the repetition of a 2xx. An ACK is never answered.
func (s *Server) onAck(_ context.Context, in *inbound) {
	if d := s.dialogOf(in); d != nil {
		d.acked(in.req)
	}
}

// onCancel answers a CANCEL that matches no transaction; sipgo deals with those that do.
func (s *Server) onCancel(_ context.Context, in *inbound) { s.refuse(in, noSuchDialog()) }

// onOptions tells what we can do, and whether we would take a call now (RFC 3261 section 11.2).
func (s *Server) onOptions(ctx context.Context, in *inbound) {
	if isInDialog(in.req) {
		d := s.within(ctx, in)
		if d == nil {
			return
		}
		defer d.release()
	} else if f := s.ready(in.src); f != nil {
		s.refuse(in, f)
		return
	}
	if f := validateExtensions(in.req); f != nil {
		s.refuse(in, f)
		return
	}
	s.respond(in, 200, "OK", nil, append(capabilities(), in.place.contactHeader())...)
}

// onOther refuses what we do not serve. A PRACK acknowledges an answer that we never sent (RFC 3262 section 3).
func (s *Server) onOther(_ context.Context, in *inbound) {
	if in.req.Method == sip.PRACK {
		s.refuse(in, noSuchDialog())
		return
	}
	s.refuse(in, &failure{
		status: 405, kind: siprec.Malformed, reason: "this method is not served here",
		headers: []sip.Header{sip.NewHeader("Allow", allowed)},
	})
}
