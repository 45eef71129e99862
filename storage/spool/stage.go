package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A StagedFile is a file of a recording that is being written. It is there when Commit has returned nil, whole, and
// not before. The spool writes it as it is given: the caller seals it.
type StagedFile struct {
	f      *os.File
	path   string // where Commit puts it
	closed bool
}

// Stage begins a file of that name in a recording. Several may be begun; the last to be committed stays. ErrNotFound:
// there is no such recording.
func (s *Spool) Stage(id, name string) (*StagedFile, error) {
	if err := checkStaged(id, name); err != nil {
		return nil, fmt.Errorf("stage file: %w", err)
	}
	f, err := os.CreateTemp(s.folder(id), name+".*"+tempSuffix) // mode 0600
	if err != nil {
		return nil, fmt.Errorf("stage %s of recording %s: %w", name, id, notFound(err))
	}
	return &StagedFile{f: f, path: filepath.Join(s.folder(id), name)}, nil
}

// Staged tells whether a file of that name was committed, and its path.
func (s *Spool) Staged(id, name string) (path string, ok bool) {
	if checkStaged(id, name) != nil {
		return "", false
	}
	path = filepath.Join(s.folder(id), name)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	return path, true
}

func checkStaged(id, name string) error {
	if err := errors.Join(checkName(id), checkName(name)); err != nil {
		return err
	}
	if name == recordName || strings.HasSuffix(name, tempSuffix) {
		return fmt.Errorf("the name %s is taken by the spool itself", name)
	}
	return nil
}

// Write appends to the file.
func (f *StagedFile) Write(p []byte) (int, error) {
	n, err := f.f.Write(p)
	if err != nil {
		return n, fmt.Errorf("write staged file: %w", classify(err))
	}
	return n, nil
}

// Commit makes the file durable under its name, in place of an earlier one. After an error it is gone.
func (f *StagedFile) Commit() error {
	if f.closed {
		return fmt.Errorf("commit staged file: %w", ErrClosed)
	}
	f.closed = true
	err := errors.Join(f.f.Sync(), f.f.Close())
	if err == nil {
		err = os.Rename(f.f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("commit staged file: %w", classify(err)), os.Remove(f.f.Name()))
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("commit staged file: %w", err)
	}
	return nil
}

// Abort takes the unfinished file away. After Commit it does nothing, so that it can be deferred.
func (f *StagedFile) Abort() error {
	if f.closed {
		return nil
	}
	f.closed = true
	if err := errors.Join(f.f.Close(), os.Remove(f.f.Name())); err != nil {
		return fmt.Errorf("abort staged file: %w", err)
	}
	return nil
}
