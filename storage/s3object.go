package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"
)

// How much is asked for beyond what a read needs. A player jumps, a checker goes through; each gets what suits it, because the
// window grows while reads follow each other and starts small after a jump.
const (
	firstWindow = 256 << 10
	maxWindow   = 8 << 20
)

// Open implements Store.
func (s *S3) Open(ctx context.Context, ref Ref) (Object, error) {
	info, err := s.stat(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", ref.Key, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &s3Object{s: s, ctx: ctx, cancel: cancel, info: info}, nil
}

// s3Object reads ranges of one version. Reads that follow each other share a response.
type s3Object struct {
	s      *S3
	ctx    context.Context // of Open: the object lives no longer
	cancel context.CancelFunc
	info   Info

	mu     sync.Mutex // protects all below; held during a read
	closed bool
	body   io.ReadCloser // what follows offset, left bytes of it; nil when there is none
	offset int64
	left   int64
	window int64
}

func (o *s3Object) Info() Info { return o.info }

// Close ends a read that is under way.
func (o *s3Object) Close() error {
	o.cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.drop()
	return nil
}

func (o *s3Object) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read object %s: %w: offset %d", o.info.Key, ErrInvalid, offset)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, fmt.Errorf("read object %s: closed", o.info.Key)
	}
	for n < len(p) {
		at := offset + int64(n)
		if at >= o.info.Size {
			return n, io.EOF
		}
		m, err := o.read(p[n:], at)
		n += m
		if err != nil {
			return n, fmt.Errorf("read object %s: %w", o.info.Key, s3NotFound(o.ctx, o.info.Ref, err))
		}
	}
	return n, nil
}

// read gives at least a byte, from the open response if it is at the right place.
func (o *s3Object) read(p []byte, at int64) (int, error) {
	if o.body == nil || o.offset != at || o.left == 0 {
		if err := o.request(at, int64(len(p))); err != nil {
			return 0, err
		}
	}
	n, err := o.body.Read(p[:min(int64(len(p)), o.left)])
	o.offset += int64(n)
	o.left -= int64(n)
	switch {
	case n > 0 && (err == nil || o.left == 0):
		return n, nil
	case err == nil:
		err = io.ErrNoProgress
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	o.drop()
	return n, err
}

// request asks for the bytes from at on: those needed, and a window ahead.
func (o *s3Object) request(at, need int64) error {
	if o.left == 0 && o.offset == at && o.window > 0 {
		o.window = min(o.window*2, maxWindow)
	} else {
		o.window = firstWindow
	}
	o.drop()
	length := min(max(need, o.window), o.info.Size-at)
	opts := minio.GetObjectOptions{VersionID: o.info.VersionID}
	if err := opts.SetRange(at, at+length-1); err != nil {
		return err
	}
	body, got, _, err := o.s.core.GetObject(o.ctx, o.s.bucket, o.info.Key, opts)
	if err != nil {
		return err
	}
	if got.Size != length {
		return errors.Join(fmt.Errorf("%w: asked for %d bytes, the service gives %d", ErrMismatch, length, got.Size), body.Close())
	}
	o.body, o.offset, o.left = body, at, length
	return nil
}

// drop forgets the response. One that was read to its end leaves the connection free for the next.
func (o *s3Object) drop() {
	if o.body == nil {
		return
	}
	if o.left == 0 {
		_, _ = io.Copy(io.Discard, io.LimitReader(o.body, 1))
	}
	o.body.Close()
	o.body = nil
}
