package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/greffier/greffier/storage"
)

const (
	bigObjectBytes = 20 << 20
	testKey        = "rec/qa/2026/11/23/0193f1f0-aaaa-7bbb-8ccc-0123456789ab/recording.wav.age"
)

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// put writes content that must be accepted.
func (s *suite) put(key, content string, o storage.PutOptions) storage.Ref {
	s.Helper()
	ref, err := s.store.Put(s.ctx, key, strings.NewReader(content), int64(len(content)), o)
	s.must(err)
	if ref.Key != key || ref.VersionID == "" {
		s.Fatalf("put %s: got %+v", key, ref)
	}
	return ref
}

// read gives the bytes of a version.
func (s *suite) read(ref storage.Ref) string {
	s.Helper()
	object, err := s.store.Open(s.ctx, ref)
	s.must(err)
	defer func() { s.must(object.Close()) }()
	b, err := io.ReadAll(io.NewSectionReader(object, 0, object.Info().Size))
	s.must(err)
	return string(b)
}

func (s *suite) stat(ref storage.Ref) storage.Info {
	s.Helper()
	info, err := s.store.Stat(s.ctx, ref)
	s.must(err)
	return info
}

func (s *suite) check() { s.must(s.store.Check(s.ctx)) }

func (s *suite) putAndRead() {
	const content = "RIFF, so to speak"
	meta := map[string]string{"id": "0193f1f0", "class": "qa", "term": "P6M; from=end", "hashes": "sha256-abc=", "format": "1"}
	before := s.o.Now()
	ref := s.put(testKey, content, storage.PutOptions{ContentType: "application/age", Metadata: meta, SHA256: sum([]byte(content))})
	if got := s.read(ref); got != content {
		s.Errorf("read %q, want %q", got, content)
	}
	got := s.stat(ref)
	want := storage.Info{
		Ref: ref, Size: int64(len(content)), SHA256: sum([]byte(content)), Modified: got.Modified, ContentType: "application/age", Metadata: meta,
	}
	if !same(got, want) {
		s.Errorf("Stat:\ngot  %+v\nwant %+v", got, want)
	}
	if d := got.Modified.Sub(before).Abs(); d.Minutes() > 5 {
		s.Errorf("modified %v, put at %v", got.Modified, before)
	}
	if current := s.stat(storage.Ref{Key: testKey}); !same(current, got) {
		s.Errorf("current version is %+v, want %+v", current, got)
	}
	if got := s.read(storage.Ref{Key: testKey}); got != content {
		s.Errorf("read current %q, want %q", got, content)
	}
	info, err := storage.Verify(s.ctx, s.store, ref)
	if err != nil || info.Ref != ref {
		s.Errorf("Verify: %+v, %v", info, err)
	}
}

func (s *suite) emptyObject() {
	ref := s.put("empty", "", storage.PutOptions{})
	if info := s.stat(ref); info.Size != 0 || info.SHA256 != sum(nil) || len(info.Metadata) != 0 {
		s.Errorf("Stat: %+v", info)
	}
	object, err := s.store.Open(s.ctx, ref)
	s.must(err)
	defer object.Close()
	if n, err := object.ReadAt(make([]byte, 10), 0); n != 0 || err != io.EOF {
		s.Errorf("ReadAt: %d, %v, want 0, EOF", n, err)
	}
	if again := s.put("empty", "", storage.PutOptions{}); again != ref {
		s.Errorf("put again: %+v, want %+v", again, ref)
	}
}

func (s *suite) ranges() {
	const size = 1_000_003
	content := make([]byte, size)
	_, err := pattern(size).ReadAt(content, 0)
	s.must(err)
	ref, err := s.store.Put(s.ctx, "ranges", bytes.NewReader(content), size, storage.PutOptions{})
	s.must(err)
	object, err := s.store.Open(s.ctx, ref)
	s.must(err)
	defer object.Close()
	for _, r := range [][2]int64{
		{0, 1}, {0, size}, {size - 1, 1}, {500_000, 70_000}, {570_000, 300_000}, {10, 0}, {870_000, 10}, {3, 5}, {size - 5, 5}, {262_143, 2}, {0, 0}, {1, 1},
	} {
		got := make([]byte, r[1])
		if n, err := object.ReadAt(got, r[0]); n != len(got) || err != nil && err != io.EOF {
			s.Fatalf("ReadAt(%d bytes at %d): %d, %v", r[1], r[0], n, err)
		}
		if !bytes.Equal(got, content[r[0]:r[0]+r[1]]) {
			s.Fatalf("ReadAt(%d bytes at %d): other bytes", r[1], r[0])
		}
	}
	for _, r := range []struct{ at, length, want int64 }{{size - 3, 10, 3}, {size, 1, 0}, {size + 5, 1, 0}} {
		if n, err := object.ReadAt(make([]byte, r.length), r.at); int64(n) != r.want || err != io.EOF {
			s.Errorf("ReadAt(%d bytes at %d): %d, %v, want %d, EOF", r.length, r.at, n, err, r.want)
		}
	}
	if n, err := object.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
		s.Errorf("ReadAt(-1): %d, %v", n, err)
	}
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			got := make([]byte, 50_000)
			at := int64(i * 100_000)
			if _, err := object.ReadAt(got, at); err != nil || !bytes.Equal(got, content[at:at+50_000]) {
				s.Errorf("concurrent ReadAt(%d): %v, or other bytes", at, err)
			}
		})
	}
	readers.Wait()
}

func (s *suite) putAgain() {
	o := storage.PutOptions{Metadata: map[string]string{"id": "1"}}
	ref := s.put("again", "content", o)
	before := s.stat(ref)
	for range 2 {
		if got := s.put("again", "content", o); got != ref {
			s.Errorf("same content again: %+v, want %+v", got, ref)
		}
	}
	o.SHA256 = sum([]byte("content"))
	if got := s.put("again", "content", o); got != ref {
		s.Errorf("same content with its SHA-256: %+v, want %+v", got, ref)
	}
	for _, other := range []string{"CONTENT", "content and more", ""} {
		_, err := s.store.Put(s.ctx, "again", strings.NewReader(other), int64(len(other)), storage.PutOptions{})
		s.wantError("other content", err, storage.ErrExists)
	}
	if after := s.stat(storage.Ref{Key: "again"}); !same(before, after) || s.read(ref) != "content" {
		s.Errorf("the object changed: %+v, was %+v", after, before)
	}
	if n := len(s.listed("")); n != 1 {
		s.Errorf("%d versions, want 1", n)
	}

	// A retention that is asked for the second time counts.
	want := s.until(storage.Governance, realLock)
	if got := s.put("again", "content", storage.PutOptions{Retention: want}); got != ref {
		s.Errorf("same content, locked: %+v, want %+v", got, ref)
	}
	if got := s.stat(ref).Retention; !got.Equal(want) {
		s.Errorf("retention %v, want %v", got, want)
	}
	s.put("again", "content", storage.PutOptions{})
	if got := s.stat(ref).Retention; !got.Equal(want) {
		s.Errorf("retention %v after a put without, want %v", got, want)
	}
}

func (s *suite) putWrongContent() {
	const content = "what was promised"
	for name, put := range map[string]func() error{
		"other bytes": func() error {
			_, err := s.store.Put(s.ctx, "wrong", strings.NewReader("What was promised"), int64(len(content)), storage.PutOptions{SHA256: sum([]byte(content))})
			return err
		},
		"short": func() error {
			_, err := s.store.Put(s.ctx, "wrong", strings.NewReader(content[1:]), int64(len(content)), storage.PutOptions{})
			return err
		},
	} {
		s.wantError(name, put(), storage.ErrMismatch)
	}
	broken := errors.New("disk on fire")
	_, err := s.store.Put(s.ctx, "wrong", failingReader{broken}, 100, storage.PutOptions{})
	s.wantError("broken reader", err, broken)
	if errors.Is(err, storage.ErrUnavailable) {
		s.Errorf("broken reader: %v", err)
	}
	if n := len(s.listed("")); n != 0 {
		s.Errorf("%d versions, want none", n)
	}
	s.put("wrong", content, storage.PutOptions{SHA256: sum([]byte(content))})
}

type failingReader struct{ err error }

func (r failingReader) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func (s *suite) putRaces() {
	const writers = 8
	refs, errs := make([]storage.Ref, writers), make([]error, writers)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			content := fmt.Sprintf("written by one of two: %d", i%2)
			for {
				refs[i], errs[i] = s.store.Put(s.ctx, "raced/for", strings.NewReader(content), int64(len(content)), storage.PutOptions{})
				if !errors.Is(errs[i], storage.ErrUnavailable) { // a service may ask to try again
					return
				}
			}
		})
	}
	all.Wait()
	versions := s.listed("")
	if len(versions) != 1 {
		s.Fatalf("%d versions, want 1", len(versions))
	}
	winner := s.read(versions[0].Ref)
	for i := range writers {
		switch won := strings.HasSuffix(winner, fmt.Sprint(i%2)); {
		case won && (errs[i] != nil || refs[i] != versions[0].Ref):
			s.Errorf("writer %d of the content that won: %+v, %v", i, refs[i], errs[i])
		case !won && !errors.Is(errs[i], storage.ErrExists):
			s.Errorf("writer %d of the other content: %+v, %v", i, refs[i], errs[i])
		}
	}
}

// pattern is content without memory: every byte is a function of its position.
type pattern int64

func (p pattern) ReadAt(b []byte, offset int64) (int, error) {
	n := max(min(int64(len(b)), int64(p)-offset), 0)
	for i := range n {
		x := uint64(offset+i) * 0x9e3779b97f4a7c15
		b[i] = byte(x >> 56)
	}
	if n < int64(len(b)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (s *suite) bigObject() {
	h := sha256.New()
	_, err := io.Copy(h, io.NewSectionReader(pattern(bigObjectBytes), 0, bigObjectBytes))
	s.must(err)
	want := hex.EncodeToString(h.Sum(nil))
	o := storage.PutOptions{SHA256: want, Metadata: map[string]string{"id": "big"}, Retention: s.until(storage.Governance, realLock)}

	before := allocated()
	ref, err := s.store.Put(s.ctx, "big", pattern(bigObjectBytes), bigObjectBytes, o)
	s.must(err)
	s.flat("put", before)

	info := s.stat(ref)
	if info.Size != bigObjectBytes || info.SHA256 != want || info.Metadata["id"] != "big" || !info.Retention.Equal(o.Retention) {
		s.Errorf("Stat: %+v", info)
	}
	before = allocated()
	_, err = storage.Verify(s.ctx, s.store, ref)
	s.must(err)
	s.flat("read", before)

	again, err := s.store.Put(s.ctx, "big", pattern(bigObjectBytes), bigObjectBytes, o)
	if err != nil || again != ref {
		s.Errorf("put again: %+v, %v, want %+v", again, err, ref)
	}
	_, err = s.store.Put(s.ctx, "big", pattern(bigObjectBytes-1), bigObjectBytes-1, storage.PutOptions{})
	s.wantError("put other content", err, storage.ErrExists)
	if n := len(s.listed("")); n != 1 {
		s.Errorf("%d versions, want 1", n)
	}
}

// allocated is how much memory was ever taken.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// flat fails if copying the big object took memory in proportion to it.
func (s *suite) flat(what string, before uint64) {
	if raceDetector { // it has pools forget what they are given, so that memory is taken which is not needed
		return
	}
	s.Helper()
	const limit = bigObjectBytes / 4
	if took := allocated() - before; took > limit && !s.o.InMemory {
		s.Errorf("%s of %d bytes took %d bytes of memory, want at most %d", what, bigObjectBytes, took, limit)
	}
}

func (s *suite) cancelled() {
	ref := s.put("key", "content", storage.PutOptions{})
	ctx, cancel := context.WithCancel(s.ctx)
	object, err := s.store.Open(ctx, ref)
	s.must(err)
	defer object.Close()
	cancel()
	_, err = object.ReadAt(make([]byte, 1), 0)
	s.wantError("ReadAt", err, context.Canceled)
	_, err = s.store.Put(ctx, "other", strings.NewReader("x"), 1, storage.PutOptions{})
	s.wantError("Put", err, context.Canceled)
	_, err = s.store.Open(ctx, ref)
	s.wantError("Open", err, context.Canceled)
	_, err = s.store.Stat(ctx, ref)
	s.wantError("Stat", err, context.Canceled)
	s.wantError("Lock", s.store.Lock(ctx, ref, s.until(storage.Governance, realLock)), context.Canceled)
	s.wantError("Hold", s.store.Hold(ctx, ref, true), context.Canceled)
	s.wantError("Delete", s.store.Delete(ctx, ref), context.Canceled)
	s.wantError("Check", s.store.Check(ctx), context.Canceled)
	for _, err = range s.store.List(ctx, "") {
	}
	s.wantError("List", err, context.Canceled)

	// A Put that is cut off in the middle leaves nothing behind.
	ctx, cancel = context.WithCancel(s.ctx)
	cut := cuttingReader{pattern(bigObjectBytes), cancel}
	_, err = s.store.Put(ctx, "cut", cut, bigObjectBytes, storage.PutOptions{})
	s.wantError("Put", err, context.Canceled)
	if got := s.listed(""); len(got) != 1 || got[0].Ref != ref {
		s.Errorf("versions %v, want only %v", got, ref)
	}
}

// cuttingReader cancels the call that reads it, in the middle.
type cuttingReader struct {
	pattern
	cancel context.CancelFunc
}

func (r cuttingReader) ReadAt(b []byte, offset int64) (int, error) {
	if offset > bigObjectBytes/2 {
		r.cancel()
	}
	return r.pattern.ReadAt(b, offset)
}
