package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

const (
	checkName = "check.age"
	lockName  = "lock"
	checkID   = "check"
)

// Keys holds the wrapped keys of recordings on a shelf: a directory, or one that several machines share. Nothing is kept in memory, so
// that a key that another process destroys is gone at once; what was given out before lives as long as its holder keeps it. Several
// processes may use one shelf.
type Keys struct {
	shelf Shelf
	porch *Keys // of a shared shelf: where this machine's new keys wait; nil: they are made on the shelf
	kek   KEK
	now   func() time.Time
	step  func(string) error // tests: a crash at a step is an error that wraps errStep

	making sync.Mutex // one Create at a time: of many that are synced at once each is done as late as the last

	mu        sync.Mutex
	awayUntil time.Time // the shared shelf is not asked what it need not be asked
}

func newKeys(s Shelf, w KEK) *Keys { return &Keys{shelf: s, kek: w, now: time.Now, step: noStep} }

// errStep is a crash that a test makes.
var errStep = errors.New("cut off")

func noStep(string) error { return nil }

// OpenKeys opens a directory of keys, and makes it if there is none. A key-encryption key other than the one that it was made with is
// ErrWrongKey; one that a service keeps which is away is no error, once the directory is made: see Check. Destructions that a crash
// cut off, and keys that a backup brought back after their destruction, are destroyed.
func OpenKeys(ctx context.Context, dir string, w KEK) (*Keys, error) {
	shelf, err := openDirShelf(dir)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	k := newKeys(shelf, w)
	if err := k.Check(ctx); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, fmt.Errorf("open keys in %s: %w", dir, err)
	}
	if err := k.clean(ctx); err != nil {
		return nil, fmt.Errorf("open keys in %s: %w", dir, err)
	}
	return k, nil
}

// Check unwraps the check file, and makes it if there is none: ErrWrongKey, or ErrUnavailable, which may pass.
func (k *Keys) Check(ctx context.Context) error {
	_, err := k.readKey(ctx, checkName, checkID)
	if errors.Is(err, ErrNotFound) {
		if err = k.makeCheck(ctx); err == nil {
			_, err = k.readKey(ctx, checkName, checkID)
		}
	}
	if errors.Is(err, ErrWrongKey) {
		return fmt.Errorf("these keys were wrapped by another key-encryption key: restore that one (recordings made with it cannot be read without it): %w", err)
	}
	return err
}

// makeCheck makes the check file. If keys are there already, one of them must open first.
func (k *Keys) makeCheck(ctx context.Context) error {
	for id, err := range k.List(ctx) {
		if err != nil {
			return err
		}
		if _, err := k.find(ctx, id); err != nil {
			return err
		}
		break
	}
	key, err := newKey(checkID)
	if err != nil {
		return err
	}
	wrapped, err := k.wrap(ctx, key)
	if err != nil {
		return err
	}
	if err := k.shelf.Put(ctx, checkName, nil, wrapped); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Create makes the key of a recording. It is durable when Create returns, on this machine: see Settle. ErrExists, or ErrDestroyed if
// the id had a key.
func (k *Keys) Create(ctx context.Context, id string) (*Key, error) {
	at := k
	if k.porch != nil {
		at = k.porch
	}
	key, err := at.create(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("create key of %q: %w", id, err)
	}
	return key, nil
}

func (k *Keys) create(ctx context.Context, id string) (*Key, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	key, err := newKey(id)
	if err != nil {
		return nil, err
	}
	k.making.Lock()
	defer k.making.Unlock()
	unlock, err := k.lock(lockName, shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := k.notDestroyed(ctx, id); err != nil {
		return nil, err
	}
	wrapped, err := k.wrap(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := k.place(ctx, key, wrapped); errors.Is(err, fs.ErrExist) {
		return nil, ErrExists
	} else if err != nil {
		return nil, err
	}
	return key, nil
}

// place puts a wrapped key onto the shelf, and looks again at what others may have done meanwhile. fs.ErrExist if there is one.
func (k *Keys) place(ctx context.Context, key *Key, wrapped []byte) error {
	if err := k.shelf.Put(ctx, fileName(key.id, keySuffix), nil, wrapped); err != nil {
		return err
	}
	if err := k.step("created"); err != nil {
		return err
	}
	return k.stands(ctx, key, wrapped)
}

// maxSwaps bounds how often a key is wrapped anew because the key-encryption key changes while it is.
const maxSwaps = 8

// stands sees to it that a key that was just put onto the shelf is neither destroyed nor wrapped by a former key-encryption key: who
// destroyed it, or wrapped all others anew, did not see it.
func (k *Keys) stands(ctx context.Context, key *Key, wrapped []byte) error {
	name := fileName(key.id, keySuffix)
	if err := k.gone(ctx, key.id); err != nil {
		return err
	}
	if _, ok := k.shelf.(locker); ok {
		return nil // a rotation waits until this is done
	}
	for range maxSwaps {
		ids, err := k.kek.IDs(ctx)
		if err != nil || len(ids) == 0 || markOf(wrapped) == ids[0] {
			return err
		}
		anew, err := k.wrap(ctx, key)
		if err != nil {
			return err
		}
		switch err := k.shelf.Put(ctx, name, wrapped, anew); {
		case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
			return k.gone(ctx, key.id) // a rotation has done it, or it is destroyed
		case err != nil:
			return err
		}
		wrapped = anew
		if err := k.gone(ctx, key.id); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: the key-encryption key changes all the time", ErrUnavailable)
}

// wrap wraps a key.
func (k *Keys) wrap(ctx context.Context, key *Key) ([]byte, error) {
	payload := key.payload()
	defer clear(payload)
	wrapped, err := k.kek.Wrap(ctx, key.id, payload)
	if err != nil {
		return nil, err
	}
	if len(wrapped) > maxWrappedBytes {
		return nil, fmt.Errorf("wrapped key of %d bytes, at most %d are allowed", len(wrapped), maxWrappedBytes)
	}
	return wrapped, nil
}

// Get gives the key of a recording: ErrNotFound, ErrDestroyed, ErrWrongKey, ErrUnavailable.
func (k *Keys) Get(ctx context.Context, id string) (*Key, error) {
	key, err := k.find(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("get key of %q: %w", id, err)
	}
	return key, nil
}

func (k *Keys) find(ctx context.Context, id string) (*Key, error) {
	if k.porch != nil {
		return k.getShared(ctx, id)
	}
	return k.get(ctx, id)
}

func (k *Keys) get(ctx context.Context, id string) (*Key, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := k.notDestroyed(ctx, id); err != nil {
		return nil, err
	}
	key, err := k.readKey(ctx, fileName(id, keySuffix), id)
	if err == nil || ctx.Err() != nil {
		return key, err
	}
	// A destruction may have come in between.
	return nil, errors.Join(k.notDestroyed(ctx, id), err)
}

func (k *Keys) readKey(ctx context.Context, name, id string) (*Key, error) {
	wrapped, err := k.shelf.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return k.unwrap(ctx, id, wrapped)
}

func (k *Keys) unwrap(ctx context.Context, id string, wrapped []byte) (*Key, error) {
	payload, err := k.kek.Unwrap(ctx, id, wrapped)
	defer clear(payload)
	if err != nil {
		return nil, err
	}
	return parsePayload(id, payload)
}

// same tells whether two wrapped forms hold the same key. ErrWrongKey if the first cannot be unwrapped any more.
func (k *Keys) same(ctx context.Context, id string, wrapped []byte, key *Key) (bool, error) {
	other, err := k.unwrap(ctx, id, wrapped)
	if err != nil {
		return false, err
	}
	a, b := other.payload(), key.payload()
	defer clear(a)
	defer clear(b)
	return bytes.Equal(a, b), nil
}
