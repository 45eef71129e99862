package storagetest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/storage"
)

// A Fake is a store in memory. It keeps the contract of storage.Store, and fails the test itself when its user asks for what a
// correct program never asks for: to replace the content of a key, to delete under a lock, to shorten a lock, to read what it has
// deleted, to use an object after closing it, to put one key below another, or to pass what cannot be a key. Faults, in an order set by Script, make calls fail
// without having been done, or after having been done, or take their time.
type Fake struct {
	t        testing.TB
	tolerant bool
	now      func() time.Time

	mu       sync.Mutex // protects all below
	versions map[string][]*fakeVersion
	deleted  map[storage.Ref]bool
	serial   int
	script   []Fault
	calls    []string
}

type fakeVersion struct {
	info   storage.Info
	data   []byte
	marker bool
}

var _ storage.Store = (*Fake)(nil)

// FakeOptions has a usable zero value.
type FakeOptions struct {
	Now      func() time.Time // nil means time.Now
	Tolerant bool             // answer broken promises with errors only, as a real store does
}

// NewFake gives an empty store. At the end of the test, faults that were scripted and never met fail it too: it did not test what
// it says.
func NewFake(t testing.TB, o FakeOptions) *Fake {
	f := &Fake{t: t, tolerant: o.Tolerant, now: o.Now, versions: make(map[string][]*fakeVersion), deleted: make(map[storage.Ref]bool)}
	if f.now == nil {
		f.now = time.Now
	}
	t.Cleanup(func() {
		for _, fault := range f.Pending() {
			t.Errorf("store: scripted fault was never met: %v", fault)
		}
	})
	return f
}

// broken reports what a correct program does not do.
func (f *Fake) broken(err error, format string, args ...any) error {
	f.t.Helper()
	err = fmt.Errorf("%w: %s", err, fmt.Sprintf(format, args...))
	if !f.tolerant {
		f.t.Errorf("store: promise broken: %v", err)
	}
	return err
}

// Mark places a delete marker on a key, as a lifecycle rule does.
func (f *Fake) Mark(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versions[key] = append(f.versions[key], &fakeVersion{marker: true})
}

// Calls gives what was called so far, such as "put rec/1", in order, attempts that failed included. Reads are not in it.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// current gives the newest version, unless it is a marker. mu is held.
func (f *Fake) current(key string) *fakeVersion {
	all := f.versions[key]
	if len(all) == 0 || all[len(all)-1].marker {
		return nil
	}
	return all[len(all)-1]
}

// find gives a version, or the current one. mu is held.
func (f *Fake) find(ref storage.Ref) (*fakeVersion, error) {
	if err := storage.CheckKey(ref.Key); err != nil {
		return nil, f.broken(err, "key %q", ref.Key)
	}
	if ref.VersionID == "" {
		if v := f.current(ref.Key); v != nil {
			return v, nil
		}
		return nil, storage.ErrNotFound
	}
	for _, v := range f.versions[ref.Key] {
		if !v.marker && v.info.VersionID == ref.VersionID {
			return v, nil
		}
	}
	return nil, storage.ErrNotFound
}

// named is find for calls that need a version id. mu is held.
func (f *Fake) named(ref storage.Ref) (*fakeVersion, error) {
	if ref.VersionID == "" {
		return nil, f.broken(storage.ErrInvalid, "no version id for %s", ref.Key)
	}
	return f.find(ref)
}

// Put implements storage.Store.
func (f *Fake) Put(ctx context.Context, key string, r io.ReaderAt, size int64, o storage.PutOptions) (ref storage.Ref, err error) {
	f.t.Helper()
	data, err := f.checkPut(ctx, key, r, size, o)
	if err != nil {
		return storage.Ref{}, fmt.Errorf("put object %s: %w", key, err)
	}
	err = f.write(ctx, OpPut, key, func() error {
		ref, err = f.put(key, data, o)
		return err
	})
	if err != nil {
		return storage.Ref{}, fmt.Errorf("put object %s: %w", key, err)
	}
	return ref, nil
}

func (f *Fake) checkPut(ctx context.Context, key string, r io.ReaderAt, size int64, o storage.PutOptions) ([]byte, error) {
	f.t.Helper()
	switch b, err := hex.DecodeString(o.SHA256); {
	case storage.CheckKey(key) != nil:
		return nil, f.broken(storage.ErrInvalid, "key %q", key)
	case size < 0:
		return nil, f.broken(storage.ErrInvalid, "size %d", size)
	case storage.CheckMetadata(o.Metadata) != nil:
		return nil, f.broken(storage.ErrInvalid, "metadata %v", storage.CheckMetadata(o.Metadata))
	case strings.ContainsAny(o.ContentType, "\r\n"):
		return nil, f.broken(storage.ErrInvalid, "content type %q", o.ContentType)
	case o.SHA256 != "" && (err != nil || len(b) != sha256.Size || o.SHA256 != strings.ToLower(o.SHA256)):
		return nil, f.broken(storage.ErrInvalid, "SHA-256 %q", o.SHA256)
	}
	if !o.Retention.IsZero() {
		if err := f.checkRetention(o.Retention); err != nil {
			return nil, err
		}
	}
	data := make([]byte, size)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.ReadAt(data[at:min(at+1<<20, size)], at)
		at += int64(n)
		if err == io.EOF && at < size {
			return nil, fmt.Errorf("%w: %d bytes, want %d", storage.ErrMismatch, at, size)
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
	}
	if got := sum(data); o.SHA256 != "" && got != o.SHA256 {
		return nil, f.broken(storage.ErrMismatch, "SHA-256 of the content of %s is %s, promised %s", key, got, o.SHA256)
	}
	return data, ctx.Err()
}

func (f *Fake) checkRetention(r storage.Retention) error {
	f.t.Helper()
	now := f.now()
	if r.Mode != storage.Governance && r.Mode != storage.Compliance || !r.Until.After(now) || r.Until.After(now.AddDate(100, 0, 0)) {
		return f.broken(storage.ErrInvalid, "retention %v at %v", r, now)
	}
	return nil
}

func (f *Fake) put(key string, data []byte, o storage.PutOptions) (storage.Ref, error) {
	f.t.Helper()
	r := o.Retention.Rounded()
	if v := f.current(key); v != nil {
		if sum(data) != v.info.SHA256 {
			return storage.Ref{}, f.broken(storage.ErrExists, "other content for %s", key)
		}
		if !v.info.Retention.Covers(r) {
			return v.info.Ref, f.setRetention(v, r)
		}
		return v.info.Ref, nil
	}
	for other := range f.versions {
		if strings.HasPrefix(other, key+"/") || strings.HasPrefix(key, other+"/") {
			_ = f.broken(storage.ErrInvalid, "%s and %s: a service may not list one of them", key, other)
		}
	}
	f.serial++
	v := &fakeVersion{data: data, info: storage.Info{
		Ref:  storage.Ref{Key: key, VersionID: fmt.Sprintf("v%06d", f.serial)},
		Size: int64(len(data)), SHA256: sum(data), Modified: f.now().UTC(),
		ContentType: cmp.Or(o.ContentType, storage.DefaultContentType), Metadata: maps.Clone(o.Metadata), Retention: r,
	}}
	f.versions[key] = append(f.versions[key], v)
	return v.info.Ref, nil
}

// setRetention follows the rule of S3, in the order of its words. mu is held.
func (f *Fake) setRetention(v *fakeVersion, r storage.Retention) error {
	f.t.Helper()
	old := v.info.Retention
	if old.Mode != "" && f.now().Before(old.Until) && (r.Mode != old.Mode || r.Until.Before(old.Until)) {
		return f.broken(storage.ErrLocked, "retention of %s is %v and cannot become %v", v.info.Key, old, r)
	}
	v.info.Retention = r
	return nil
}

// Lock implements storage.Store.
func (f *Fake) Lock(ctx context.Context, ref storage.Ref, r storage.Retention) error {
	f.t.Helper()
	return f.write(ctx, OpLock, ref.Key, func() error {
		v, err := f.named(ref)
		if err != nil {
			return fmt.Errorf("lock object %s: %w", ref.Key, err)
		}
		if err := f.checkRetention(r); err != nil {
			return err
		}
		return f.setRetention(v, r.Rounded())
	})
}

// Hold implements storage.Store.
func (f *Fake) Hold(ctx context.Context, ref storage.Ref, on bool) error {
	f.t.Helper()
	return f.write(ctx, OpHold, ref.Key, func() error {
		v, err := f.named(ref)
		if err != nil {
			return fmt.Errorf("hold object %s: %w", ref.Key, err)
		}
		v.info.LegalHold = on
		return nil
	})
}

// Delete implements storage.Store.
func (f *Fake) Delete(ctx context.Context, ref storage.Ref) error {
	f.t.Helper()
	return f.write(ctx, OpDelete, ref.Key, func() error {
		v, err := f.named(ref)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if v.info.LegalHold || v.info.Retention.Active(f.now()) {
			return f.broken(storage.ErrLocked, "delete of %s under %v, legal hold %t", ref.Key, v.info.Retention, v.info.LegalHold)
		}
		f.versions[ref.Key] = slices.DeleteFunc(f.versions[ref.Key], func(other *fakeVersion) bool { return other == v })
		f.deleted[ref] = true
		return nil
	})
}

// Stat implements storage.Store.
func (f *Fake) Stat(ctx context.Context, ref storage.Ref) (storage.Info, error) {
	f.t.Helper()
	v, err := f.lookup(ctx, OpStat, ref)
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat object %s: %w", ref.Key, err)
	}
	return v.info, nil
}

// lookup gives a copy of a version, for reading.
func (f *Fake) lookup(ctx context.Context, op Op, ref storage.Ref) (fakeVersion, error) {
	f.t.Helper()
	if err := f.meet(ctx, op, ref.Key); err != nil {
		return fakeVersion{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v, err := f.find(ref)
	if err != nil {
		if f.deleted[ref] {
			err = f.broken(err, "%s of %s after its deletion", op, ref.Key)
		}
		return fakeVersion{}, err
	}
	clone := *v
	clone.info.Metadata = maps.Clone(v.info.Metadata)
	return clone, nil
}

// Open implements storage.Store.
func (f *Fake) Open(ctx context.Context, ref storage.Ref) (storage.Object, error) {
	f.t.Helper()
	v, err := f.lookup(ctx, OpOpen, ref)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", ref.Key, err)
	}
	return &fakeObject{f: f, ctx: ctx, v: v}, nil
}

type fakeObject struct {
	f   *Fake
	ctx context.Context // of Open: the object lives no longer
	v   fakeVersion

	mu     sync.Mutex
	closed bool
}

func (o *fakeObject) Info() storage.Info { return o.v.info }

func (o *fakeObject) ReadAt(p []byte, offset int64) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return 0, o.f.broken(storage.ErrInvalid, "read of %s after Close", o.v.info.Key)
	case o.ctx.Err() != nil:
		return 0, o.ctx.Err()
	case offset < 0:
		return 0, o.f.broken(storage.ErrInvalid, "read of %s at %d", o.v.info.Key, offset)
	case offset >= int64(len(o.v.data)):
		return 0, io.EOF
	}
	n := copy(p, o.v.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (o *fakeObject) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return nil
}

// List implements storage.Store.
func (f *Fake) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		// What can begin a key is a key, or becomes one with another character.
		if prefix != "" && storage.CheckKey(prefix) != nil && storage.CheckKey(prefix+"x") != nil {
			yield(storage.Info{}, f.broken(storage.ErrInvalid, "list objects: prefix %q", prefix))
			return
		}
		if err := f.meet(ctx, OpList, prefix); err != nil {
			yield(storage.Info{}, fmt.Errorf("list objects: %w", err))
			return
		}
		for _, info := range f.snapshot(prefix) {
			if !yield(info, ctx.Err()) {
				return
			}
		}
	}
}

func (f *Fake) snapshot(prefix string) []storage.Info {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []storage.Info
	for _, key := range slices.Sorted(maps.Keys(f.versions)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for _, v := range slices.Backward(f.versions[key]) {
			if !v.marker {
				info := v.info
				info.Metadata = maps.Clone(info.Metadata)
				all = append(all, info)
			}
		}
	}
	return all
}

// Versions implements storage.Store. Its faults are those of list.
func (f *Fake) Versions(ctx context.Context, prefix string) iter.Seq2[storage.Version, error] {
	return func(yield func(storage.Version, error) bool) {
		if prefix != "" && storage.CheckKey(prefix) != nil && storage.CheckKey(prefix+"x") != nil {
			yield(storage.Version{}, f.broken(storage.ErrInvalid, "list versions: prefix %q", prefix))
			return
		}
		if err := f.meet(ctx, OpList, prefix); err != nil {
			yield(storage.Version{}, fmt.Errorf("list versions: %w", err))
			return
		}
		for _, v := range f.names(prefix) {
			if !yield(v, ctx.Err()) {
				return
			}
		}
	}
}

func (f *Fake) names(prefix string) []storage.Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []storage.Version
	for _, key := range slices.Sorted(maps.Keys(f.versions)) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		for i, v := range slices.Backward(f.versions[key]) {
			all = append(all, storage.Version{Ref: storage.Ref{Key: key, VersionID: v.info.VersionID}, Current: i == len(f.versions[key])-1, Marker: v.marker})
		}
	}
	return all
}

// Check implements storage.Store.
func (f *Fake) Check(ctx context.Context) error { return f.meet(ctx, OpCheck, "") }
