package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tempAge is after how long a file that was never finished is taken for one that a crash has left: far more than writing takes.
const tempAge = 24 * time.Hour

// A dirShelf is a Shelf in a directory of the local disk. It overwrites before it unlinks, and has locks.
type dirShelf struct {
	dir  string
	step func(string) error // tests: a crash at a step of a Put is an error that wraps errStep
}

// openDirShelf makes the directory if there is none.
func openDirShelf(dir string) (*dirShelf, error) {
	return &dirShelf{dir: dir, step: noStep}, makeDir(dir)
}

func (d *dirShelf) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

// Get implements Shelf.
func (d *dirShelf) Get(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return readLimited(d.path(name))
}

// readLimited reads a file that holds something wrapped.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxWrappedBytes+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxWrappedBytes {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrDamaged, filepath.Base(path), maxWrappedBytes)
	}
	return b, nil
}

// Put implements Shelf. What was there before is overwritten.
func (d *dirShelf) Put(ctx context.Context, name string, old, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.path(name)
	if old != nil {
		return d.swap(path, old, b)
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	err := linkNew(path, b)
	if errors.Is(err, fs.ErrExist) {
		// Whoever made it may not have come as far as this.
		return errors.Join(err, syncDir(filepath.Dir(path)))
	}
	return err
}

// swap puts a new form of a file into the place of the old one, which nobody must have changed.
func (d *dirShelf) swap(path string, old, b []byte) error {
	temp := tempOf(path) + "-" + rand.Text()
	if err := writeTemp(temp, b); err != nil {
		return errors.Join(err, erase(temp))
	}
	if err := d.step("written"); err != nil {
		return err
	}
	unlock, err := d.lock(lockName, exclusive)
	if err != nil {
		return errors.Join(err, erase(temp))
	}
	defer unlock()
	// Who destroys a key has the lock too: it is either gone already, or will be together with what takes its place.
	now, err := readLimited(path)
	if err == nil && !bytes.Equal(now, old) {
		err = fs.ErrExist
	}
	if err == nil {
		err = swap(temp, path)
	}
	// What others are about to put here has lost; what a crash has left is nobody's.
	if err := errors.Join(err, eraseTemps(path)); err != nil {
		return err
	}
	return d.step("swapped")
}

// Remove implements Shelf. The forms that were about to take the file's place go too.
func (d *dirShelf) Remove(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.path(name)
	return errors.Join(erase(path), eraseTemps(path))
}

// tempOf begins the names under which new forms of a file lie until they take its place. Older versions had no more than that.
func tempOf(path string) string {
	return filepath.Join(filepath.Dir(path), tempMark+filepath.Base(path))
}

// isTempOf tells whether a name is one of those of a file.
func isTempOf(name, file string) bool {
	rest, ok := strings.CutPrefix(name, tempMark+file)
	return ok && (rest == "" || rest[0] == '-')
}

// eraseTemps erases the forms of a file that have not taken its place.
func eraseTemps(path string) error {
	dir, file := filepath.Split(path)
	names, err := readNames(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if isTempOf(name, file) {
			errs = append(errs, erase(filepath.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// readNames gives what a directory holds, in no order; none is nothing.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// List implements Shelf.
func (d *dirShelf) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := d.walk(ctx, func(name string) error {
			if strings.HasPrefix(name, prefix) && !isTemp(filepath.Base(name)) && !yield(name, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield("", err)
		}
	}
}

// errEnough ends a walk that the consumer of a sequence has left.
var errEnough = errors.New("enough")

// walk calls f for each file here, and in each directory within this one.
func (d *dirShelf) walk(ctx context.Context, f func(name string) error) error {
	top, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	for _, dir := range top {
		if !dir.IsDir() {
			if err := f(dir.Name()); err != nil {
				return err
			}
			continue
		}
		names, err := readNames(filepath.Join(d.dir, dir.Name()))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(dir.Name() + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// clean erases what was never finished: of keys that are destroyed, and what has lain for long.
func (d *dirShelf) clean(ctx context.Context, now time.Time) error {
	return d.walk(ctx, func(name string) error {
		path := d.path(name)
		if !isTemp(filepath.Base(name)) {
			return nil
		}
		file, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(name), tempMark), keySuffix)
		if CheckID(file) == nil && isTempOf(filepath.Base(name), file+keySuffix) {
			if destroyed, err := exists(d.path(fileName(file, tombstoneSuffix))); err != nil || destroyed {
				return errors.Join(err, erase(path)) // a rotation that a crash cut off
			}
		}
		// Another process may be writing one right now.
		if info, err := os.Lstat(path); err == nil && now.Sub(info.ModTime()) > tempAge {
			return erase(path)
		}
		return nil
	})
}
