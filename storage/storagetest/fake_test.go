package storagetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 10, 0, 0, 5e8, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestFakeKeepsTheContract(t *testing.T) {
	c := newClock()
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return storagetest.NewFake(t, storagetest.FakeOptions{Now: c.Now, Tolerant: true})
	}, storagetest.Options{
		Advance: c.Advance, Now: c.Now, InMemory: true,
		Mark: func(_ *testing.T, s storage.Store, key string) { s.(*storagetest.Fake).Mark(key) },
	})
}

// recorder takes the place of the test that a strict fake would fail.
type recorder struct {
	testing.TB
	errors   []string
	cleanups []func()
}

func (r *recorder) Helper()                           {}
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(format string, args ...any) { r.errors = append(r.errors, format) }

func put(f *storagetest.Fake, key, content string, r storage.Retention) (storage.Ref, error) {
	return f.Put(context.Background(), key, strings.NewReader(content), int64(len(content)), storage.PutOptions{Retention: r})
}

func TestFakeReportsBrokenPromises(t *testing.T) {
	ctx := t.Context()
	year := storage.Retention{Mode: storage.Governance, Until: time.Now().AddDate(1, 0, 0)}
	day := storage.Retention{Mode: storage.Governance, Until: time.Now().AddDate(0, 0, 1)}
	for _, test := range []struct {
		name string
		run  func(f *storagetest.Fake)
		want int
	}{
		{"correct use", func(f *storagetest.Fake) {
			ref, _ := put(f, "k", "x", storage.Retention{})
			_, _ = put(f, "k", "x", storage.Retention{})
			_ = f.Lock(ctx, ref, day)
			_ = f.Lock(ctx, ref, year)
			_, _ = f.Stat(ctx, storage.Ref{Key: "unknown"})
		}, 0},
		{"other content", func(f *storagetest.Fake) { _, _ = put(f, "k", "x", year); _, _ = put(f, "k", "y", year) }, 1},
		{"delete under lock", func(f *storagetest.Fake) { ref, _ := put(f, "k", "x", year); _ = f.Delete(ctx, ref) }, 1},
		{"delete under hold", func(f *storagetest.Fake) {
			ref, _ := put(f, "k", "x", storage.Retention{})
			_ = f.Hold(ctx, ref, true)
			_ = f.Delete(ctx, ref)
		}, 1},
		{"shorten", func(f *storagetest.Fake) { ref, _ := put(f, "k", "x", year); _ = f.Lock(ctx, ref, day) }, 1},
		{"read after delete", func(f *storagetest.Fake) {
			ref, _ := put(f, "k", "x", storage.Retention{})
			_ = f.Delete(ctx, ref)
			_, _ = f.Stat(ctx, ref)
			_, _ = f.Open(ctx, ref)
		}, 2},
		{"read after close", func(f *storagetest.Fake) {
			ref, _ := put(f, "k", "x", storage.Retention{})
			o, _ := f.Open(ctx, ref)
			_ = o.Close()
			_, _ = o.ReadAt(make([]byte, 1), 0)
		}, 1},
		{"bad key", func(f *storagetest.Fake) { _, _ = put(f, "../k", "x", storage.Retention{}) }, 1},
		{"key below a key", func(f *storagetest.Fake) {
			_, _ = put(f, "k", "x", storage.Retention{})
			_, _ = put(f, "k/x", "x", storage.Retention{})
		}, 1},
		{"no version", func(f *storagetest.Fake) { _ = f.Delete(ctx, storage.Ref{Key: "k"}) }, 1},
		{"wrong hash", func(f *storagetest.Fake) {
			_, _ = f.Put(ctx, "k", strings.NewReader("x"), 1, storage.PutOptions{SHA256: strings.Repeat("0", 64)})
		}, 1},
		{"unmet fault", func(f *storagetest.Fake) { f.Script(storagetest.Fault{Effect: storagetest.NotDone}) }, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{TB: t}
			test.run(storagetest.NewFake(r, storagetest.FakeOptions{}))
			for _, f := range r.cleanups {
				f()
			}
			if len(r.errors) != test.want {
				t.Errorf("%d errors %q, want %d", len(r.errors), r.errors, test.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	ctx := t.Context()
	f := storagetest.NewFake(t, storagetest.FakeOptions{})
	boom := errors.New("boom")
	f.Script(
		storagetest.Fault{Op: storagetest.OpPut, Suffix: ".wav", Effect: storagetest.NotDone},
		storagetest.Fault{Op: storagetest.OpPut, Suffix: ".wav", Effect: storagetest.DoneButLost},
		storagetest.Fault{Op: storagetest.OpStat, Effect: storagetest.NotDone, Err: boom},
	)
	if _, err := put(f, "b.json", "x", storage.Retention{}); err != nil {
		t.Error(err)
	}
	if _, err := put(f, "a.wav", "x", storage.Retention{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("first put: %v", err)
	}
	if _, err := f.Stat(ctx, storage.Ref{Key: "a.wav"}); !errors.Is(err, boom) {
		t.Errorf("first stat: %v", err)
	}
	if _, err := f.Stat(ctx, storage.Ref{Key: "a.wav"}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("stat after the put that was not done: %v", err)
	}
	if _, err := put(f, "a.wav", "x", storage.Retention{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("second put: %v", err)
	}
	done, err := f.Stat(ctx, storage.Ref{Key: "a.wav"})
	if err != nil {
		t.Errorf("stat after the put whose answer was lost: %v", err)
	}
	if ref, err := put(f, "a.wav", "x", storage.Retention{}); err != nil || ref != done.Ref {
		t.Errorf("third put: %+v, %v, want %+v", ref, err, done.Ref)
	}
	if got, want := f.Calls(), []string{"put b.json", "put a.wav", "put a.wav", "put a.wav"}; !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestSlowFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := storagetest.NewFake(t, storagetest.FakeOptions{})
		wait := make(chan struct{})
		f.Script(
			storagetest.Fault{Op: storagetest.OpPut, Effect: storagetest.Slow, Wait: wait},
			storagetest.Fault{Op: storagetest.OpDelete, Effect: storagetest.Slow, Wait: wait},
		)
		var writer sync.WaitGroup
		writer.Go(func() {
			if _, err := put(f, "k", "x", storage.Retention{}); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		// While it is slow, nothing is there, and others are served.
		if _, err := f.Stat(t.Context(), storage.Ref{Key: "k"}); !errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := f.Delete(ctx, storage.Ref{Key: "k", VersionID: "v"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow delete: %v", err)
		}
		close(wait)
		writer.Wait()
		if _, err := f.Stat(t.Context(), storage.Ref{Key: "k"}); err != nil {
			t.Error(err)
		}
	})
}
