package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	fileMode = 0o600
	dirMode  = 0o700
)

// tempMark begins the names of files that are being written. An id cannot begin with it.
const tempMark = ".new-"

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeDir creates a directory and its missing parents, durably.
func makeDir(path string) error {
	err := os.Mkdir(path, dirMode)
	switch {
	case err == nil:
		return syncDir(filepath.Dir(path))
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		return makeDir(path)
	}
	return err
}

// linkNew makes a file that must not exist: it appears whole and durable, or not at all. A rename would replace silently what another
// process has made in the meantime, so the name is a link, which cannot.
func linkNew(path string, b []byte) (err error) {
	temp := filepath.Join(filepath.Dir(path), tempMark+rand.Text())
	if err := writeTemp(temp, b); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, os.Remove(temp))
		if err == nil {
			err = syncDir(filepath.Dir(path))
		}
	}()
	return os.Link(temp, path)
}

func writeTemp(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// erase overwrites a file, unlinks it and makes that durable. That there is none is no error.
func erase(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := overwrite(f); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// overwrite fills a file with zeros and closes it.
func overwrite(f *os.File) error {
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, info.Size()), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("overwrite key: %w", err)
	}
	return nil
}

// replace puts b into the place of a file, whole and durable, and overwrites what was there.
func replace(path string, b []byte) error {
	temp := filepath.Join(filepath.Dir(path), tempMark+rand.Text())
	if err := writeTemp(temp, b); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return swap(temp, path)
}

// swap renames a finished file into the place of another, and overwrites that.
func swap(temp, path string) error {
	old, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, os.Remove(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		if old != nil {
			err = errors.Join(err, old.Close())
		}
		return errors.Join(err, os.Remove(temp))
	}
	if err := syncDir(filepath.Dir(path)); err != nil || old == nil {
		return err
	}
	return overwrite(old) // only now: until the new name is durable, a crash may bring the old file back
}

// exists says whether there is a file of that name.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func isTemp(name string) bool { return strings.HasPrefix(name, tempMark) }
