package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// A Report says what a log holds.
type Report struct {
	Entries uint64    `json:"entries"`
	Log     string    `json:"log"`   // the log's own random number, from its first entry
	First   time.Time `json:"first"` // time of the first entry
	Last    time.Time `json:"last"`  // time of the last entry
	Head    string    `json:"head"`  // SHA-256 of the last line
	Root    string    `json:"root"`  // RFC 6962 tree hash over all lines

	// What a crash leaves, and the next Open or Append puts in order. No fault, and nothing that anybody was told of.
	Uncovered uint64 `json:"uncovered,omitempty"` // whole entries, counted above, that the head does not cover
	Torn      int64  `json:"torn,omitempty"`      // bytes at the end that are no whole entry
}

// Verify reads the log in dir and says what it holds, or how it is not what was written: a VerifyError. It may run
// beside processes that append, and judges the log as it was at the start.
func Verify(dir string) (Report, error) { return VerifyContext(context.Background(), dir) }

// VerifyContext is Verify until ctx ends; its error is then that of ctx.
func VerifyContext(ctx context.Context, dir string) (Report, error) {
	s, err := openSnapshot(dir)
	if err != nil {
		return Report{}, fmt.Errorf("verify audit log in %s: %w", dir, err)
	}
	defer s.Close()
	var r reporter
	torn, err := s.follow(func(e Entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.take(e)
	})
	r.report.Torn = torn
	rep := r.finish(&s.chain)
	if err != nil {
		return rep, err
	}
	rep.Uncovered = rep.Entries - uint64(s.head.Entries)
	return rep, nil
}

// VerifyLines judges a log that was exported: all lines from the first, without the head. That nothing is missing at
// the end, and that the last entry is true, shows only when Entries and Root are compared with what is known from
// elsewhere.
func VerifyLines(in io.Reader) (Report, error) {
	var r reporter
	var c chain
	err := follow(in, &c, r.take)
	if err == nil && c.entries == 0 {
		err = &VerifyError{0, Truncated, "there are no entries"}
	}
	return r.finish(&c), err
}

// Read yields the entries of the log in dir as it was at the start. A VerifyError, or any other error, ends it.
func Read(dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s, err := openSnapshot(dir)
		if err != nil {
			yield(Entry{}, fmt.Errorf("read audit log in %s: %w", dir, err))
			return
		}
		defer s.Close()
		stopped := errors.New("stopped")
		_, err = s.follow(func(e Entry) error {
			e.Line = bytes.Clone(e.Line)
			e.Data = bytes.Clone(e.Data)
			if !yield(e, nil) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(Entry{}, err)
		}
	}
}

// A reporter notes what a Report needs.
type reporter struct{ report Report }

func (r *reporter) take(e Entry) error {
	if e.Seq == 0 {
		var d struct{ Log string }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return &VerifyError{0, Altered, "the first entry does not name the log"}
		}
		r.report.Log, r.report.First = d.Log, e.Time
	}
	r.report.Last = e.Time
	return nil
}

func (r *reporter) finish(c *chain) Report {
	r.report.Entries, r.report.Head, r.report.Root = uint64(c.entries), c.last.String(), c.root().String()
	return r.report
}

// follow takes entries from r until it ends or holds something else: a VerifyError. visit may be nil; what it is given
// is valid until it returns.
func follow(r io.Reader, c *chain, visit func(Entry) error) error {
	in := bufio.NewReaderSize(r, MaxLine+1)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return &VerifyError{c.entries, Truncated, "the last line does not end"}
		case errors.Is(err, bufio.ErrBufferFull):
			return &VerifyError{c.entries, Garbage, fmt.Sprintf("the line is longer than %d bytes", MaxLine)}
		case err != nil:
			return fmt.Errorf("read audit log: %w", err)
		}
		e, err := c.next(line[:len(line)-1])
		if err == nil && visit != nil {
			err = visit(e)
		}
		if err != nil {
			return err
		}
	}
}

// A snapshot is a log as it was between two commits.
type snapshot struct {
	lines *os.File
	size  int64
	head  head
	chain chain
}

func (s *snapshot) Close() error { return s.lines.Close() }

// openSnapshot notes head and length under the shared lock. The log only grows, so it can be read without the lock.
func openSnapshot(dir string) (*snapshot, error) {
	lock, err := os.Open(filepath.Join(dir, lockName))
	switch {
	case err == nil:
		defer lock.Close() // gives the lock back, too
		if err := flock(lock, lockShared); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrNotExist): // without the file nobody appends: a copy
		return nil, err
	}
	lines, logErr := os.Open(filepath.Join(dir, logName))
	s := &snapshot{lines: lines}
	if s.head, err = openHead(dir); err == nil && logErr != nil {
		err = logErr
		if errors.Is(logErr, fs.ErrNotExist) {
			err = &VerifyError{0, Truncated, fmt.Sprintf("%s is missing, and head says %d entries", logName, s.head.Entries)}
		}
	} else if errors.Is(err, fs.ErrNotExist) && logErr == nil {
		err = &VerifyError{0, BadHead, "the file head is missing"}
	}
	if err == nil {
		s.size, err = osFile{lines}.Size()
	}
	if err != nil {
		lines.Close()
		return nil, err
	}
	return s, nil
}

func openHead(dir string) (head, error) {
	f, err := os.Open(filepath.Join(dir, headName))
	if err != nil {
		return head{}, err
	}
	defer f.Close()
	b, err := readHead(f, make([]byte, headSize))
	if err != nil {
		return head{}, err
	}
	h, err := parseHead(b)
	if err != nil {
		return h, &VerifyError{0, BadHead, err.Error()}
	}
	return h, nil
}

// follow goes through the log: strictly as far as the head says, then as far as there are whole entries. torn is the
// number of bytes behind them.
func (s *snapshot) follow(visit func(Entry) error) (torn int64, err error) {
	h, c := s.head, &s.chain
	err = follow(io.NewSectionReader(s.lines, 0, min(h.Bytes, s.size)), c, visit)
	var broken *VerifyError
	short := errors.As(err, &broken) && broken.Problem == Truncated
	switch {
	case (err == nil || short) && s.size < h.Bytes:
		return 0, &VerifyError{c.entries, Truncated, fmt.Sprintf("head says %d entries, and there are %d", h.Entries, c.entries)}
	case short:
		return 0, &VerifyError{c.entries, Altered, "the last line does not end where head says"}
	case err != nil:
		return 0, err
	case c.entries != h.Entries || c.last != h.Last || c.root() != h.Root:
		return 0, &VerifyError{max(c.entries-1, 0), Altered, "head names another last entry"}
	}
	err = follow(io.NewSectionReader(s.lines, h.Bytes, s.size-h.Bytes), c, visit)
	if errors.As(err, &broken) {
		return s.size - c.bytes, nil
	}
	return 0, err
}
