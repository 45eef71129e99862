package srs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// sweepLoop looks at the session timers until the server stops.
func (s *Server) sweepLoop() {
	defer s.serving.Done()
	tick := time.NewTicker(s.timing.sweep)
	defer tick.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-tick.C:
			s.sweep()
		}
	}
}

// sweep ends the sessions that were not refreshed in time and refreshes those that we must (RFC 4028 section 10).
func (s *Server) sweep() {
	now := s.now()
	s.strangers.summarise(now)
	s.summarise(now, false)
	for _, d := range s.dialogs.all() {
		d.mu.Lock()
		expired, due := d.timer.expired(now), d.timer.due(now)
		if expired {
			d.timer = sessionTimer{}
		} else if due {
			d.timer.requested = true
		}
		d.mu.Unlock()
		if expired {
			s.background(func(ctx context.Context) { s.expire(ctx, d) })
		} else if due {
			s.background(func(ctx context.Context) { s.refresh(ctx, d) })
		}
	}
}

// summarise reports the refusals of known sources that were not reported one by one.
func (s *Server) summarise(now time.Time, all bool) {
	for _, r := range s.screen.summarise(now, all) {
		s.report(r, nil)
	}
}

// background runs something that Close waits for; false when it is too late for that.
func (s *Server) background(do func(context.Context)) bool {
	if !s.gate.enter() {
		return false
	}
	go func() {
		defer s.gate.leave()
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic beside the requests", zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
			}
		}()
		do(s.base)
	}()
	return true
}

func (s *Server) expire(ctx context.Context, d *dialog) {
	s.log.Warn("recording session not refreshed", zap.String("call_id", d.id.CallID))
	if err := s.hangup(ctx, d, siprec.EndLost, "the session was not refreshed in time"); err != nil {
		s.log.Debug("BYE not answered", zap.String("call_id", d.id.CallID), zap.Error(err))
	}
}

// refresh refreshes the session when that is ours: by an UPDATE, or by a re-INVITE that repeats our description (RFC 4028 section
// 7.4). When it fails it is tried again until the session expires.
func (s *Server) refresh(ctx context.Context, d *dialog) {
	var err error
	if yes, _ := d.takesUpdate(); yes || d.src.NoReinvite {
		err = s.pureUpdate(ctx, d)
	} else {
		err = s.renegotiate(ctx, ctx, d, nil)
	}
	switch {
	case err == nil:
		return
	case errors.Is(err, errNotTaken):
		s.log.Warn("answer to our refresh not taken", zap.String("call_id", d.id.CallID), zap.Error(err))
		return
	case errors.Is(err, ErrGone):
		s.expire(ctx, d)
		return
	case refusedWith(err, 405, 501) && !d.src.NoReinvite:
		d.refusedUpdate()
	}
	s.log.Warn("session not refreshed", zap.String("call_id", d.id.CallID), zap.Error(err))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.timer.retry(s.now())
}

// pureUpdate sends an UPDATE that changes nothing, and takes metadata that a client sends back.
func (s *Server) pureUpdate(ctx context.Context, d *dialog) error {
	res, err := s.refreshBy(ctx, d, letter{method: sip.UPDATE, headers: []sip.Header{sip.NewHeader("Supported", supported)}})
	if err != nil {
		return fmt.Errorf("UPDATE: %w", err)
	}
	if err := outcome(sip.UPDATE, res.Response); err != nil {
		return err
	}
	s.takeMetadata(ctx, d, res)
	return nil
}
