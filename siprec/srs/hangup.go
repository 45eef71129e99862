package srs

import (
	"context"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// Hangup ends a recording session from our side: the Recorder's End is called with the cause, then a BYE is sent whose
// Reason header field (RFC 3326) carries the reason. The error tells that the client did not confirm; the session has ended
// nevertheless, except when the error is ErrNoDialog or the context ended before the dialog's turn came. It must not be
// called from inside Begin, Update or End of the same dialog.
func (s *Server) Hangup(ctx context.Context, id siprec.DialogID, cause siprec.EndCause, reason string) error {
	d := s.dialogs.find(id)
	if d == nil {
		return ErrNoDialog
	}
	if !s.gate.enter() {
		return ErrNoDialog
	}
	defer s.gate.leave()
	return s.hangup(ctx, d, cause, reason)
}

func (s *Server) hangup(ctx context.Context, d *dialog, cause siprec.EndCause, reason string) error {
	at := s.now()
	if cause != siprec.EndLost {
		d.awaitConfirmed(ctx, ackGrace)
	}
	if err := d.take(ctx); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	first := s.finishAt(d, cause, at)
	d.release()
	if !first {
		return ErrNoDialog
	}
	ctx, cancel := context.WithTimeout(ctx, s.timing.request)
	defer cancel()
	res, err := s.send(ctx, d, letter{method: sip.BYE, headers: []sip.Header{sip.NewHeader("Reason", reasonOf(cause, reason))}})
	if err != nil {
		return fmt.Errorf("send BYE: %w", err)
	}
	if res.StatusCode == 481 {
		return nil // the client has ended it too
	}
	return outcome(sip.BYE, res)
}

// reasonOf gives a Reason value: a SIP status for our troubles, Q.850 "normal clearing" for an operator's will.
func reasonOf(cause siprec.EndCause, text string) string {
	protocol := "SIP;cause=500"
	switch cause {
	case siprec.EndDrained:
		protocol = "SIP;cause=503"
	case siprec.EndLost:
		protocol = "SIP;cause=408"
	case siprec.EndOperator:
		protocol = "Q.850;cause=16"
	}
	return protocol + ";text=" + quoted(text)
}

// finish ends a dialog now. The caller holds its turn.
func (s *Server) finish(d *dialog, cause siprec.EndCause) { s.finishAt(d, cause, s.now()) }

// finishAt ends a dialog and tells the Recorder, once; it reports whether this was the time. The caller holds the turn.
func (s *Server) finishAt(d *dialog, cause siprec.EndCause, at time.Time) bool {
	if !d.markEnded() {
		return false
	}
	defer s.dialogs.remove(d)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while ending a session", zap.String("call_id", d.id.CallID),
				zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
		}
	}()
	s.log.Info("recording session ended", zap.String("call_id", d.id.CallID), zap.String("src", d.src.Name),
		zap.String("cause", string(cause)))
	s.recorder.End(d.id, cause, at)
	return true
}
