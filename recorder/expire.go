package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
)

// expiredData is the data of EventExpired and EventAnalysisExpired.
type expiredData struct {
	Until    time.Time `json:"until"` // the end of the term
	Document string    `json:"document,omitempty"`
}

// expireDue destroys the keys of everything whose term is over, and finds out when the next one is. It asks no store: the keys go to the
// second, whatever is away. Their bytes are swept by another chore.
func (r *Recorder) expireDue(ctx context.Context) error {
	now, a := r.cfg.Clock(), r.archive()
	r.nextTerm.Store(nil) // what is noted from here on is no earlier
	rows, err := r.cfg.Catalog.List(ctx, catalog.Query{TermBy: now})
	if err != nil {
		return fmt.Errorf("list ended terms: %w", err)
	}
	var errs []error
	for _, row := range rows {
		if !r.take(row.ID) {
			continue // being finished or destroyed; the next scan finds it
		}
		err := a.expire(ctx, row)
		r.letGo(row.ID)
		if errors.Is(err, catalog.ErrHeld) {
			continue // just now
		}
		if errs = append(errs, err); err == nil {
			r.cfg.Observe(Observation{Event: EventExpired, Class: row.Class, Outcome: string(audit.Done)})
		}
	}
	docs, err := r.cfg.Catalog.DueAnalyses(ctx, now)
	errs = append(errs, err)
	for _, doc := range docs {
		errs = append(errs, a.expireAnalysis(ctx, doc))
	}
	next, err := r.cfg.Catalog.NextTerm(ctx, now)
	r.noteTerm(next)
	return errors.Join(append(errs, err)...)
}

// noteTerm sees to it that something is looked at when its term ends, if that is the next one.
func (r *Recorder) noteTerm(end time.Time) {
	for !end.IsZero() {
		next := r.nextTerm.Load()
		if next != nil && !end.Before(*next) || r.nextTerm.CompareAndSwap(next, &end) {
			return
		}
	}
}

// expire ends a recording whose term is over: its key is destroyed, and its row has nothing left that names anybody.
func (a *Archive) expire(ctx context.Context, row catalog.Recording) error {
	if err := a.heldError(ctx, row); err != nil {
		return err
	}
	data := expiredData{Until: row.RetainUntil}
	return a.do(ctx, EventExpired, row.ID, "", data, func() (any, error) {
		if err := a.Catalog.Condemn(ctx, catalog.Doom{ID: row.ID, Reason: string(DestroyedExpired), At: a.now()}); err != nil {
			return nil, err // it was held just now
		}
		if err := a.Keys.Destroy(ctx, row.ID); err != nil {
			return nil, fmt.Errorf("destroy key: %w", err)
		}
		ctx := context.WithoutCancel(ctx)
		if err := a.Catalog.Put(ctx, a.words().bare(row, catalog.StateExpired, a.now(), DestroyedExpired)); err != nil {
			return nil, err
		}
		return data, a.Catalog.Undoom(ctx, row.ID)
	})
}
