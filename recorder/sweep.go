package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// sweptData is the data of EventSwept.
type sweptData struct {
	Objects int  `json:"objects"`
	Left    bool `json:"left,omitempty"` // some stay, which the store still locks
}

// sweep deletes what is left in the store of recordings and documents whose keys are gone, as far as the store lets go of it. Of the
// processes that share the catalog one sweeps at a time.
func (a *Archive) sweep(ctx context.Context) error {
	rows, err := a.unswept(ctx)
	if err != nil {
		return err
	}
	docs, err := a.Catalog.GoneAnalyses(ctx)
	if err != nil || len(rows)+len(docs) == 0 {
		return err
	}
	t, err := a.takeLease(ctx, leaseSweep)
	if errors.Is(err, ErrNotOurs) {
		return nil
	}
	if err != nil {
		return err
	}
	under := *a
	under.sweeping = t
	err = errors.Join(under.sweepRows(ctx, rows), under.sweepDocuments(ctx, docs))
	if errors.Is(err, ErrNotOurs) {
		return nil // it was taken over: another process goes on
	}
	return errors.Join(err, t.end(ctx))
}

// unswept lists the rows of which something may be deleted now.
func (a *Archive) unswept(ctx context.Context) ([]catalog.Recording, error) {
	rows, err := a.Catalog.List(ctx, catalog.Query{Unswept: true})
	if err != nil {
		return nil, fmt.Errorf("list what is to be swept: %w", err)
	}
	return slices.DeleteFunc(rows, func(row catalog.Recording) bool { return row.LockedUntil.After(a.now()) }), nil // the store is not asked for months
}

func (a *Archive) sweepRows(ctx context.Context, rows []catalog.Recording) error {
	var errs []error
	for _, row := range rows {
		gone, err := false, error(nil)
		if row.State == catalog.StateShredded {
			err = a.sweepShredded(ctx, row)
		} else {
			gone, err = a.sweepFolder(ctx, row.ID, row.Sidecar.Key)
		}
		if isAway(err) || errors.Is(err, ErrNotOurs) {
			return errors.Join(append(errs, err)...) // the others would fare alike
		}
		if err == nil && gone {
			row.Audio, row.Sidecar = catalog.Object{}, catalog.Object{}
			err = a.Catalog.Put(context.WithoutCancel(ctx), row)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *Archive) sweepDocuments(ctx context.Context, docs []catalog.Analysis) error {
	var errs []error
	for _, doc := range docs {
		gone, err := a.sweepFolder(ctx, doc.Recording, doc.Object.Key)
		if err == nil && gone {
			err = a.Catalog.DeleteAnalysis(context.WithoutCancel(ctx), doc.ID)
		}
		if errs = append(errs, err); errors.Is(err, ErrNotOurs) {
			break
		}
	}
	return errors.Join(errs...)
}

// mayDelete looks, right before a sweeper deletes a version, whether it still has the lease, and whether neither a hold nor a lock of that
// version has come meanwhile: storage.ErrLocked. Other deeds have made sure of theirs.
func (a *Archive) mayDelete(ctx context.Context, id string, ref storage.Ref) error {
	if a.sweeping == nil {
		return nil
	}
	if err := a.sweeping.keep(ctx); err != nil {
		return err
	}
	if held, err := a.isHeld(ctx, id); err != nil || held {
		return errors.Join(err, storage.ErrLocked)
	}
	info, err := a.Store.Stat(ctx, ref)
	switch {
	case errors.Is(err, storage.ErrMismatch): // what cannot be read can be deleted all the same: the store looks at its lock
		return nil
	case err != nil:
		return err
	case info.LegalHold || info.Retention.Active(a.now()):
		return storage.ErrLocked
	}
	return nil
}

// sweepFolder deletes what can be deleted of the folder that a key stands in, witnessed for a recording, and tells whether all is gone.
func (a *Archive) sweepFolder(ctx context.Context, id, key string) (gone bool, err error) {
	there, err := a.remains(ctx, key)
	if err != nil {
		return false, err
	}
	there.id = id
	left := !there.locked.IsZero()
	if len(there.free) == 0 {
		return !left, nil
	}
	if a.sweeping != nil { // before it is witnessed
		if err := a.sweeping.keep(ctx); err != nil {
			return false, err
		}
	}
	err = a.do(ctx, EventSwept, id, "", sweptData{Objects: len(there.free)}, func() (any, error) {
		more, err := a.erase(ctx, there)
		left = left || more
		return sweptData{Objects: len(there.free), Left: left}, err
	})
	return err == nil && !left, err
}
