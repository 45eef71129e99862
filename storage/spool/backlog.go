package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Backlog is what has ended and is still in the spool.
type Backlog struct {
	Recordings int
	Bytes      int64     // of all their files
	Oldest     time.Time // when the one that has waited longest was last written to, by its file's time; zero: none waits
}

// Backlog sums up the recordings that nobody writes to. It reads folders and no file, some microseconds for each recording.
func (s *Spool) Backlog() (Backlog, error) {
	var b Backlog
	dir := filepath.Join(s.dir, recordingsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return b, fmt.Errorf("measure the spool's backlog: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil || s.isOpen(e.Name()) {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // stored and removed meanwhile
		}
		if err != nil {
			return b, fmt.Errorf("measure the spool's backlog: %w", err)
		}
		b.Recordings++
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				continue
			}
			b.Bytes += info.Size()
			if at := info.ModTime(); b.Oldest.IsZero() || at.Before(b.Oldest) {
				b.Oldest = at
			}
		}
	}
	return b, nil
}

func (s *Spool) isOpen(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, open := s.inUse[id]
	return open
}
