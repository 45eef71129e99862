package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// sentSuffix is that of a mark on the porch: the shared shelf may have been told of the id. Where there is none, a key that lies on the
// porch was never anywhere else.
const sentSuffix = ".sent"

// OpenShared opens keys on a shelf that several machines share. A key is made in dir, the porch, which is this machine's own and has the
// form of a directory of keys: so that no call waits for the shelf, and none is lost while it is away. Settle brings it to the shelf.
// A key that never left the porch is destroyed there. What a directory of keys held before the shelf was shared is on the porch, too.
//
// A shelf that is away is no error: see Sweep.
func OpenShared(ctx context.Context, s Shelf, dir string, w KEK) (*Keys, error) {
	near, err := openDirShelf(dir)
	if err != nil {
		return nil, fmt.Errorf("open shared keys: %w", err)
	}
	k := newKeys(s, w)
	k.porch = newKeys(near, w)
	if err := k.porch.clean(ctx); err != nil {
		return nil, fmt.Errorf("open shared keys: %w", err)
	}
	if err := k.Check(ctx); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, fmt.Errorf("open shared keys: %w", err)
	}
	return k, nil
}

func (k *Keys) getShared(ctx context.Context, id string) (*Key, error) {
	key, err := k.porch.get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return k.get(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	// Another machine may have destroyed it. While the shelf is away nobody can tell, and what ends here is to be sealed.
	if k.isAway() {
		return key, nil
	}
	if err := k.notDestroyed(ctx, id); errors.Is(err, ErrUnavailable) {
		k.noteAway()
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

// lookAgain is how long a shelf that was away is taken for away, where that makes no difference but the time it takes to ask.
const lookAgain = 30 * time.Second

func (k *Keys) noteAway() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.awayUntil = k.now().Add(lookAgain)
}

func (k *Keys) isAway() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now().Before(k.awayUntil)
}

// destroyShared destroys a key here first. The shelf need not know of one that never left.
func (k *Keys) destroyShared(ctx context.Context, id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	here, err := has(ctx, k.porch.shelf, fileName(id, keySuffix))
	if err != nil {
		return err
	}
	if err := k.porch.destroy(ctx, id); err != nil {
		return err
	}
	// Now, after the tombstone: a Settle that has not left its mark yet will see that, and end.
	sent, err := has(ctx, k.porch.shelf, fileName(id, sentSuffix))
	if err != nil || here && !sent {
		return err
	}
	return k.destroy(ctx, id)
}

// Settle brings a key from this machine to the shared shelf, wrapped by the key-encryption key of today, if it is not there already. It
// is to be done before anything that the key seals leaves this machine. It may be repeated: ErrUnavailable, ErrDestroyed.
func (k *Keys) Settle(ctx context.Context, id string) error {
	if k.porch == nil {
		return nil
	}
	if err := k.settle(ctx, id); err != nil {
		return fmt.Errorf("settle key of %q: %w", id, err)
	}
	return nil
}

func (k *Keys) settle(ctx context.Context, id string) error {
	if err := CheckID(id); err != nil {
		return err
	}
	near, name, sent := k.porch.shelf, fileName(id, keySuffix), fileName(id, sentSuffix)
	wrapped, err := near.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return k.porch.notDestroyed(ctx, id)
	}
	if err != nil {
		return err
	}
	if err := k.step("found"); err != nil {
		return err
	}
	if err := near.Put(ctx, sent, nil, []byte("\n")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := k.step("marked"); err != nil {
		return err
	}
	if err := k.porch.gone(ctx, id); err != nil {
		return err
	}
	if err := k.notDestroyed(ctx, id); err != nil {
		if errors.Is(err, ErrDestroyed) { // by another machine
			err = errors.Join(err, k.porch.destroy(ctx, id))
		}
		return err
	}
	if err := k.send(ctx, id, wrapped); err != nil {
		return err
	}
	if err := k.step("sent"); err != nil {
		return err
	}
	return errors.Join(near.Remove(ctx, name), near.Remove(ctx, sent))
}

// send puts a key of the porch onto the shelf. A crash may have cut it off before.
func (k *Keys) send(ctx context.Context, id string, wrapped []byte) error {
	key, err := k.unwrap(ctx, id, wrapped)
	if err != nil {
		return err
	}
	for range maxSwaps {
		err := k.place(ctx, key, wrapped)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		name := fileName(id, keySuffix)
		there, err := k.shelf.Get(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		switch same, err := k.isSame(ctx, key, wrapped, there); {
		case errors.Is(err, ErrWrongKey):
			// It was cut off so long ago that its key-encryption key is gone. This is the one that is left.
			err := k.shelf.Put(ctx, name, there, wrapped)
			if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			return k.stands(ctx, key, wrapped)
		case err != nil:
			return err
		case !same:
			return fmt.Errorf("%w: the shelf holds another key of that id: two machines use one id, or one was restored from a copy of the other", ErrExists)
		}
		return k.stands(ctx, key, there)
	}
	return fmt.Errorf("%w: others write the key all the time", ErrUnavailable)
}

func (k *Keys) isSame(ctx context.Context, key *Key, wrapped, there []byte) (bool, error) {
	if bytes.Equal(wrapped, there) {
		return true, nil
	}
	return k.same(ctx, key.id, there, key)
}

// Sweep ends what was cut off between this machine and the shared shelf: keys on their way, and destructions that the shelf does not
// know of yet. A server does it at its start and from time to time: ErrUnavailable while the shelf is away.
func (k *Keys) Sweep(ctx context.Context) error {
	if k.porch == nil {
		return nil
	}
	for name, err := range k.porch.shelf.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("sweep keys: %w", err)
		}
		id := parseName(name, sentSuffix)
		if id == "" {
			continue
		}
		if err := k.sweep(ctx, id); err != nil {
			return fmt.Errorf("sweep key of %q: %w", id, err)
		}
	}
	return nil
}

func (k *Keys) sweep(ctx context.Context, id string) error {
	err := k.settle(ctx, id)
	if errors.Is(err, ErrDestroyed) {
		err = k.destroy(ctx, id)
	}
	if err != nil {
		return err
	}
	return k.porch.shelf.Remove(ctx, fileName(id, sentSuffix))
}
