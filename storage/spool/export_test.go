package spool

import (
	"bytes"
	"io"
)

// Sizes of the format, for tests that take files apart.
const (
	EpochSize   = epochSize
	RecordExtra = recordExtra
	EpochMagic  = epochMagic
)

// A File is what a Writer writes to.
type File interface {
	io.WriterAt
	Truncate(size int64) error
	Datasync() error
	Close() error
}

// WithFaults returns options with wrap around every record file that is opened for writing.
func (o Options) WithFaults(wrap func(File) File) Options {
	o.wrap = func(f file) file { return wrap(f) }
	return o
}

// WithWholeSync returns options with which whole syncs the file system.
func (o Options) WithWholeSync(whole func() error) Options {
	o.whole = whole
	return o
}

// Limits of syncing the file system in place of the files.
const (
	WholeLeast = wholeLeast
	WholeRest  = wholeRest
)

// WholeSyncs tells whether the system can sync the file system of the spool.
func (s *Spool) WholeSyncs() bool { return s.whole != nil }

// BytesReader reads a record file that lies in memory.
func BytesReader(id string, key [32]byte, b []byte) *Reader {
	return &Reader{id: id, key: key, src: bytes.NewReader(b), size: int64(len(b))}
}

// SyncAll does what happens at every SyncInterval.
func (s *Spool) SyncAll() {
	dirty := s.dirty()
	if s.whole == nil || len(dirty) < wholeLeast {
		syncEach(dirty)
		return
	}
	s.syncs.Add(1)
	s.wholeEnded(&wholeRun{dirty: dirty}, s.whole())
}
