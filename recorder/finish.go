package recorder

import (
	"context"
	"errors"
	"fmt"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage/seal"
)

// sidecarName is the name of the sealed sidecar, in the spool and at the end of its key in the store. audioName is the other's.
const sidecarName = "recording.json.age"

// finish brings one recording from the spool into the store: assemble, seal, put, lock, index, and only then remove the
// spool. Every step may be repeated: what is staged is used again, what is stored already is recognised by its hash.
func (r *Recorder) finish(ctx context.Context, id string) error {
	key, err := r.cfg.Keys.Get(ctx, id)
	if errors.Is(err, seal.ErrDestroyed) {
		return r.discard(ctx, id) // nobody can read it any more, by somebody's will
	}
	if err != nil {
		return fmt.Errorf("get key: %w", err) // a key that is missing may come back from a backup: keep the spool
	}
	side, err := r.seal(ctx, id, key)
	if errors.Is(err, errNoBegin) {
		return r.discard(ctx, id)
	}
	if err != nil {
		return err
	}
	row, err := r.store(ctx, side)
	if err != nil {
		return err
	}
	if side.Class.Quarantine.IsZero() || !row.QuarantineUntil.After(r.cfg.Clock()) {
		if err := r.lock(ctx, row); err != nil {
			return err
		}
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
