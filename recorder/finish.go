package recorder

import (
	"context"
	"errors"
	"fmt"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// sidecarName is the name of the sealed sidecar, in the spool and at the end of its key in the store. audioName is the other's.
const sidecarName = "recording.json.age"

// A fatedError is a recording that its journal says is not to be stored.
type fatedError struct {
	fate  fateEntry
	first journalEntry
}

func (e *fatedError) Error() string { return "the recording is not to be stored" }

// destroyFated destroys a recording that could not be when its call had to end, because the catalog was away.
func (r *Recorder) destroyFated(ctx context.Context, id string, f *fatedError) error {
	if _, err := r.cfg.Catalog.Get(ctx, id); errors.Is(err, catalog.ErrNotFound) {
		err = r.cfg.Catalog.Put(ctx, r.words.progress(f.first, len(f.first.Streams)))
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := r.cfg.Catalog.DoomFrom(ctx, catalog.Doom{ID: id, Reason: f.fate.Destroy, At: r.cfg.Clock()}); err != nil {
		return err
	}
	return r.destroyTaken(ctx, id, f.fate.Destroy)
}

// finish brings one recording from the spool into the store: assemble, seal, put, lock, index, and only then remove the
// spool. Every step may be repeated: what is staged is used again, what is stored already is recognised by its hash.
func (r *Recorder) finish(ctx context.Context, id string) error {
	if !r.take(id) {
		return nil // it is being destroyed
	}
	defer r.letGo(id)
	r.cancelDebt(id)
	if d, doomed, err := r.cfg.Catalog.DoomOf(ctx, id); err != nil {
		return err
	} else if doomed && elsewhere(d.Reason) {
		return nil
	} else if doomed {
		if err := r.destroyTaken(ctx, id, d.Reason); !errors.Is(err, catalog.ErrHeld) {
			return err
		}
		// It was stored, and is held: only the spool is left of what is to be done.
	}
	key, err := r.cfg.Keys.Get(ctx, id)
	if errors.Is(err, seal.ErrDestroyed) {
		return r.leftOver(ctx, id) // nobody can read it any more, by somebody's will
	}
	if err != nil {
		return fmt.Errorf("get key: %w", err) // a key that is missing may come back from a backup: keep the spool
	}
	side, err := r.seal(ctx, id, key)
	var fated *fatedError
	if errors.Is(err, errNoBegin) || errors.As(err, &fated) && fated.fate.Abandon {
		return r.discard(ctx, id)
	}
	if fated != nil {
		return r.destroyFated(ctx, id, fated)
	}
	if err != nil {
		return err
	}
	row, err := r.store(ctx, side)
	if err != nil {
		return err
	}
	if err := r.archive().holdMatching(ctx, id); err != nil {
		return err
	}
	if side.Class.Quarantine.IsZero() || !row.QuarantineUntil.After(r.cfg.Clock()) {
		if err := r.lockIfMay(ctx, row); err != nil {
			return err
		}
	}
	if d, doomed, err := r.cfg.Catalog.DoomOf(ctx, id); err != nil {
		return err
	} else if doomed { // meanwhile
		if err := r.destroyTaken(ctx, id, d.Reason); !errors.Is(err, storage.ErrLocked) && !errors.Is(err, catalog.ErrHeld) {
			return err
		}
		// It was locked before, of which upkeep says so, or is held.
	}
	if err := r.cfg.Spool.Remove(id); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}

// leftOver removes from the spool what is left of a recording that has ended, by its term or by somebody's will.
func (r *Recorder) leftOver(ctx context.Context, id string) error {
	row, err := r.cfg.Catalog.Get(ctx, id)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	if err != nil || !isGone(row) {
		return r.discard(ctx, id)
	}
	if err := r.cfg.Spool.Remove(id); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}

// discard removes what is left of a session that was never answered. The spool stands until the index has forgotten the session, so
// that a restart finds what is left to do; it goes before the key, which stays while somebody writes to the spool.
func (r *Recorder) discard(ctx context.Context, id string) error {
	return r.do(ctx, EventAbandoned, id, nil, func() (any, error) {
		if err := r.cfg.Catalog.Delete(ctx, id); err != nil && !errors.Is(err, catalog.ErrNotFound) {
			return nil, fmt.Errorf("remove from catalog: %w", err)
		}
		if err := r.cfg.Spool.Remove(id); err != nil {
			return nil, fmt.Errorf("remove spool: %w", err)
		}
		if err := r.cfg.Keys.Destroy(ctx, id); err != nil {
			return nil, fmt.Errorf("destroy key: %w", err)
		}
		return nil, nil
	})
}
