package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultSyncInterval is how often what was appended is synced to the disk: promise 2 allows a second to be lost.
const DefaultSyncInterval = time.Second

const (
	dirVersion = 1
	dirHeading = "greffier-spool "

	versionName   = "VERSION"
	lockName      = "lock"
	recordingsDir = "recordings"
	newDir        = "new"
	trashDir      = "trash"
	recordName    = "record"
	tempSuffix    = ".tmp"
)

// Options of a Spool. The zero value works.
type Options struct {
	SyncInterval time.Duration    // 0: DefaultSyncInterval
	Now          func() time.Time // nil: time.Now; dates new recordings, which orders List

	wrap  func(file) file // tests put faults behind record files
	whole wholeSync       // tests: how the file system is synced; nil: as the system can
}

// A Spool is one directory of recordings, used by one process. Its methods may be called at the same time.
type Spool struct {
	dir  string
	opts Options
	lock *os.File

	frames sync.Pool // of *[]byte: frames that are being written; a writer of its own would keep one for hours
	root   *os.File  // the folder of the recordings, for whole
	whole  wholeSync // nil: files are synced one by one

	syncs, syncErrors atomic.Uint64

	stop, stopped chan struct{} // end of the syncing goroutine

	mu     sync.Mutex         // protects what follows
	inUse  map[string]*Writer // nil: being made, opened or removed
	closed bool
}

// Stats are counters since Open.
type Stats struct {
	Writers    int    // open now
	Syncs      uint64 // of a record file alone, or of all at once
	SyncErrors uint64 // syncs that failed
}

// Open makes or opens the spool in dir, which no other process may use (ErrLocked), takes away what a crash has left
// unfinished, and starts syncing. ErrVersion: a newer program has written it, or dir is something else.
func Open(dir string, o Options) (*Spool, error) {
	if o.SyncInterval <= 0 {
		o.SyncInterval = DefaultSyncInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.wrap == nil {
		o.wrap = func(f file) file { return f }
	}
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{
		dir: dir, opts: o, lock: lock, inUse: make(map[string]*Writer),
		stop: make(chan struct{}), stopped: make(chan struct{}), whole: o.whole,
	}
	s.frames.New = func() any { return new([]byte) }
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), lock.Close())
	}
	if s.root, err = os.Open(filepath.Join(dir, recordingsDir)); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), lock.Close())
	}
	if s.whole == nil {
		s.whole = wholeSyncOf(s.root)
	}
	go s.syncLoop()
	return s, nil
}

// acquire takes the directory's lock and leaves our process id in it for whoever comes second.
func acquire(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	ok, err := tryLock(f)
	if err == nil && !ok {
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		err = fmt.Errorf("%w: process %s has %s; stop it, or use another directory",
			ErrLocked, strings.TrimSpace(string(pid[:n])), dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write lock file: %w", err), f.Close())
	}
	return f, nil
}

// prepare checks the version, makes the folders, and clears away what was unfinished.
func (s *Spool) prepare() error {
	if err := s.checkVersion(); err != nil {
		return err
	}
	for _, name := range []string{recordingsDir, newDir, trashDir} {
		if err := makeDir(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	for _, pattern := range []string{"*" + tempSuffix, newDir + "/*", trashDir + "/*", recordingsDir + "/*/*" + tempSuffix} {
		left, err := globIn(s.dir, pattern)
		if err != nil {
			return err
		}
		for _, path := range left {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("clear away what a crash has left: %w", err)
			}
		}
	}
	return nil
}

// globIn is filepath.Glob below a directory whose name may hold any character.
func globIn(dir, pattern string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(dir), pattern)
	for i := range names {
		names[i] = filepath.Join(dir, filepath.FromSlash(names[i]))
	}
	return names, err
}

func (s *Spool) checkVersion() error {
	path := filepath.Join(s.dir, versionName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		// The file is written before anything else, so a directory with recordings and without it is not ours.
		if _, err := os.Stat(filepath.Join(s.dir, recordingsDir)); err == nil {
			return fmt.Errorf("%w: %s is missing; if %s is a spool, put the file back with the line %q",
				ErrVersion, path, s.dir, dirHeading+strconv.Itoa(dirVersion))
		}
		return writeFile(path, []byte(dirHeading+strconv.Itoa(dirVersion)+"\n"))
	}
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), dirHeading)
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 {
		return fmt.Errorf("%w: %s does not say %q; is %s a spool?", ErrVersion, path, dirHeading+"NUMBER", s.dir)
	}
	if n > dirVersion {
		return fmt.Errorf("%w: %s has format %d and this program knows up to %d; run the newer program, or use another directory",
			ErrVersion, s.dir, n, dirVersion)
	}
	return nil
}

func (s *Spool) writers() []*Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Writer, 0, len(s.inUse))
	for _, w := range s.inUse {
		if w != nil {
			list = append(list, w)
		}
	}
	return list
}

// Stats returns the counters.
func (s *Spool) Stats() Stats {
	return Stats{Writers: len(s.writers()), Syncs: s.syncs.Load(), SyncErrors: s.syncErrors.Load()}
}

// Free tells how many bytes can still be written to the disk that the spool is on.
func (s *Spool) Free() (uint64, error) {
	n, err := freeBytes(s.dir)
	if err != nil {
		return 0, fmt.Errorf("measure free space of the spool: %w", err)
	}
	return n, nil
}

// Close stops syncing, closes the writers that are still open, and gives the directory free for another process.
// Closing again does nothing.
func (s *Spool) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	close(s.stop)
	<-s.stopped
	var errs []error
	for _, w := range s.writers() {
		errs = append(errs, w.Close())
	}
	return errors.Join(append(errs, s.root.Close(), s.lock.Close())...)
}

// reserve keeps others from an id until release.
func (s *Spool) reserve(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if _, taken := s.inUse[id]; taken {
		return ErrInUse
	}
	s.inUse[id] = nil
	return nil
}

func (s *Spool) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inUse, id)
}

// enlist makes a writer known to the syncing goroutine. A Spool that was closed meanwhile would not sync it: refused.
func (s *Spool) enlist(w *Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.inUse[w.id] = w
	return nil
}

func (s *Spool) now() time.Time { return s.opts.Now() }
