package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// A grave is what is to be destroyed, and why.
type grave struct {
	id     string
	reason DestroyReason
	actor  string // who asked for it; "": nobody but the policy
	why    string
	spool  func(id string) error // removes it from the spool; nil: it is not there
}

// doom notes that a call's recording is to be destroyed, if that can be done in the time that a call can wait.
func (r *Recorder) doom(ctx context.Context, id, reason string) error {
	if r.CatalogAway() {
		return catalog.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, catalogPatience)
	defer cancel()
	return r.cfg.Catalog.Doom(ctx, id, reason)
}

// destroyStored destroys a recording that nobody writes to any more, in the spool or in the store: its key first, so that nothing of it
// can be read whatever comes, then every version of its objects, then what is in the spool; its row stays, without names. What a crash
// or a store that is away cuts off is tried again by Run. One that the store locks is an error that wraps storage.ErrLocked: nothing
// is destroyed of it.
func (r *Recorder) destroyStored(ctx context.Context, id, reason string) error {
	if err := r.cfg.Catalog.DoomFrom(ctx, catalog.Doom{ID: id, Reason: reason, At: r.cfg.Clock()}); err != nil {
		return err
	}
	if !r.take(id) {
		return nil // somebody is at it, and Run sees to what they leave
	}
	defer r.letGo(id)
	return r.destroyTaken(ctx, id, reason)
}

// destroyTaken destroys what is doomed, and what the caller has taken.
func (r *Recorder) destroyTaken(ctx context.Context, id, reason string) error {
	if err := r.locate(ctx, id); err != nil {
		return fmt.Errorf("destroy recording: %w", err)
	}
	if err := r.archive().destroy(ctx, grave{id: id, reason: DestroyReason(reason), spool: r.cfg.Spool.Remove}); err != nil {
		return err
	}
	r.cfg.Observe(Observation{Event: EventDestroyed, Outcome: reason})
	return nil
}

// take keeps others of this process from working on a recording that no call writes to, until letGo. It is false when somebody does.
func (r *Recorder) take(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken[id] {
		return false
	}
	r.taken[id] = true
	return true
}

func (r *Recorder) letGo(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.taken, id)
}

// locate notes in the catalog where the objects of a recording may stand that is still in the spool: once its key is gone its sidecar,
// which says so, cannot be read any more.
func (r *Recorder) locate(ctx context.Context, id string) error {
	staged, ok := r.cfg.Spool.Staged(id, sidecarName)
	if !ok {
		return nil // nothing was put into the store
	}
	row, err := r.cfg.Catalog.Get(ctx, id)
	if err == nil && row.Sidecar.Key != "" {
		return nil
	}
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	key, keyErr := r.cfg.Keys.Get(ctx, id)
	if errors.Is(keyErr, seal.ErrDestroyed) {
		return nil // it was located before that
	}
	if keyErr != nil {
		return keyErr
	}
	side, sideErr := readSidecar(staged, key)
	if sideErr != nil {
		return sideErr
	}
	if err != nil {
		row = r.words.storedRow(side, objectData{})
		row.State = catalog.StateFinishing
	}
	row.EndedAt, row.EndCause, row.Duration = side.Session.EndedAt, side.Session.EndCause, time.Duration(side.Session.DurationMS)*time.Millisecond
	row.Audio.Key, row.Sidecar.Key = objectKey(side, side.audioName()), objectKey(side, sidecarName)
	return r.cfg.Catalog.Put(ctx, row)
}

// destroy destroys a recording, and dooms it first if nobody has. Every step may be repeated.
func (a *Archive) destroy(ctx context.Context, g grave) error {
	row, err := a.Catalog.Get(ctx, g.id)
	known := err == nil
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return fmt.Errorf("destroy recording: %w", err)
	}
	if err := a.heldError(ctx, row); err != nil {
		return fmt.Errorf("destroy recording: %w", err)
	}
	there, away := a.remains(ctx, row.Sidecar.Key)
	if away != nil && row.State == catalog.StateLocked {
		return fmt.Errorf("destroy recording: %w", away)
	}
	// What is redacted was looked at before that: its key goes, whatever the store keeps of its bytes.
	mayStay := g.reason == DestroyedRedacted && !there.held()
	if _, keyErr := a.Keys.Get(ctx, g.id); !there.locked.IsZero() && !mayStay && !errors.Is(keyErr, seal.ErrDestroyed) {
		err := lockedUntil(row, there.locked)
		return errors.Join(err, a.witness(ctx, EventDestroyed, g.id, g.actor, audit.Failed, destroyedData{Reason: g.reason, Why: g.why, Left: true}))
	}
	data := destroyedData{Reason: g.reason, Why: g.why}
	return a.do(ctx, EventDestroyed, g.id, g.actor, data, func() (any, error) {
		if err := a.Catalog.Condemn(ctx, catalog.Doom{ID: g.id, Reason: string(g.reason), At: a.now()}); err != nil {
			return nil, err // from here on there is no way back
		}
		if err := a.Keys.Destroy(ctx, g.id); err != nil {
			return nil, fmt.Errorf("destroy key: %w", err)
		}
		if away != nil {
			return nil, away // nothing can be read any more; the bytes go when the store is back
		}
		eraseNow := a.erase
		if g.reason == DestroyedRedacted {
			eraseNow = a.eraseBound
		}
		left, err := eraseNow(ctx, there)
		if err != nil {
			return nil, err
		}
		data.Left = left
		if err := a.endAnalyses(ctx, g.id); err != nil {
			return nil, err
		}
		if g.spool != nil {
			if err := g.spool(g.id); err != nil {
				return nil, fmt.Errorf("remove spool: %w", err)
			}
		}
		return data, a.bury(context.WithoutCancel(ctx), row, known, g, data.Left)
	})
}

// bury leaves of a recording's row what may stay, and takes it off the list of the doomed.
func (a *Archive) bury(ctx context.Context, row catalog.Recording, known bool, g grave, left bool) error {
	if known && g.reason == destroyedUnfinished {
		return a.Catalog.Forget(ctx, g.id) // it never was a recording
	}
	if known && !isGone(row) {
		row = a.words().bare(row, catalog.StateDestroyed, a.now(), g.reason)
	}
	if known && isGone(row) {
		if !left {
			row.Audio, row.Sidecar = catalog.Object{}, catalog.Object{}
		}
		if err := a.Catalog.Put(ctx, row); err != nil {
			return err
		}
	}
	if err := a.Catalog.LiftAll(ctx, g.id, utcMS(a.now())); err != nil { // of what was held before it was stored
		return err
	}
	return a.Catalog.Undoom(ctx, g.id)
}

// lockedUntil is the error of what cannot be destroyed before its lock ends. It wraps storage.ErrLocked.
func lockedUntil(row catalog.Recording, until time.Time) error {
	if until.Equal(held) {
		return fmt.Errorf("recording %s has a legal hold, and stays until that is lifted: %w", row.ID, storage.ErrLocked)
	}
	at := until.UTC().Format(time.RFC3339)
	if row.LockMode == string(storage.Compliance) {
		return fmt.Errorf("recording %s is locked in COMPLIANCE mode, which nobody can end before %s: %w", row.ID, at, storage.ErrLocked)
	}
	return fmt.Errorf("recording %s is locked until %s; only who has the right to bypass %s retention can end that: configure the eraser's credentials, to redact it, or to have it erased by two persons: %w",
		row.ID, at, row.LockMode, storage.ErrLocked)
}

// elsewhere tells a doom that another deed carries out.
func elsewhere(reason string) bool {
	return DestroyReason(reason) == DestroyedExpired || DestroyReason(reason) == DestroyedErased
}

// destroyDoomed destroys everything that is doomed and due, and that no call writes to. What the store locks cannot be, and is let be:
// its term ends it. What is held waits until it is released.
func (r *Recorder) destroyDoomed(ctx context.Context) error {
	list, err := r.cfg.Catalog.Doomed(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range list {
		if d.At.After(r.cfg.Clock()) || r.isLive(d.ID) || elsewhere(d.Reason) {
			continue
		}
		if _, err := r.cfg.Keys.Get(ctx, d.ID); errors.Is(err, seal.ErrDestroyed) && !r.gate.enter(r.cfg.Clock()) {
			continue // only its bytes are left, and the store is away
		}
		err := r.inStore(func() error { return r.destroyStored(ctx, d.ID, d.Reason) })
		switch {
		case errors.Is(err, catalog.ErrHeld):
			err = nil
		case errors.Is(err, storage.ErrLocked):
			err = errors.Join(err, r.cfg.Catalog.Undoom(ctx, d.ID))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *Recorder) isLive(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[id]
}

// mayLock tells whether a recording that is stored may be locked now: it is not doomed, nobody works on it, and what somebody has to
// look at has been released.
func (r *Recorder) mayLock(ctx context.Context, row catalog.Recording) (bool, error) {
	_, doomed, err := r.cfg.Catalog.DoomOf(ctx, row.ID)
	if err != nil || doomed {
		return false, err
	}
	if held, err := r.archive().isHeld(ctx, row.ID); err != nil || held && !row.RetainUntil.After(r.cfg.Clock()) {
		return false, err // no lock can be set any more, and the store's legal hold stands in its place
	}
	review, err := r.cfg.Catalog.ReviewOf(ctx, row.ID)
	if err != nil {
		return false, err
	}
	return !review.BusyUntil.After(r.cfg.Clock()) && !suspected(row, review), nil
}
