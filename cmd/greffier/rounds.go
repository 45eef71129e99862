package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/recorder"
)

// A rounder makes rounds, and knows the last.
type rounder interface {
	Round(ctx context.Context, pace recorder.Pace) (recorder.VerifyReport, error)
	LastRound(ctx context.Context) (last recorder.Round, made bool, err error)
}

// rounds verifies everything once a day, while calls go on.
type rounds struct {
	archive rounder
	at      dayTime
	spread  time.Duration
	rate    uint64
	busy    func() bool
	log     *zap.Logger

	last atomic.Pointer[roundSeen] // nil: none was made yet, as far as is known
}

// A roundSeen is what metrics tell of a round.
type roundSeen struct {
	ended    time.Time
	took     time.Duration
	findings map[recorder.FindingKind]int
}

// newRounds makes those of an archive, for a server.
func (m *Main) newRounds() (*rounds, error) {
	at, err := parseDayTime(m.Config.Verify.Daily)
	if err != nil {
		return nil, fmt.Errorf("verify.daily: %w", err)
	}
	return &rounds{
		archive: &m.parts.archive, at: at, spread: rand.N(roundSpread), rate: m.Config.Verify.Rate,
		busy: func() bool { return m.recorder.Finishing() > 0 }, log: m.log.Named("verify"),
	}, nil
}

// run makes a round a day until ctx ends; one that was missed while the server was down soon after the start.
func (r *rounds) run(ctx context.Context) error {
	if r.at.off {
		return nil
	}
	last, made, err := r.archive.LastRound(ctx)
	if err != nil && ctx.Err() == nil {
		r.log.Error("the last round is not known", zap.Error(err)) // a round tells what is wrong with the log
	}
	if made {
		r.last.Store(&roundSeen{last.At, last.At.Sub(last.Began), last.Findings})
	}
	for next := r.at.firstRound(time.Now(), last.At, r.spread); ; {
		if sleep(ctx, time.Until(next)) != nil {
			return nil
		}
		switch err := r.round(ctx); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, recorder.ErrNotOurs):
			r.log.Info("another server verifies today")
		case err != nil:
			r.log.Error("the store could not be verified", zap.Duration("again_in", roundRetry), zap.Error(err))
			next = time.Now().Add(roundRetry)
			continue
		}
		next = r.at.after(time.Now()).Add(r.spread)
	}
}

// round makes one.
func (r *rounds) round(ctx context.Context) error {
	began := time.Now()
	p := pacer{rate: r.rate, busy: r.busy}
	rep, err := r.archive.Round(ctx, p.pace)
	if err != nil {
		return err
	}
	now := time.Now()
	r.last.Store(&roundSeen{now, now.Sub(began), rep.Count()})
	fields := []zap.Field{
		zap.Int("recordings", rep.Recordings), zap.Int("documents", rep.Documents), zap.Int("versions", rep.Versions), zap.Int("findings", len(rep.Problems)),
		zap.Duration("took", now.Sub(began)),
	}
	if len(rep.Problems) == 0 {
		r.log.Info("verified", fields...)
		return nil
	}
	for kind, n := range rep.Count() {
		if n > 0 {
			fields = append(fields, zap.Int(string(kind), n))
		}
	}
	r.log.Error("store, catalog, keys and audit log do not agree: see `greffier verify`", fields...)
	return nil
}
