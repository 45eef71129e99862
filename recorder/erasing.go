package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// An eraser deletes versions that are locked in GOVERNANCE mode. What is locked otherwise is storage.ErrLocked.
type eraser interface {
	Erase(ctx context.Context, ref storage.Ref) error
}

// shreddedData is the data of EventShredded.
type shreddedData struct {
	Reason string    `json:"reason"`                // of the request
	Until  time.Time `json:"locked_until,omitzero"` // as far as the catalog knows
}

// erasedData is the data of EventErased.
type erasedData struct {
	Objects int       `json:"objects"`             // versions that were there
	Left    bool      `json:"left,omitempty"`      // some stay
	Until   time.Time `json:"left_until,omitzero"` // and may be deleted then
}

// carryOut erases what somebody approved: first the key, so that nothing can be read whatever comes, then every version in the store. Every
// step may be repeated.
func (a *Archive) carryOut(ctx context.Context, e catalog.Erasure) (catalog.Recording, error) {
	row, err := a.Catalog.Get(ctx, e.Recording)
	if err == nil && !isGone(row) {
		row, err = a.shred(ctx, row, e)
	}
	if err == nil && row.State == catalog.StateShredded {
		row, err = a.eraseBytes(ctx, row, e.DecidedBy)
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return row, err
	}
	e.State = catalog.ErasureDone
	return row, a.Catalog.PutErasure(context.WithoutCancel(ctx), e)
}

// shred destroys the key of a recording and of what is written about it, and leaves a row without names.
func (a *Archive) shred(ctx context.Context, row catalog.Recording, e catalog.Erasure) (catalog.Recording, error) {
	if err := a.heldError(ctx, row); err != nil {
		return row, err
	}
	data := shreddedData{Reason: e.Reason, Until: row.LockedUntil}
	bare := a.words().bare(row, catalog.StateShredded, a.now(), DestroyedErased)
	err := a.do(ctx, EventShredded, row.ID, e.DecidedBy, data, func() (any, error) {
		if err := a.Catalog.Condemn(ctx, catalog.Doom{ID: row.ID, Reason: string(DestroyedErased), At: a.now()}); err != nil {
			return nil, err // from here on there is no way back
		}
		if err := a.Keys.Destroy(ctx, row.ID); err != nil {
			return nil, fmt.Errorf("destroy key: %w", err)
		}
		if err := a.endAnalyses(ctx, row.ID); err != nil {
			return nil, err
		}
		ctx := context.WithoutCancel(ctx)
		if err := a.Catalog.Put(ctx, bare); err != nil {
			return nil, err
		}
		return data, errors.Join(a.Catalog.LiftAll(ctx, row.ID, utcMS(a.now())), a.Catalog.Unrestrict(ctx, row.ID), a.Catalog.Undoom(ctx, row.ID))
	})
	if err != nil {
		return row, err
	}
	return bare, nil
}

// eraseBytes deletes what is left in the store of a shredded recording and of its documents, and looks again. It is erased when nothing is.
func (a *Archive) eraseBytes(ctx context.Context, row catalog.Recording, actor string) (catalog.Recording, error) {
	there, err := a.remains(ctx, row.Sidecar.Key)
	if err != nil {
		return row, err
	}
	there.id = row.ID
	data := erasedData{Objects: len(there.free) + len(there.bound)}
	err = a.do(ctx, EventErased, row.ID, actor, data, func() (any, error) {
		if _, err := a.eraseBound(ctx, there); err != nil {
			return nil, err
		}
		if err := a.eraseDocuments(ctx, row.ID); err != nil {
			return nil, err
		}
		after, err := a.remains(ctx, row.Sidecar.Key)
		if err != nil {
			return nil, err
		}
		if data.Left = len(after.free)+len(after.bound) > 0; data.Left {
			data.Until = after.locked
			if !after.held() {
				row.LockedUntil = after.locked
			}
		} else {
			row.State, row.Audio, row.Sidecar = catalog.StateErased, catalog.Object{}, catalog.Object{}
		}
		return data, a.Catalog.Put(context.WithoutCancel(ctx), row)
	})
	return row, err
}

// eraseBound deletes also what is locked in GOVERNANCE mode, where there is an eraser: for what a person asked for, and for nothing else.
func (a *Archive) eraseBound(ctx context.Context, there remains) (left bool, err error) {
	stay := there
	stay.bound = nil
	var errs []error
	for _, info := range there.bound {
		if a.Eraser == nil || info.LegalHold || info.Retention.Mode != storage.Governance {
			stay.bound = append(stay.bound, info)
			continue
		}
		if a.sweeping != nil {
			if err := a.sweeping.keep(ctx); err != nil {
				return true, errors.Join(append(errs, err)...)
			}
		}
		switch err := a.Eraser.Erase(ctx, info.Ref); {
		case errors.Is(err, storage.ErrLocked): // held meanwhile
			stay.bound = append(stay.bound, info)
		case err != nil:
			errs = append(errs, fmt.Errorf("erase %s: %w", info.Key, err))
		}
	}
	left, err = a.erase(ctx, stay)
	return left, errors.Join(append(errs, err)...)
}

// sweepShredded deletes the bytes of a shredded recording when their lock has ended, and says nothing while nothing can be deleted.
func (a *Archive) sweepShredded(ctx context.Context, row catalog.Recording) error {
	there, err := a.remains(ctx, row.Sidecar.Key)
	if err != nil || len(there.free) == 0 && len(there.bound) > 0 {
		return err
	}
	_, err = a.eraseBytes(ctx, row, "")
	return err
}

// eraseDocuments deletes the bytes of the documents about a recording, whose keys are gone.
func (a *Archive) eraseDocuments(ctx context.Context, id string) error {
	docs, err := a.Catalog.Analyses(ctx, id)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		gone, err := a.sweepFolder(ctx, id, doc.Object.Key)
		if err == nil && gone {
			err = a.Catalog.DeleteAnalysis(context.WithoutCancel(ctx), doc.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// finishErasures carries out what was approved, and what a crash or a store that was away cut off. What was held in between is left alone.
func (a *Archive) finishErasures(ctx context.Context) error {
	list, err := a.Catalog.Erasures(ctx, catalog.ErasureApproved)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range list {
		if _, err := a.carryOut(ctx, e); !errors.Is(err, catalog.ErrHeld) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
