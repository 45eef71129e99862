package seal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// Destroy makes sure that id has no key and never will have: a tombstone, durable; then the key is removed. It may be repeated, and the
// id need not have a key: so that the tombstones that an audit log knows of can be set up again after a restore. While a shared shelf
// is away it is ErrUnavailable; on this machine the key is destroyed all the same.
func (k *Keys) Destroy(ctx context.Context, id string) error {
	destroy := k.destroy
	if k.porch != nil {
		destroy = k.destroyShared
	}
	if err := destroy(ctx, id); err != nil {
		return fmt.Errorf("destroy key of %q: %w", id, err)
	}
	return nil
}

func (k *Keys) destroy(ctx context.Context, id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return k.bury(ctx, Tombstone{ID: id, Destroyed: k.now().UTC()})
}

// bury sets a tombstone up, and removes the key. The first tombstone keeps its time.
func (k *Keys) bury(ctx context.Context, t Tombstone) error {
	unlock, err := k.lock(lockName, shared)
	if err != nil {
		return err
	}
	defer unlock()
	b, err := json.Marshal(tombstone{Version: tombstoneVersion, ID: t.ID, Destroyed: t.Destroyed})
	if err != nil {
		return err
	}
	if err := k.shelf.Put(ctx, fileName(t.ID, tombstoneSuffix), nil, append(b, '\n')); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := k.step("tombstone"); err != nil {
		return err
	}
	return k.shelf.Remove(ctx, fileName(t.ID, keySuffix))
}

// notDestroyed is ErrDestroyed if there is a tombstone, whatever is in it.
func (k *Keys) notDestroyed(ctx context.Context, id string) error {
	found, err := has(ctx, k.shelf, fileName(id, tombstoneSuffix))
	if err != nil {
		return err
	}
	if found {
		return ErrDestroyed
	}
	return nil
}

// gone is ErrDestroyed if there is a tombstone, and then there is no key.
func (k *Keys) gone(ctx context.Context, id string) error {
	err := k.notDestroyed(ctx, id)
	if errors.Is(err, ErrDestroyed) {
		return errors.Join(err, k.shelf.Remove(ctx, fileName(id, keySuffix)))
	}
	return err
}

// Clean destroys keys that lie beside their tombstone: of destructions that a crash cut off, and what a backup brought back. OpenKeys
// does it for a directory; on a shared shelf a server does it at its start.
func (k *Keys) Clean(ctx context.Context) error {
	if err := k.clean(ctx); err != nil {
		return fmt.Errorf("clean keys: %w", err)
	}
	return nil
}

// clean finishes destructions and removes files that were never finished.
func (k *Keys) clean(ctx context.Context) error {
	there, err := k.survey(ctx)
	if err != nil {
		return err
	}
	for id := range there.Tombstones {
		if there.Keys[id] {
			if err := k.shelf.Remove(ctx, fileName(id, keySuffix)); err != nil {
				return err
			}
		}
	}
	if d, ok := k.shelf.(*dirShelf); ok {
		return d.clean(ctx, k.now())
	}
	return nil
}
