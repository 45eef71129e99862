package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// errContent: the reader that a caller gave to Put, or an open object, failed.
var errContent = errors.New("read content")

// isFinal says whether err is one of ours that repeating does not help, or says already that it does.
func isFinal(err error) bool {
	for _, known := range []error{
		ErrNotFound, ErrExists, ErrLocked, ErrUnavailable, ErrInvalid, ErrMismatch, errContent, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// copyBytes is how much is read at a time between looks at the context.
const copyBytes = 256 << 10

// Verify reads all bytes of a version and compares them with the size and SHA-256 that the store has for it. ErrMismatch means
// that the bytes are damaged, or that the object was not written by this package.
func Verify(ctx context.Context, s Store, ref Ref) (Info, error) {
	object, err := s.Open(ctx, ref)
	if err != nil {
		return Info{}, fmt.Errorf("verify object: %w", err)
	}
	defer object.Close()
	info := object.Info()
	sum := sha256.New()
	if err := copyAt(ctx, sum, object, info.Size); err != nil {
		return info, fmt.Errorf("verify object %s: %w", info.Key, err)
	}
	// One byte past the end must not be there.
	if n, err := object.ReadAt(make([]byte, 1), info.Size); n != 0 || err != io.EOF {
		return info, fmt.Errorf("verify object %s: %w: longer than its %d bytes", info.Key, ErrMismatch, info.Size)
	}
	if got := hexSum(sum); got != info.SHA256 {
		return info, fmt.Errorf("verify object %s: %w: SHA-256 is %s, want %q", info.Key, ErrMismatch, got, info.SHA256)
	}
	return info, nil
}

// copyAt copies exactly size bytes from r, and stops when ctx ends. A shorter r is ErrMismatch.
func copyAt(ctx context.Context, w io.Writer, r io.ReaderAt, size int64) error {
	buf := make([]byte, min(copyBytes, max(size, 1)))
	for offset := int64(0); offset < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-offset)], offset)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			offset += int64(n)
		}
		switch {
		case err == io.EOF && offset < size, err == nil && n == 0:
			return fmt.Errorf("%w: %d bytes, want %d", ErrMismatch, offset, size)
		case err != nil && err != io.EOF:
			return fmt.Errorf("%w: %w", errContent, err)
		}
	}
	return nil
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// A lease lends a reader for the time of a call: whoever still holds it afterwards, such as an HTTP transport that was cut off,
// reads nothing more.
type lease struct {
	mu   sync.RWMutex // held for writing by end; protects over
	r    io.ReaderAt
	over bool

	failure atomic.Pointer[error] // the reader's own last, which a transport would pass on as its own
}

func (l *lease) ReadAt(p []byte, offset int64) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.over {
		return 0, fmt.Errorf("read after the end of the call: %w", context.Canceled)
	}
	n, err := l.r.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		l.failure.Store(&err)
	}
	return n, err
}

// blame gives err, or what made the reader fail.
func (l *lease) blame(err error) error {
	if failure := l.failure.Load(); failure != nil && err != nil {
		return fmt.Errorf("%w: %w", errContent, *failure)
	}
	return err
}

// end waits for reads that are under way.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
}
