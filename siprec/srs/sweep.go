package srs

import (
	"context"
	"strconv"
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

// background runs something that Close waits for.
func (s *Server) background(do func(context.Context)) {
	if !s.gate.enter() {
		return
	}
	go func() {
		defer s.gate.leave()
		do(s.base)
	}()
}

func (s *Server) expire(ctx context.Context, d *dialog) {
	s.log.Warn("recording session not refreshed", zap.String("call_id", d.id.CallID))
	if err := s.hangup(ctx, d, siprec.EndLost, "the session was not refreshed in time"); err != nil {
		s.log.Debug("BYE not answered", zap.String("call_id", d.id.CallID), zap.Error(err))
	}
}

// refresh sends an UPDATE when refreshing is ours. When it fails, the next sweep tries again until the session expires.
func (s *Server) refresh(ctx context.Context, d *dialog) {
	d.mu.Lock()
	interval := d.timer.interval
	d.mu.Unlock()
	expires := strconv.Itoa(int(interval/time.Second)) + ";refresher=uac"
	status, err := s.send(ctx, d, sip.UPDATE, d.place.contactHeader(),
		sip.NewHeader("Supported", supported), sip.NewHeader("Session-Expires", expires))
	switch {
	case err == nil && status < 300:
		// For the 2xx to our request the uac is us.
		d.restartTimer(timerAnswer{interval: interval, refresher: refresherUAS}, s.now())
	case err == nil && (status == 408 || status == 481):
		s.expire(ctx, d)
	default:
		s.log.Warn("session not refreshed", zap.String("call_id", d.id.CallID), zap.Int("status", status), zap.Error(err))
		d.mu.Lock()
		d.timer.requested = false
		d.mu.Unlock()
	}
}
