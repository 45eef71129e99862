package recorder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
)

const (
	// catalogPatience is how long a call waits for the catalog. What it had to tell is told later then.
	catalogPatience = time.Second
	// catalogScan is how often is looked whether a catalog that is away is back, while it is.
	catalogScan = time.Second
	// nobody is the id of no recording.
	nobody = "(nobody)"
	// maxDebts bounds the calls of which the catalog is still to be told. Of more the audit log tells: the next start reads it.
	maxDebts = 100_000
)

// A debt is what the catalog is still to be told of one call.
type debt struct {
	row    *catalog.Recording // the last; nil: the one that it has
	state  catalog.State      // of the row; "": that which it has
	ended  time.Time          // of a call that was not recorded; zero: it goes on
	detail string             // "": that of the row
	unkeep bool               // the facts that the decision was made by are to go
	turn   int                // counts what was added
}

// replace has the catalog told of a whole row, whatever it was to be told of it before.
func (d *debt) replace(row *catalog.Recording) { *d = debt{row: row, unkeep: d.unkeep, turn: d.turn} }

// debts are what the catalog is still to be told: it may be away, or slow, and no call waits for that. A crash forgets them; the spool and
// the audit log know everything again.
type debts struct {
	mu   sync.Mutex
	of   map[string]*debt
	away bool // the catalog did not do what was last asked of it, or not in time
}

// isCatalogAway tells an error of the catalog that another time may not meet.
func isCatalogAway(err error) bool {
	return errors.Is(err, catalog.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// CatalogAway tells whether the catalog did not do what was last asked of it, or not in time. Calls do not wait for it meanwhile.
func (r *Recorder) CatalogAway() bool {
	r.debts.mu.Lock()
	defer r.debts.mu.Unlock()
	return r.debts.away
}

// CatalogDebts counts the calls of which the catalog is still to be told.
func (r *Recorder) CatalogDebts() int {
	r.debts.mu.Lock()
	defer r.debts.mu.Unlock()
	return len(r.debts.of)
}

// catalogIs notes how the catalog fared, and logs when that has changed.
func (r *Recorder) catalogIs(err error) {
	r.debts.mu.Lock()
	before := r.debts.away
	r.debts.away = err != nil
	r.debts.mu.Unlock()
	switch {
	case err != nil && !before:
		r.cfg.Log.Error("the catalog is away: calls are recorded, and it is told of them when it is back", zap.Error(err))
		r.wakeUp()
	case err == nil && before:
		r.cfg.Log.Info("the catalog is back")
		r.lookAgain()
	}
}

// lookAgain has Run look at everything at once that waited for a store, or for the catalog.
func (r *Recorder) lookAgain() {
	select {
	case r.storeBack <- struct{}{}:
	default:
	}
}

// tellCatalog tells the catalog something of a call: at once where it is there, and else later. It never fails: what the catalog will not take is
// logged, and a rebuild brings it back.
func (r *Recorder) tellCatalog(ctx context.Context, id string, change func(*debt)) {
	r.debts.mu.Lock()
	d, owed := r.debts.of[id]
	if !owed && len(r.debts.of) >= maxDebts {
		r.debts.mu.Unlock()
		r.cfg.Log.Error("the catalog is to be told of too many calls: this one is in the audit log only, until the next start", zap.String("recording_id", id))
		return
	}
	if !owed {
		d = &debt{}
		r.debts.of[id] = d
	}
	change(d)
	d.turn++
	now, later := *d, owed || r.debts.away
	r.debts.mu.Unlock()
	if later {
		return // in the order of what came before
	}
	patient, cancel := context.WithTimeout(ctx, catalogPatience)
	defer cancel()
	r.paid(id, now, r.pay(patient, id, now))
}

// paid notes what came of paying a debt.
func (r *Recorder) paid(id string, d debt, err error) {
	if isCatalogAway(err) {
		r.catalogIs(err)
		return
	}
	if err != nil {
		r.cfg.Log.Error("catalog", zap.String("recording_id", id), zap.Error(err))
	}
	r.debts.mu.Lock()
	defer r.debts.mu.Unlock()
	if now := r.debts.of[id]; now != nil && now.turn == d.turn {
		delete(r.debts.of, id)
	}
}

// pay tells the catalog. It may be done again.
func (r *Recorder) pay(ctx context.Context, id string, d debt) error {
	var err error
	if d.unkeep {
		err = r.cfg.Catalog.DeleteFacts(ctx, id)
	}
	switch {
	case err != nil:
	case d.row == nil && d.ended.IsZero() && d.detail == "" && d.state != "":
		err = r.cfg.Catalog.SetState(ctx, id, d.state)
	case d.row != nil || !d.ended.IsZero() || d.detail != "":
		err = r.payRow(ctx, id, d)
	}
	if errors.Is(err, catalog.ErrNotFound) {
		return nil // it is gone, or was never to be there
	}
	return err
}

func (r *Recorder) payRow(ctx context.Context, id string, d debt) error {
	var row catalog.Recording
	if d.row != nil {
		row = *d.row
	} else {
		var err error
		if row, err = r.cfg.Catalog.Get(ctx, id); err != nil {
			return err
		}
	}
	if d.state != "" {
		row.State = d.state
	}
	if !d.ended.IsZero() {
		row.EndedAt = utcMS(d.ended)
	}
	if d.detail != "" {
		row.Detail = d.detail
	}
	return r.cfg.Catalog.Put(ctx, row)
}

// cancelDebt takes back what the catalog was to be told of a recording's row: somebody who has taken the recording tells more. What
// concerns its facts stays.
func (r *Recorder) cancelDebt(id string) {
	r.debts.mu.Lock()
	defer r.debts.mu.Unlock()
	if d := r.debts.of[id]; d != nil && d.unkeep {
		*d = debt{unkeep: true, turn: d.turn + 1}
	} else {
		delete(r.debts.of, id)
	}
}

// payDebts looks whether the catalog is there, when it was not, and tells it what it is to be told. It finishes a recovery, too, that found
// it away.
func (r *Recorder) payDebts(ctx context.Context) error {
	if r.CatalogAway() {
		began := time.Now()
		if err := r.cfg.Catalog.Undoom(ctx, nobody); err != nil { // which needs all that a change needs, and changes nothing
			return nil // it is looked again soon
		}
		if time.Since(began) < catalogPatience {
			r.catalogIs(nil)
		} else {
			r.lookAgain() // slow, and there: calls do not wait for it, and others may
		}
	}
	if err := r.recoverLate(ctx); err != nil {
		return nil
	}
	r.debts.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.debts.of))
	r.debts.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() != nil || isCatalogAway(r.payOne(ctx, id)) {
			return nil
		}
	}
	return nil
}

// payOne pays the debt of a call, unless somebody works on its recording, who tells more.
func (r *Recorder) payOne(ctx context.Context, id string) error {
	if !r.take(id) {
		return nil
	}
	defer r.letGo(id)
	r.debts.mu.Lock()
	d := r.debts.of[id]
	if d == nil {
		r.debts.mu.Unlock()
		return nil
	}
	now := *d
	r.debts.mu.Unlock()
	err := r.pay(ctx, id, now)
	r.paid(id, now, err)
	return err
}
