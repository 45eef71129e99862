package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrClosed: the Log has been closed.
var ErrClosed = errors.New("audit log is closed")

// DefaultSource is the CloudEvents source when Options name none.
const DefaultSource = "greffier"

// Options of a Log. The zero value works.
type Options struct {
	Source string           // URI reference: which installation writes; empty: DefaultSource
	Clock  func() time.Time // nil: time.Now

	random func() string                  // 32 hex digits that nobody has had; tests make them known
	wrap   func(name string, f file) file // tests put faults behind log.jsonl and head
}

// A Log is one process's hold on an audit log. Append may be called at the same time, here and in other processes.
type Log struct {
	dir  string
	opts Options

	inFlight sync.WaitGroup // Appends between their queueing and their return

	mu     sync.Mutex // protects what follows
	next   *batch     // the entries that the next commit will take
	closed bool

	committing sync.Mutex // held during a commit; protects what follows. Taken before mu.
	lock       *os.File
	lines      file
	headFile   file
	state      state
	scratch    []byte // for the head file
}

// state is what this process knows of the log.
type state struct {
	chain      chain  // up to the last whole entry
	generation uint64 // of the head
	rawHead    []byte // the head file, byte for byte; nil: do not rely on chain and generation
	seen       int64  // entries of the last good head; the log never has fewer
	seenLast   Hash
	doubtful   uint64 // generation of a head that could not be written: what its slot holds is in doubt; 0: none
	cut        int64  // bytes of torn entries that were cut off, and of which no entry tells yet
}

// A batch is the entries of one commit. Its fields belong to whoever adds to it under Log.mu, and then to the one that
// commits it, under Log.committing.
type batch struct {
	drafts  []*draft
	entries []Entry
	err     error
	done    bool
}

// Open opens the log in dir, or makes it, with its first entry. What a crash left half written at its end, and nobody was
// told to be written, is cut off, and an entry tells so. A log that is shorter than its head says, or ends with
// another entry, is a VerifyError.
func Open(dir string, o Options) (*Log, error) {
	if o.Source == "" {
		o.Source = DefaultSource
	}
	if !clean(o.Source) {
		return nil, fmt.Errorf("open audit log: source %.100q has control characters or is not UTF-8", o.Source)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.random == nil {
		o.random = randomID
	}
	if o.wrap == nil {
		o.wrap = func(_ string, f file) file { return f }
	}
	l := &Log{dir: dir, opts: o, next: new(batch)}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open audit log in %s: %w", dir, err), l.closeFiles())
	}
	return l, nil
}

func randomID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// open makes or opens the files, and brings the log into order.
func (l *Log) open() error {
	if err := makeDir(l.dir); err != nil {
		return err
	}
	var err error
	if l.lock, err = os.OpenFile(filepath.Join(l.dir, lockName), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := flock(l.lock, lockExclusive); err != nil {
		return err
	}
	defer flock(l.lock, lockNone)
	if err := l.openFiles(); err != nil {
		return err
	}
	_, err = l.commit(nil)
	return err
}

// openFiles makes head before log.jsonl, so that a log without a head is never a crash's work.
func (l *Log) openFiles() error {
	logPath, headPath := filepath.Join(l.dir, logName), filepath.Join(l.dir, headName)
	_, logErr := os.Stat(logPath)
	if _, err := os.Stat(headPath); errors.Is(err, fs.ErrNotExist) {
		if logErr == nil {
			return &VerifyError{0, BadHead, headPath + " is missing; put it back from a copy, or keep this directory as evidence and start another"}
		}
		slot, off, err := newHead(0, new(chain)).slot()
		if err != nil {
			return err
		}
		b := bytes.Repeat([]byte(" "), headSize)
		copy(b[off:], slot)
		if err := writeFile(headPath, b); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(headPath, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	l.headFile = l.opts.wrap(headName, osFile{f})
	if f, err = os.OpenFile(logPath, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	l.lines = l.opts.wrap(logName, osFile{f})
	return syncDir(l.dir)
}

// Append witnesses an event: when it returns nil the entry is on the disk, and the head covers it. Callers that come at
// the same time share a commit.
//
// After an error the entry is usually not in the log, but may be: append again, and take two entries for one.
// ctx is looked at before the entry is queued. A commit is not interrupted, and waits while another process commits.
func (l *Log) Append(ctx context.Context, e Event) (Entry, error) {
	entries, err := l.AppendAll(ctx, e)
	if err != nil {
		return Entry{}, err
	}
	return entries[0], nil
}

// AppendAll witnesses events in their order, in one commit: what Append does for each. A crash may leave the first of them
// without the others. After an error in one of them none is written.
func (l *Log) AppendAll(ctx context.Context, events ...Event) ([]Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("append to audit log: %w", err)
	}
	if len(events) == 0 {
		return nil, nil
	}
	drafts := make([]*draft, 0, len(events))
	for _, e := range events {
		if e.ID == "" {
			e.ID = l.opts.random()
		}
		if e.Time.IsZero() {
			e.Time = l.opts.Clock()
		}
		if e.Type == TypeCreated || e.Type == TypeRepaired {
			return nil, fmt.Errorf("append to audit log: the type %s is the log's own", e.Type)
		}
		d, err := newDraft(e, l.opts.Source)
		if err != nil {
			return nil, fmt.Errorf("append %s to audit log: %w", e.Type, err)
		}
		drafts = append(drafts, d)
	}
	entries, err := l.append(drafts)
	if err != nil {
		return nil, fmt.Errorf("append %s to audit log: %w", events[0].Type, err)
	}
	return entries, nil
}

// append queues drafts and sees to it that their batch is committed: whoever gets the committing lock first commits
// for all that have queued up meanwhile.
func (l *Log) append(drafts []*draft) ([]Entry, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	b, place := l.next, len(l.next.drafts)
	b.drafts = append(b.drafts, drafts...)
	l.inFlight.Add(1)
	l.mu.Unlock()
	defer l.inFlight.Done()

	l.committing.Lock()
	defer l.committing.Unlock()
	if !b.done {
		l.mu.Lock()
		l.next = new(batch) // b takes no more
		l.mu.Unlock()
		b.entries, b.err = l.commitLocked(b.drafts)
		b.done = true
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.entries[place : place+len(drafts) : place+len(drafts)], nil
}

// commitLocked is commit under the lock between processes.
func (l *Log) commitLocked(drafts []*draft) ([]Entry, error) {
	if err := flock(l.lock, lockExclusive); err != nil {
		return nil, err
	}
	entries, err := l.commit(drafts)
	return entries, errors.Join(err, flock(l.lock, lockNone))
}

// Close waits for the Appends that are under way and closes the files. Closing again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.inFlight.Wait()
	if err := l.closeFiles(); err != nil {
		return fmt.Errorf("close audit log: %w", err)
	}
	return nil
}

func (l *Log) closeFiles() error {
	var errs []error
	for _, f := range []io.Closer{l.lines, l.headFile} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	return errors.Join(errs...)
}
