package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
)

// Waits between two attempts at a recording that could not be finished.
const (
	retryFirst = time.Second
	retryMost  = 2 * time.Minute
)

// quarantineScan is how often recordings are looked for whose quarantine has ended.
const quarantineScan = 10 * time.Second

// An attempt is a recording that could not be finished yet.
type attempt struct {
	after time.Time
	wait  time.Duration
}

// A queue is the state of Run, owned by its goroutine.
type queue struct {
	retry   map[string]attempt
	working map[string]bool
	results chan result
}

type result struct {
	id  string
	err error
}

// Run finishes what the spool holds, from before a restart and from now on, until ctx ends; then it waits for the work in
// hand. Failures are logged, and tried again later: a store that is away delays nothing but itself.
func (r *Recorder) Run(ctx context.Context) error {
	if err := r.recover(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	q := &queue{retry: map[string]attempt{}, working: map[string]bool{}, results: make(chan result)}
	defer func() {
		for len(q.working) > 0 {
			r.took(q, <-q.results)
		}
	}()
	scan := time.NewTimer(0)
	defer scan.Stop()
	var lastQuarantine time.Time
	for {
		if now := r.cfg.Clock(); now.Sub(lastQuarantine) >= quarantineScan {
			lastQuarantine = now
			if err := r.endQuarantines(ctx, now); err != nil && ctx.Err() == nil {
				r.cfg.Log.Error("end quarantines", zap.Error(err))
			}
		}
		next, err := r.dispatch(ctx, q)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if len(q.working) == 0 {
			select {
			case r.idle <- struct{}{}:
			default:
			}
		}
		scan.Reset(next)
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-scan.C:
		case res := <-q.results:
			r.took(q, res)
		}
	}
}

// Settle waits until everything in the spool that can be finished now is, or until ctx ends. Sessions that go on, and
// recordings that failed and wait for their next attempt, are not waited for.
func (r *Recorder) Settle(ctx context.Context) error {
	select {
	case <-r.idle: // from before
	default:
	}
	r.wakeUp()
	select {
	case <-r.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dispatch starts as many workers as may run, and says when to look again.
func (r *Recorder) dispatch(ctx context.Context, q *queue) (time.Duration, error) {
	ids, err := r.cfg.Spool.List()
	if err != nil {
		return 0, fmt.Errorf("list spool: %w", err)
	}
	next, now := quarantineScan, r.cfg.Clock()
	for _, id := range ids {
		if len(q.working) >= r.cfg.Workers {
			break
		}
		r.mu.Lock()
		live := r.live[id]
		r.mu.Unlock()
		if live || q.working[id] {
			continue
		}
		if wait := q.retry[id].after.Sub(now); wait > 0 {
			next = min(next, wait)
			continue
		}
		q.working[id] = true
		// The worker's end is received by Run before it returns.
		go func() { q.results <- result{id: id, err: r.finishSafely(ctx, id)} }()
	}
	return next, nil
}

// finishSafely keeps a defect that one recording uncovers from ending the others.
func (r *Recorder) finishSafely(ctx context.Context, id string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("finish: panic: %v", p)
		}
	}()
	return r.finish(ctx, id)
}

func (r *Recorder) took(q *queue, res result) {
	delete(q.working, res.id)
	if res.err == nil {
		delete(q.retry, res.id)
		return
	}
	a := q.retry[res.id]
	a.wait = min(max(2*a.wait, retryFirst), retryMost)
	a.after = r.cfg.Clock().Add(a.wait)
	q.retry[res.id] = a
	if !errors.Is(res.err, context.Canceled) {
		r.cfg.Log.Error("finish", zap.String("recording_id", res.id), zap.Duration("again_in", a.wait), zap.Error(res.err))
	}
}

// endQuarantines locks every stored recording whose quarantine is over.
func (r *Recorder) endQuarantines(ctx context.Context, now time.Time) error {
	rows, err := r.cfg.Catalog.List(ctx, catalog.Query{State: catalog.StateStored})
	if err != nil {
		return fmt.Errorf("list quarantine: %w", err)
	}
	var errs []error
	for _, row := range rows {
		if !row.QuarantineUntil.After(now) {
			errs = append(errs, r.lock(ctx, row))
		}
	}
	return errors.Join(errs...)
}

// recover ends every session that a former process left open: the spool holds it to within the last second.
func (r *Recorder) recover(ctx context.Context) error {
	ids, err := r.cfg.Spool.List()
	if err != nil {
		return fmt.Errorf("list spool: %w", err)
	}
	for _, id := range ids {
		r.mu.Lock()
		live := r.live[id] // a call that came since we started
		r.mu.Unlock()
		if live {
			continue
		}
		if err := r.closeOpen(ctx, id); err != nil {
			r.cfg.Log.Error("recover", zap.String("recording_id", id), zap.Error(err))
		}
	}
	return r.endUnrecorded(ctx)
}

// closeOpen writes the end that a crash kept a recording's journal from having.
func (r *Recorder) closeOpen(ctx context.Context, id string) error {
	key, err := r.cfg.Keys.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("get key: %w", err)
	}
	if _, sealed := r.cfg.Spool.Staged(id, sidecarName); sealed {
		return nil
	}
	h, err := readHistory(r.cfg.Spool.Read(id, key.SpoolKey()))
	if err != nil || h.ended {
		return err
	}
	plan := h.plan()
	at := h.entries[0].At.Add(samples(plan.Offset+plan.Samples, plan.Rate))
	if err := r.witness(ctx, EventEnded, id, "", endedData{Cause: string(siprec.EndRestart), At: utcMS(at)}); err != nil {
		return err
	}
	w, err := r.cfg.Spool.Reopen(id, key.SpoolKey())
	if err != nil {
		return fmt.Errorf("reopen spool: %w", err)
	}
	entry := journalEntry{At: at, End: &endEntry{Cause: siprec.EndRestart}, Warnings: []string{"interrupted"}}
	return errors.Join(entry.append(w), w.Close(), r.cfg.Catalog.SetState(ctx, id, catalog.StateFinishing))
}

// endUnrecorded gives the sessions that were not recorded, and that a crash cut, an end in catalog and log.
func (r *Recorder) endUnrecorded(ctx context.Context) error {
	rows, err := r.cfg.Catalog.List(ctx, catalog.Query{State: catalog.StateNotRecorded})
	if err != nil {
		return fmt.Errorf("list open sessions: %w", err)
	}
	for _, row := range rows {
		if !row.EndedAt.IsZero() {
			continue
		}
		now := utcMS(r.cfg.Clock())
		if err := r.witness(ctx, EventEnded, row.ID, "", endedData{Cause: string(siprec.EndRestart), At: now}); err != nil {
			return err
		}
		if err := endRow(ctx, r.cfg.Catalog, row.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// endRow notes the end of a session that was not recorded.
func endRow(ctx context.Context, c *catalog.Catalog, id string, at time.Time) error {
	row, err := c.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	row.EndedAt = utcMS(at)
	if err := c.Put(ctx, row); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
