package seal

import (
	"context"
	"errors"
	"fmt"
)

// Moved counts what Move has brought to the shared shelf.
type Moved struct {
	Keys       int `json:"keys"`
	Tombstones int `json:"tombstones"`
}

// Move brings everything that lies on this machine to the shared shelf, as after a change from a directory to that: each key is
// overwritten here when it is there. It may be cut off and called again. Progress, which may be nil, is told after each.
func (k *Keys) Move(ctx context.Context, progress func(Moved)) (done Moved, err error) {
	if k.porch == nil {
		return done, errors.New("move keys: they lie in a directory, and no other place is configured: set keys.store")
	}
	there, err := k.porch.survey(ctx)
	if err != nil {
		return done, fmt.Errorf("move keys: %w", err)
	}
	tell := func(n *int) {
		*n++
		if progress != nil {
			progress(done)
		}
	}
	for id := range there.Tombstones {
		t, err := k.porch.tombstone(ctx, id)
		if errors.Is(err, ErrDamaged) {
			t, err = Tombstone{ID: id, Destroyed: k.now().UTC()}, nil
		}
		if err == nil {
			err = k.bury(ctx, t)
		}
		if err != nil {
			return done, fmt.Errorf("move tombstone of %q: %w", id, err)
		}
		tell(&done.Tombstones)
	}
	for id := range there.Keys {
		if there.Tombstones[id] {
			continue
		}
		if err := k.settle(ctx, id); err != nil && !errors.Is(err, ErrDestroyed) {
			return done, fmt.Errorf("move key of %q: %w", id, err)
		}
		tell(&done.Keys)
	}
	if err := k.porch.shelf.Remove(ctx, checkName); err != nil {
		return done, fmt.Errorf("move keys: %w", err)
	}
	return done, nil
}
