package recorder

import (
	"context"
	"errors"
	"slices"
	"time"
)

// choreScan is how often is looked for recordings whose quarantine or term has ended, and for what is to be destroyed.
const choreScan = 10 * time.Second

// A chore is what Run does again and again, beside its recordings. Its name stands in the queue, and is no recording's id.
type chore struct {
	name string
	do   func(context.Context) error
}

// The names of the chores.
const (
	upkeepJob = "(upkeep)"
	expiryJob = "(expiry)"
	debtsJob  = "(debts)"
)

func isChore(id string) bool { return id == upkeepJob || id == expiryJob || id == debtsJob }

// chores are those that are due, and that nobody does now. The expiry is due when the next term ends, too.
func (r *Recorder) chores(q *queue) []chore {
	all := []chore{{upkeepJob, r.upkeep}, {expiryJob, r.expireDue}, {debtsJob, r.payDebts}}
	return slices.DeleteFunc(all, func(c chore) bool {
		wait := q.retry[c.name].after.Sub(r.cfg.Clock())
		if next := r.nextTerm.Load(); c.name == expiryJob && next != nil {
			wait = min(wait, next.Sub(r.cfg.Clock()))
		}
		if wait > 0 {
			q.by(time.Now().Add(wait))
		}
		return wait > 0 || q.working[c.name]
	})
}

// finishing counts the recordings that are being finished.
func (q *queue) finishing() int {
	n := len(q.working)
	for _, name := range []string{upkeepJob, expiryJob, debtsJob} {
		if q.working[name] {
			n--
		}
	}
	return n
}

// rest says when a chore that was done is done again.
func (r *Recorder) rest(q *queue, name string) {
	if !isChore(name) {
		return
	}
	pause := choreScan
	if name == debtsJob && (r.CatalogAway() || r.CatalogDebts() > 0) {
		pause = catalogScan
		q.by(time.Now().Add(pause))
	}
	q.retry[name] = attempt{after: r.cfg.Clock().Add(pause)}
}

// upkeep does what waits for the store: it brings holds there, erases what was approved, destroys what is doomed, ends quarantines, and deletes what is left of the expired, and the kept
// facts whose time is over.
func (r *Recorder) upkeep(ctx context.Context) error {
	_, dropped := r.cfg.Catalog.DropFacts(ctx, r.cfg.Clock())
	return errors.Join(r.archive().settleHolds(ctx), r.archive().finishErasures(ctx), r.destroyDoomed(ctx), r.endQuarantines(ctx), r.archive().sweep(ctx), dropped)
}
