package seal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Retire destroys key-encryption keys that no key needs any more. It is an error when a rotation is on its way, or a key is wrapped by
// one of them. A backup of the keys from before needs them: keep a copy as long as that.
func (k *Keys) Retire(ctx context.Context, ids []string) error {
	if r, err := k.Rotation(ctx); err != nil || r != nil {
		return errors.Join(errors.New("retire key-encryption key: a rotation has not ended: rotate again"), err)
	}
	for _, each := range k.places() {
		unlock, err := each.lock(lockName, exclusive)
		if err != nil {
			return fmt.Errorf("retire key-encryption key: %w", err)
		}
		unlock() // as in rewrapAll
	}
	status, err := k.Status(ctx)
	if err != nil {
		return err
	}
	for _, id := range append(slices.Clone(ids), unnamed) {
		if n := status.Wrapped[id]; n > 0 {
			return fmt.Errorf("retire key-encryption key: %d keys are wrapped by %s: rotate first", n, kekName(id))
		}
	}
	return k.kek.Retire(ctx, ids)
}

// places are the porch, if there is one, and the shelf.
func (k *Keys) places() []*Keys {
	if k.porch != nil {
		return []*Keys{k.porch, k}
	}
	return []*Keys{k}
}

func kekName(id string) string {
	if id == unnamed {
		return "one without a name"
	}
	return id
}

// A Status counts what lies on the shelf, and on this machine on its way there.
type Status struct {
	// Wrapped counts keys by the id of the key-encryption key that they name; "" are those that an older version wrapped.
	Wrapped map[string]int
	// KEKs are the key-encryption keys that can unwrap; the first wraps.
	KEKs      []string
	Destroyed int // tombstones
	Waiting   int // keys that are on this machine only: of recordings that have not been stored
	Rotation  *Rotation
}

// Status reads the headers of all keys. It unwraps none.
func (k *Keys) Status(ctx context.Context) (Status, error) {
	s, err := k.status(ctx)
	if err != nil {
		return s, fmt.Errorf("read status of keys: %w", err)
	}
	return s, nil
}

func (k *Keys) status(ctx context.Context) (s Status, err error) {
	s.Wrapped = make(map[string]int)
	tombstones := make(map[string]bool)
	for _, each := range k.places() {
		s.Waiting = 0
		for _, n := range s.Wrapped {
			s.Waiting += n
		}
		for name, err := range each.shelf.List(ctx, "") {
			if err != nil {
				return s, err
			}
			if id := parseName(name, tombstoneSuffix); id != "" {
				tombstones[id] = true
			}
			if parseName(name, keySuffix) == "" && (name != checkName || each != k) {
				continue
			}
			b, err := each.shelf.Get(ctx, name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return s, err
			}
			s.Wrapped[markOf(b)]++
		}
	}
	s.Destroyed = len(tombstones)
	if s.Rotation, err = k.Rotation(ctx); err == nil {
		s.KEKs, err = k.kek.IDs(ctx)
	}
	return s, err
}
