package recorder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/seal"
)

// Waits between two attempts at a recording that could not be finished.
const (
	retryFirst = time.Second
	retryMost  = 2 * time.Minute
)

// An attempt is a recording that could not be finished yet.
type attempt struct {
	after time.Time
	wait  time.Duration
	gate  bool // it waits for the store, or for the catalog
}

// A queue is the state of Run, owned by its goroutine.
type queue struct {
	due     []string  // recordings that can be finished, and that nobody works on
	next    time.Time // when the spool is to be looked at again
	retry   map[string]attempt
	working map[string]bool
	results chan result
	waiting []chan struct{} // closed when nothing is left to do now
}

// by sees to it that the spool is looked at before long.
func (q *queue) by(at time.Time) {
	if at.Before(q.next) {
		q.next = at
	}
}

type result struct {
	id  string
	err error
}

// Run finishes what the spool holds, from before a restart and from now on, until ctx ends; then it waits for the work in
// hand. Failures are logged, and tried again later: a store that is away delays nothing but itself.
func (r *Recorder) Run(ctx context.Context) error {
	q := &queue{retry: map[string]attempt{}, working: map[string]bool{}, results: make(chan result)}
	defer func() {
		for len(q.working) > 0 {
			r.took(q, <-q.results)
		}
		q.tell()
	}()
	scan := time.NewTimer(0)
	defer scan.Stop()
	for look := true; ; {
		if look {
			r.look(q)
		}
		r.dispatch(ctx, q)
		scan.Reset(time.Until(q.next))
		if len(q.working) == 0 {
			q.tell()
		}
		look = false
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-r.storeBack:
			look = true
		case <-scan.C:
			look = true
		case w := <-r.settling:
			q.waiting = append(q.waiting, w)
			look = true
		case res := <-q.results:
			r.took(q, res)
		}
	}
}

// tell lets those go who wait for an idle moment.
func (q *queue) tell() {
	for _, w := range q.waiting {
		close(w)
	}
	q.waiting = nil
}

// Settle waits until everything in the spool that can be finished now is, or until ctx ends. Sessions that go on, and
// recordings that failed and wait for their next attempt, are not waited for. Run must be running.
func (r *Recorder) Settle(ctx context.Context) error {
	settled := make(chan struct{})
	select {
	case r.settling <- settled:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look finds what the spool holds: after a start, from time to time, and when something is to be tried again. What ends
// in between is told by End, so that nobody reads the folder for each.
func (r *Recorder) look(q *queue) {
	now := time.Now()
	q.next = now.Add(choreScan)
	ids, err := r.cfg.Spool.List()
	if err != nil {
		r.cfg.Log.Error("list spool", zap.Error(err))
		q.by(now.Add(retryFirst))
		return
	}
	there := make(map[string]bool, len(ids))
	q.due = q.due[:0]
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range append(ids, r.ended...) { // one that is new, and ended already, is not in the list
		if there[id] || r.live[id] || q.working[id] {
			there[id] = true
			continue
		}
		there[id] = true
		if a := q.retry[id]; a.gate && !r.StoreAway() && !r.CatalogAway() {
			delete(q.retry, id) // store and catalog are back
		}
		if wait := q.retry[id].after.Sub(r.cfg.Clock()); wait > 0 {
			q.by(now.Add(max(wait, retryFirst)))
			continue
		}
		q.due = append(q.due, id)
	}
	r.ended = nil
	maps.DeleteFunc(q.retry, func(id string, _ attempt) bool { return !there[id] && !isChore(id) })
}

// dispatch starts as many workers as may run.
func (r *Recorder) dispatch(ctx context.Context, q *queue) {
	r.mu.Lock()
	q.due = append(q.due, r.ended...)
	r.ended = nil
	r.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	start := func(id string, job func(context.Context) error) {
		q.working[id] = true
		// The worker's end is received by Run before it returns.
		go func() { q.results <- result{id: id, err: contained(ctx, job)} }()
	}
	for _, job := range r.chores(q) {
		start(job.name, job.do)
	}
	for len(q.due) > 0 && q.finishing() < r.cfg.Workers {
		id := q.due[0]
		q.due = q.due[1:]
		r.busy.Add(1)
		start(id, func(ctx context.Context) error {
			defer r.busy.Add(-1)
			return r.finish(ctx, id)
		})
	}
}

// contained keeps a defect that one recording uncovers from ending the others.
func contained(ctx context.Context, job func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return job(ctx)
}

func (r *Recorder) took(q *queue, res result) {
	delete(q.working, res.id)
	if res.err == nil {
		delete(q.retry, res.id)
		r.rest(q, res.id)
		return
	}
	if errors.Is(res.err, errStoreAway) || !isChore(res.id) && isAway(res.err) && r.StoreAway() {
		q.retry[res.id] = attempt{after: r.gate.until(), gate: true}
		q.by(time.Now().Add(max(retryFirst, r.gate.until().Sub(r.cfg.Clock()))))
		return
	}
	if errors.Is(res.err, catalog.ErrUnavailable) && !isChore(res.id) {
		r.catalogIs(res.err)
		q.retry[res.id] = attempt{after: r.cfg.Clock().Add(choreScan), gate: true}
		q.by(time.Now().Add(choreScan))
		return
	}
	a := q.retry[res.id]
	a.wait = min(max(2*a.wait, retryFirst), retryMost)
	wait := jittered(a.wait)
	a.after = r.cfg.Clock().Add(wait)
	q.by(time.Now().Add(wait))
	q.retry[res.id] = a
	if !errors.Is(res.err, context.Canceled) && !(r.CatalogAway() && errors.Is(res.err, catalog.ErrUnavailable)) {
		r.cfg.Log.Error("finish", zap.String("recording_id", res.id), zap.Duration("again_in", a.wait), zap.Error(res.err))
	}
}

// jittered is a wait that is up to a quarter longer, so that what failed together is not tried together.
func jittered(wait time.Duration) time.Duration { return wait + rand.N(wait/4) }

// endQuarantines locks every stored recording whose quarantine is over. What still has a spool file is the business of the
// worker that finishes it.
func (r *Recorder) endQuarantines(ctx context.Context) error {
	rows, err := r.cfg.Catalog.List(ctx, catalog.Query{State: catalog.StateStored, DueBy: r.cfg.Clock()})
	if err != nil {
		return fmt.Errorf("list quarantine: %w", err)
	}
	var errs []error
	for _, row := range rows {
		if _, spooled := r.cfg.Spool.Staged(row.ID, sidecarName); !spooled && r.take(row.ID) {
			err := r.lockIfMay(ctx, row)
			r.letGo(row.ID)
			if errors.Is(err, errStoreAway) {
				break // the others would fare alike
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// closeOpen writes the end that a crash kept a recording's journal from having.
func (r *Recorder) closeOpen(ctx context.Context, id string, key *seal.Key, h *history) error {
	plan := h.plan()
	at := h.entries[0].At.Add(samples(plan.Offset+plan.Samples, plan.Rate))
	w, err := r.cfg.Spool.Reopen(id, key.SpoolKey())
	if err != nil {
		return fmt.Errorf("reopen spool: %w", err)
	}
	entry := journalEntry{At: at, End: &endEntry{Cause: siprec.EndRestart}, Warnings: []string{"interrupted"}}
	if err := r.witness(ctx, EventEnded, id, "", endedData{Cause: string(siprec.EndRestart), At: utcMS(at)}); err != nil {
		return errors.Join(err, w.Close())
	}
	return errors.Join(entry.append(w), w.Close())
}
