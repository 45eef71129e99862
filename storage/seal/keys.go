package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	keySuffix       = ".age"
	tombstoneSuffix = ".destroyed"
	checkName       = "check.age"
	lockName        = "lock"
	checkID         = "check"

	tombstoneVersion = 1
)

// Keys holds the wrapped keys of recordings in a directory. Nothing is kept in memory, so that a key that another process destroys is
// gone at once; what was given out before lives as long as its holder keeps it. Several processes may use one directory.
type Keys struct {
	dir  string
	kek  KEK
	now  func() time.Time
	step func(string) error // tests: a crash at a step of a rotation is an error that wraps errStep

	mu sync.Mutex // one Create or Destroy at a time
}

// A Tombstone stands where a key was.
type Tombstone struct {
	ID        string
	Destroyed time.Time
}

// OpenKeys opens the directory, and makes it if there is none. A key-encryption key other than the one that it was made with is
// ErrWrongKey; one that a service keeps which is away is no error, once the directory is made: see Check. Destructions that a crash
// cut off, and keys that a backup brought back after their destruction, are destroyed.
func OpenKeys(ctx context.Context, dir string, w KEK) (*Keys, error) {
	k := &Keys{dir: dir, kek: w, now: time.Now, step: func(string) error { return nil }}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
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
	path := filepath.Join(k.dir, checkName)
	found, err := exists(path)
	if err == nil && !found {
		err = k.makeCheck(ctx, path)
	}
	if err == nil {
		_, err = k.readKey(ctx, path, checkID)
	}
	if errors.Is(err, ErrWrongKey) {
		return fmt.Errorf("these keys were wrapped by another key-encryption key: restore that one (recordings made with it cannot be read without it): %w", err)
	}
	return err
}

// makeCheck makes the check file. If keys are there already, one of them must open first.
func (k *Keys) makeCheck(ctx context.Context, path string) error {
	for id, err := range k.List(ctx) {
		if err != nil {
			return err
		}
		if _, err := k.readKey(ctx, k.path(id, keySuffix), id); err != nil {
			return err
		}
		break
	}
	key, err := newKey(checkID)
	if err != nil {
		return err
	}
	if err := k.writeKey(ctx, path, key); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}

// clean finishes destructions and removes files that were never finished.
func (k *Keys) clean(ctx context.Context) error {
	return k.walk(ctx, func(shard, name string) error {
		path := filepath.Join(k.dir, shard, name)
		if id, ok := strings.CutSuffix(name, tombstoneSuffix); ok && CheckID(id) == nil {
			return erase(k.path(id, keySuffix))
		}
		if id, ok := strings.CutSuffix(strings.TrimPrefix(name, tempMark), keySuffix); ok && isTemp(name) && errors.Is(k.notDestroyed(id), ErrDestroyed) {
			return erase(path) // a rotation that a crash cut off
		}
		// Another process may be writing one right now: a day is far more than it takes.
		if info, err := os.Lstat(path); isTemp(name) && err == nil && k.now().Sub(info.ModTime()) > 24*time.Hour {
			return erase(path)
		}
		return nil
	})
}

// walk calls f for each file in each shard.
func (k *Keys) walk(ctx context.Context, f func(shard, name string) error) error {
	shards, err := os.ReadDir(k.dir)
	if err != nil {
		return err
	}
	for _, shard := range shards {
		if !shard.IsDir() || len(shard.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(k.dir, shard.Name()))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(shard.Name(), file.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// path is where something about id lies. Shards keep directories small, and by a hash because ids begin with the time.
func (k *Keys) path(id, suffix string) string {
	h := sha256.Sum256([]byte(id))
	return filepath.Join(k.dir, hex.EncodeToString(h[:1]), id+suffix)
}

// Create makes the key of a recording. It is durable when Create returns. ErrExists, or ErrDestroyed if the id had a key.
func (k *Keys) Create(ctx context.Context, id string) (*Key, error) {
	key, err := k.create(ctx, id)
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
	k.mu.Lock()
	defer k.mu.Unlock()
	unlock, err := k.lockFile(lockName, shared)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := k.notDestroyed(id); err != nil {
		return nil, err
	}
	path := k.path(id, keySuffix)
	if found, err := exists(path); err != nil || found {
		return nil, errors.Join(err, ErrExists)
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := k.writeKey(ctx, path, key); err != nil {
		return nil, err
	}
	// Another process may have destroyed the id in between; then it did not see this file.
	if err := k.notDestroyed(id); err != nil {
		return nil, errors.Join(err, erase(path))
	}
	return key, nil
}

// writeKey wraps a key into a file that must not exist.
func (k *Keys) writeKey(ctx context.Context, path string, key *Key) error {
	payload := key.payload()
	defer clear(payload)
	wrapped, err := k.kek.Wrap(ctx, key.id, payload)
	if err != nil {
		return err
	}
	if len(wrapped) > maxWrappedBytes {
		return fmt.Errorf("wrapped key of %d bytes, at most %d are allowed", len(wrapped), maxWrappedBytes)
	}
	if err := linkNew(path, wrapped); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return err
	}
	return nil
}

// Get gives the key of a recording: ErrNotFound, ErrDestroyed, ErrWrongKey.
func (k *Keys) Get(ctx context.Context, id string) (*Key, error) {
	key, err := k.get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("get key of %q: %w", id, err)
	}
	return key, nil
}

func (k *Keys) get(ctx context.Context, id string) (*Key, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	if err := k.notDestroyed(id); err != nil {
		return nil, err
	}
	key, err := k.readKey(ctx, k.path(id, keySuffix), id)
	if err == nil || ctx.Err() != nil {
		return key, err
	}
	// A destruction may have come in between.
	return nil, errors.Join(k.notDestroyed(id), err)
}

func (k *Keys) readKey(ctx context.Context, path, id string) (*Key, error) {
	wrapped, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	payload, err := k.kek.Unwrap(ctx, id, wrapped)
	defer clear(payload)
	if err != nil {
		return nil, err
	}
	return parsePayload(id, payload)
}

// notDestroyed is ErrDestroyed if there is a tombstone, whatever is in it.
func (k *Keys) notDestroyed(id string) error {
	found, err := exists(k.path(id, tombstoneSuffix))
	if err != nil {
		return err
	}
	if found {
		return ErrDestroyed
	}
	return nil
}

// Destroy makes sure that id has no key and never will have: a tombstone, durable; then the key is overwritten and unlinked. It may be
// repeated, and the id need not have a key: so that the tombstones that an audit log knows of can be set up again after a restore.
func (k *Keys) Destroy(ctx context.Context, id string) error {
	if err := k.destroy(ctx, id); err != nil {
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
	k.mu.Lock()
	defer k.mu.Unlock()
	unlock, err := k.lockFile(lockName, shared)
	if err != nil {
		return err
	}
	defer unlock()
	path := k.path(id, tombstoneSuffix)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	b, err := json.Marshal(tombstone{Version: tombstoneVersion, ID: id, Destroyed: k.now().UTC()})
	if err != nil {
		return err
	}
	// The first tombstone keeps its time.
	switch err := linkNew(path, append(b, '\n')); {
	case errors.Is(err, fs.ErrExist):
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	return k.eraseKey(id)
}

// eraseKey erases a key, and the form of it that a rotation was about to put into its place.
func (k *Keys) eraseKey(id string) error {
	path := k.path(id, keySuffix)
	return errors.Join(erase(path), erase(rewrapped(path)))
}

type tombstone struct {
	Version   int       `json:"version"`
	ID        string    `json:"id"`
	Destroyed time.Time `json:"destroyed"`
}

func parseTombstone(id string, b []byte) (Tombstone, error) {
	var t tombstone
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return Tombstone{ID: id}, fmt.Errorf("%w: tombstone: %w", ErrDamaged, err)
	}
	if t.Version != tombstoneVersion || t.ID != id || t.Destroyed.IsZero() {
		return Tombstone{ID: id}, fmt.Errorf("%w: tombstone of version %d for %.80q", ErrDamaged, t.Version, t.ID)
	}
	return Tombstone{ID: id, Destroyed: t.Destroyed.UTC()}, nil
}

// errStep is a crash that a test makes.
var errStep = errors.New("cut off")

// errEnough ends a walk that the consumer of a sequence has left.
var errEnough = errors.New("enough")

// List yields the id of every key, in no order. An error ends the sequence.
func (k *Keys) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := k.walk(ctx, func(_, name string) error {
			id, ok := strings.CutSuffix(name, keySuffix)
			if !ok || CheckID(id) != nil || k.notDestroyed(id) != nil {
				return nil
			}
			if !yield(id, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield("", fmt.Errorf("list keys: %w", err))
		}
	}
}

// Destroyed yields every tombstone, in no order. An error with an ID in its Tombstone is about that one alone, whose key is destroyed
// all the same; any other ends the sequence.
func (k *Keys) Destroyed(ctx context.Context) iter.Seq2[Tombstone, error] {
	return func(yield func(Tombstone, error) bool) {
		err := k.walk(ctx, func(_, name string) error {
			id, ok := strings.CutSuffix(name, tombstoneSuffix)
			if !ok || CheckID(id) != nil {
				return nil
			}
			b, err := os.ReadFile(k.path(id, tombstoneSuffix))
			if err != nil {
				return err
			}
			if t, err := parseTombstone(id, b); !yield(t, err) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield(Tombstone{}, fmt.Errorf("list destroyed keys: %w", err))
		}
	}
}

// Look tells whether a key and whether a tombstone lies in the directory, without unwrapping anything.
func (k *Keys) Look(id string) (key, tombstone bool, err error) {
	if err := CheckID(id); err != nil {
		return false, false, fmt.Errorf("look for key of %q: %w", id, err)
	}
	key, err1 := exists(k.path(id, keySuffix))
	tombstone, err2 := exists(k.path(id, tombstoneSuffix))
	return key, tombstone, errors.Join(err1, err2)
}
