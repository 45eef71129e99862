package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// placeHold makes the store hold what the catalog holds. It is false when there is nothing in the store yet.
func (a *Archive) placeHold(ctx context.Context, h catalog.Held) (bool, error) {
	row, err := a.Catalog.Get(ctx, h.Recording)
	if err != nil {
		return false, err
	}
	if row.State != catalog.StateStored && row.State != catalog.StateLocked {
		return false, nil
	}
	if err := a.holdObjects(ctx, row, true); err != nil {
		return false, err
	}
	h.State, h.Since = catalog.HoldPlaced, utcMS(a.now())
	return true, a.Catalog.SetHeld(context.WithoutCancel(ctx), h)
}

// holdObjects sets or lifts the store's legal hold of every version of a recording and of its documents, each by its version id.
func (a *Archive) holdObjects(ctx context.Context, row catalog.Recording, on bool) error {
	objects := []catalog.Object{row.Sidecar, row.Audio}
	docs, err := a.Catalog.Analyses(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if doc.State == catalog.AnalysisStored {
			objects = append(objects, doc.Object)
		}
	}
	for _, o := range objects {
		err := a.Store.Hold(ctx, storage.Ref{Key: o.Key, VersionID: o.Version}, on)
		if errors.Is(err, storage.ErrNotFound) && !on {
			continue // somebody took it away, which verify tells of
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// liftHold ends the hold of one recording: in the store, unless another holds it too, and then in the catalog.
func (a *Archive) liftHold(ctx context.Context, h catalog.Held) error {
	row, err := a.Catalog.Get(ctx, h.Recording)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	stored := err == nil && (row.State == catalog.StateStored || row.State == catalog.StateLocked)
	others, err := a.othersHold(ctx, h)
	if err != nil {
		return err
	}
	if stored && !others {
		if err := a.holdObjects(ctx, row, false); err != nil {
			return err
		}
		// Another hold may have come in between, and have been lifted with this one.
		if others, err = a.othersHold(ctx, h); err == nil && others {
			err = a.holdObjects(ctx, row, true)
		}
		if err != nil {
			return err
		}
	}
	h.State, h.Since = catalog.HoldLifted, utcMS(a.now())
	return a.Catalog.SetHeld(context.WithoutCancel(ctx), h)
}

// othersHold tells whether a recording is under another hold that stays.
func (a *Archive) othersHold(ctx context.Context, h catalog.Held) (bool, error) {
	list, err := a.Catalog.HoldsOf(ctx, h.Recording)
	for _, x := range list {
		if x.Hold != h.Hold && x.State != catalog.HoldLifting {
			return true, err
		}
	}
	return false, err
}

// A HoldRelease says what is to be let go, and why.
type HoldRelease struct {
	Hold   string // name; may be "" of a recording that is under one hold
	ID     string // of the only recording that is let go; "": all, and the hold ends
	Reason string
	Actor  string
}

// ReleaseHold ends a hold, or lets one recording go that is under it. What was due meanwhile, and that no other hold keeps, is done at once:
// what the term ended expires, and what was to be destroyed is. With an error that wraps storage.ErrUnavailable the server does what is left.
func (a *Archive) ReleaseHold(ctx context.Context, o HoldRelease) (released []string, err error) {
	if strings.TrimSpace(o.Reason) == "" {
		return nil, fmt.Errorf("release hold: %w: say why", ErrRefused)
	}
	list, err := a.toRelease(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("release hold: %w", err)
	}
	var errs []error
	for _, h := range list {
		if err := a.release(ctx, h, o.Actor, o.Reason); err != nil {
			errs = append(errs, err)
			continue
		}
		released = append(released, h.Recording)
	}
	if err := errors.Join(errs...); err != nil {
		return released, fmt.Errorf("release hold: %w", err)
	}
	return released, nil
}

// toRelease finds what an order lets go, and ends the hold if that is what it says.
func (a *Archive) toRelease(ctx context.Context, o *HoldRelease) ([]catalog.Held, error) {
	if o.ID == "" {
		if err := a.endHold(ctx, o); err != nil {
			return nil, err
		}
		list, err := a.Catalog.HeldBy(ctx, o.Hold)
		var active []catalog.Held
		for _, h := range list {
			if h.State != catalog.HoldLifted {
				active = append(active, h)
			}
		}
		return active, err
	}
	list, err := a.Catalog.HoldsOf(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range list {
		if h.Hold == o.Hold || o.Hold == "" && len(list) == 1 {
			return []catalog.Held{h}, nil
		}
		names = append(names, h.Hold)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: nothing holds %s", ErrRefused, o.ID)
	}
	return nil, fmt.Errorf("%w: %s is under the holds %s: name the one that lets it go", ErrRefused, o.ID, strings.Join(names, ", "))
}

// endHold notes that a hold has ended: nothing comes under it any more.
func (a *Archive) endHold(ctx context.Context, o *HoldRelease) error {
	all, err := a.Catalog.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Name != o.Hold {
			continue
		}
		if !h.Ended.IsZero() {
			return nil // and what a crash left of it is let go
		}
		data := holdData{Hold: h.Name, Reason: o.Reason}
		h.Ended = utcMS(a.now())
		return a.do(ctx, EventHoldReleased, "", o.Actor, data, func() (any, error) { return data, a.Catalog.PutHold(ctx, h) })
	}
	return fmt.Errorf("%w: there is no hold %q; `greffier recordings holds` lists them", ErrRefused, o.Hold)
}

// release lets one recording go, and does what was due.
func (a *Archive) release(ctx context.Context, h catalog.Held, actor, why string) error {
	data := holdData{Hold: h.Hold, Reason: why}
	err := a.do(ctx, EventHoldReleased, h.Recording, actor, data, func() (any, error) {
		h.State, h.Since = catalog.HoldLifting, utcMS(a.now())
		if err := a.Catalog.SetHeld(ctx, h); err != nil {
			return nil, err
		}
		return data, a.liftHold(ctx, h)
	})
	if err != nil {
		return err
	}
	return a.overdue(ctx, h.Recording)
}

// overdue does what was due while a recording was held.
func (a *Archive) overdue(ctx context.Context, id string) error {
	row, err := a.Catalog.Get(ctx, id)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.heldError(ctx, row); errors.Is(err, catalog.ErrHeld) || row.State != catalog.StateStored && row.State != catalog.StateLocked {
		return nil
	} else if err != nil {
		return err
	}
	d, doomed, err := a.Catalog.DoomOf(ctx, id)
	e, noErasure := a.Catalog.ErasureOf(ctx, id)
	switch {
	case err != nil:
		return err
	case noErasure == nil && e.State == catalog.ErasureApproved:
		_, err := a.carryOut(ctx, e)
		return err
	case !row.RetainUntil.IsZero() && !row.RetainUntil.After(a.now()):
		return a.expire(ctx, row)
	case doomed && !d.At.After(a.now()) && !elsewhere(d.Reason):
		err = a.destroy(ctx, grave{id: id, reason: DestroyReason(d.Reason)})
		if errors.Is(err, storage.ErrLocked) { // its term ends it
			return a.Catalog.Undoom(ctx, id)
		}
		return err
	}
	return nil
}

// settleHold brings the store up to what the catalog says of one held recording.
func (a *Archive) settleHold(ctx context.Context, h catalog.Held) error {
	if h.Over || h.State == catalog.HoldLifting {
		return a.release(ctx, h, "", "")
	}
	row, err := a.Catalog.Get(ctx, h.Recording)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	switch {
	case err == nil && isGone(row): // it was destroyed before it was stored
		return a.Catalog.LiftAll(ctx, h.Recording, utcMS(a.now()))
	case err != nil || h.State != catalog.HoldPlacing || row.State != catalog.StateStored && row.State != catalog.StateLocked:
		return nil
	}
	data := holdData{Hold: h.Hold, Reason: h.Reason}
	return a.do(ctx, EventHoldPlaced, h.Recording, "", data, func() (any, error) {
		_, err := a.placeHold(ctx, h)
		return data, err
	})
}

// settleHolds does what a crash, or a store that was away, left undone.
func (a *Archive) settleHolds(ctx context.Context) error {
	list, err := a.Catalog.Unsettled(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range list {
		errs = append(errs, a.settleHold(ctx, h))
	}
	return errors.Join(errs...)
}
