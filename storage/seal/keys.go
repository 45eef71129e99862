package seal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What a caller can tell apart.
var (
	ErrNotFound  = errors.New("no key for this recording")
	ErrExists    = errors.New("the recording has a key already")
	ErrDestroyed = errors.New("the recording's key was destroyed")
)

const (
	keySuffix       = ".age"
	tombstoneSuffix = ".gone"
)

// Keys is the store of wrapped keys in a directory. Several processes may use one.
type Keys struct {
	dir     string
	wrapper Wrapper
}

// OpenKeys opens the key store in dir, and makes it if there is none.
func OpenKeys(dir string, w Wrapper) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key store: %w", err)
	}
	return &Keys{dir: dir, wrapper: w}, nil
}

// path is where a recording's key, or its tombstone, is.
func (k *Keys) path(id, suffix string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(k.dir, fmt.Sprintf("%02x", sum[0]), id+suffix)
}

// Create makes a key for a recording; it is durable on return. ErrExists when there is one, ErrDestroyed when there was.
func (k *Keys) Create(ctx context.Context, id string) (*Key, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if k.destroyed(id) {
		return nil, ErrDestroyed
	}
	key, err := newKey(id)
	if err != nil {
		return nil, err
	}
	text := key.marshal()
	defer clear(text)
	wrapped, err := k.wrapper.Wrap(ctx, id, text)
	if err != nil {
		return nil, err
	}
	path := k.path(id, keySuffix)
	switch err := os.Mkdir(filepath.Dir(path), 0o700); {
	case err == nil:
		if err := syncDir(k.dir); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := writeFile(path, wrapped); errors.Is(err, fs.ErrExist) {
		return nil, ErrExists
	} else if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// Get unwraps a recording's key: ErrNotFound when there is none, ErrDestroyed when there was, ErrWrongKey when another
// key-encryption key has wrapped it.
func (k *Keys) Get(ctx context.Context, id string) (*Key, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if k.destroyed(id) { // even where a restored backup has the key
		return nil, ErrDestroyed
	}
	wrapped, err := os.ReadFile(k.path(id, keySuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	text, err := k.wrapper.Unwrap(ctx, id, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return parseKey(id, text)
}

func (k *Keys) destroyed(id string) bool {
	_, err := os.Lstat(k.path(id, tombstoneSuffix))
	return err == nil
}

// Destroy makes a recording's key unrecoverable, and leaves a tombstone. It may be repeated. ErrNotFound when there never was
// a key.
func (k *Keys) Destroy(ctx context.Context, id string) error {
	if err := errors.Join(checkID(id), ctx.Err()); err != nil {
		return err
	}
	path, tombstone := k.path(id, keySuffix), k.path(id, tombstoneSuffix)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if k.destroyed(id) {
			return nil
		}
		return ErrNotFound
	}
	err := writeFile(tombstone, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("destroy key: %w", err)
	}
	if err := overwrite(path); err != nil {
		return fmt.Errorf("destroy key: %w", err)
	}
	if err := errors.Join(os.Remove(path), syncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("destroy key: %w", err)
	}
	return nil
}

// overwrite replaces a file's bytes where they lie, as far as the disk lets us.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Write(make([]byte, info.Size()))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// List names every recording that has a key, in order.
func (k *Keys) List(ctx context.Context) ([]string, error) { return k.names(ctx, keySuffix) }

// Destroyed names every recording whose key was destroyed, in order.
func (k *Keys) Destroyed(ctx context.Context) ([]string, error) { return k.names(ctx, tombstoneSuffix) }

func (k *Keys) names(ctx context.Context, suffix string) ([]string, error) {
	var out []string
	paths, err := filepath.Glob(filepath.Join(k.dir, "[0-9a-f][0-9a-f]", "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	for _, p := range paths {
		id := strings.TrimSuffix(filepath.Base(p), suffix)
		if checkID(id) == nil && (suffix == tombstoneSuffix || !k.destroyed(id)) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, ctx.Err()
}
