package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"
)

// racyTime is how old a change must be before its time of modification is relied on: two changes within it may have the same.
const racyTime = 2 * time.Second

// A watchedFile is a file that somebody edits while the server runs. It belongs to one goroutine.
type watchedFile struct {
	path  string
	limit int64 // bytes; of a longer one a byte more is read, so that whoever parses it sees that

	settled string      // digest of the content that was last given, or that the server began with
	pending string      // digest of a content that was seen once; "": none
	info    os.FileInfo // of the last reading; nil: there was none
	read    time.Time   // when that was
	trouble bool        // it could not be read the last time
}

// look gives the file's content when it is another than the last that was given. One that has just changed is given at the next look, if it
// is still the same: it may be half written, and half a document may load. At once gives it right away.
func (f *watchedFile) look(now time.Time, atOnce bool) (content []byte, fresh bool, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		f.info = nil
		return nil, false, fmt.Errorf("look at file: %w", err)
	}
	if !atOnce && f.pending == "" && f.unchanged(info) {
		return nil, false, nil
	}
	if content, err = readAtMost(f.path, f.limit+1); err != nil {
		f.info = nil
		return nil, false, err
	}
	f.info, f.read = info, now
	switch digest := digestOf(content); {
	case digest == f.settled:
		f.pending = ""
		return nil, false, nil
	case !atOnce && digest != f.pending:
		f.pending = digest
		return nil, false, nil
	default:
		f.settled, f.pending = digest, ""
		return content, true, nil
	}
}

// unchanged tells whether the file is surely as it was when it was last read.
func (f *watchedFile) unchanged(info os.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime()) &&
		f.read.Sub(info.ModTime()) > racyTime
}

// again has the content given once more, because nothing could be made of it that is not its fault.
func (f *watchedFile) again() { f.settled, f.info = "", nil }

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return b, nil
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
