package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// When a round is made.
const (
	// roundSpread is how much later than configured a round begins at most, so that the servers of one store do not all begin at once.
	roundSpread = 20 * time.Minute
	// roundSettle is how long after a start a missed round waits at least: a server that is started again and again reads nothing.
	roundSettle = 5 * time.Minute
	// roundRetry is how long after a round that could not be made another is tried.
	roundRetry = time.Hour
	// roundOff is the setting that keeps rounds from being made.
	roundOff = "off"
)

// A dayTime is a time of the day, by the clock on the wall.
type dayTime struct {
	hour, minute int
	off          bool
}

// parseDayTime reads "03:30", or "off".
func parseDayTime(text string) (dayTime, error) {
	if text == roundOff {
		return dayTime{off: true}, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return dayTime{}, fmt.Errorf("%.20q is no time of the day: write it as 03:30, or %s", text, roundOff)
	}
	return dayTime{hour: t.Hour(), minute: t.Minute()}, nil
}

// on gives the time on the day of t, so many days later.
func (d dayTime) on(t time.Time, days int) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day()+days, d.hour, d.minute, 0, 0, t.Location())
}

// after gives the first such time after t.
func (d dayTime) after(t time.Time) time.Time {
	for days := 0; ; days++ {
		if at := d.on(t, days); at.After(t) {
			return at
		}
	}
}

// firstRound says when a server that starts makes its first round: at the time of the day, or soon, when the last time of the day passed
// since the last round. A zero last is that of a server that never made one. spread is added.
func (d dayTime) firstRound(now, last time.Time, spread time.Duration) time.Time {
	missed := d.on(now, 0)
	if missed.After(now) {
		missed = d.on(now, -1)
	}
	if last.Before(missed) {
		return now.Add(roundSettle + spread)
	}
	return d.after(now).Add(spread)
}

// Speeds of a round.
const (
	// roundDebt is how much sleep is saved up: shorter ones cost more than they give.
	roundDebt = 50 * time.Millisecond
	// roundYield is how long a piece waits at most for recordings that are being finished: where some always are, a round still ends.
	roundYield = time.Second
	// roundLook is how often is looked meanwhile.
	roundLook = 100 * time.Millisecond
)

// A pacer keeps a round from taking the disk and the network away from calls.
type pacer struct {
	rate uint64      // bytes a second
	busy func() bool // a recording is being finished
	debt time.Duration
}

// pace waits as long as so many bytes may take, and while recordings are being finished.
func (p *pacer) pace(ctx context.Context, n int64) error {
	if n > 0 {
		for waited := time.Duration(0); p.busy() && waited < roundYield; waited += roundLook {
			if err := sleep(ctx, roundLook); err != nil {
				return err
			}
		}
		p.debt += time.Duration(float64(n) / float64(p.rate) * float64(time.Second))
	}
	if p.debt < roundDebt {
		return ctx.Err()
	}
	wait := p.debt
	p.debt = 0
	return sleep(ctx, wait)
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// check tells what is wrong with the settings of rounds.
func (v VerifyConfig) check() error {
	var problems []error
	if _, err := parseDayTime(v.Daily); err != nil {
		problems = append(problems, fmt.Errorf("verify.daily: %w", err))
	}
	if v.Rate == 0 {
		problems = append(problems, errors.New("verify.rate: must be at least 1; to make no rounds, set verify.daily to off"))
	}
	return errors.Join(problems...)
}
