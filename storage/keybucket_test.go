package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

func TestKeyBucket(t *testing.T) {
	m := storagetest.StartMinIO(t)
	raw := rawClient(t, m.Config)
	t.Run("Contract", func(t *testing.T) { k, _ := m.NewKeyBucket(t); testKeyBucket(t, k) })
	t.Run("Refused", func(t *testing.T) { testKeyBucketRefused(t, m, raw) })
	t.Run("VersionedLater", func(t *testing.T) { testVersionedLater(t, m, raw) })
	t.Run("LostAnswers", func(t *testing.T) { testKeyBucketLostAnswers(t, m) })
	t.Run("Away", func(t *testing.T) { testKeyBucketAway(t, m) }) // last: it stops the service
}

// TestKeyBucketVersityGW: a second reading of what conditional writes are.
func TestKeyBucketVersityGW(t *testing.T) {
	v := storagetest.StartVersityGW(t)
	k, _ := v.NewKeyBucket(t)
	testKeyBucket(t, k)
}

func names(t *testing.T, k *storage.KeyBucket, prefix string) (all []string) {
	t.Helper()
	for name, err := range k.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	return all
}

func testKeyBucket(t *testing.T, k *storage.KeyBucket) {
	ctx := t.Context()
	one, two, three := []byte("one"), []byte("two"), []byte("three")
	for i, step := range []struct {
		old, b []byte
		want   error
	}{
		{one, two, fs.ErrNotExist}, {nil, one, nil}, {nil, two, fs.ErrExist}, {two, three, fs.ErrExist}, {one, two, nil}, {one, three, fs.ErrExist},
		{nil, two, nil}, // what is there already: an answer may have been lost
	} {
		if err := k.Put(ctx, "ab/file.age", step.old, step.b); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if b, err := k.Get(ctx, "ab/file.age"); err != nil || !bytes.Equal(b, two) {
		t.Errorf("Get: %q, %v", b, err)
	}
	for range 2 {
		if err := k.Remove(ctx, "ab/file.age"); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.Get(ctx, "ab/file.age"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of none: %v", err)
	}
	if err := k.Put(ctx, "ab/file.age", two, one); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Put in the place of what was removed: %v", err)
	}
	for _, b := range [][]byte{{}, make([]byte, storage.MaxKeyFileBytes+1)} {
		if err := k.Put(ctx, "x", nil, b); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	for _, name := range []string{"", "../x", "a//b", ".x"} {
		_, err := k.Get(ctx, name)
		for _, err := range []error{err, k.Put(ctx, name, nil, one), k.Remove(ctx, name)} {
			if !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	testKeyBucketRaces(t, k)
	if got := names(t, k, ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	testKeyBucketPages(t, k)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err := k.Get(cancelled, "x")
	for _, err := range []error{err, k.Put(cancelled, "x", nil, one), k.Remove(cancelled, "x")} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

// testKeyBucketRaces: of writers that expect the same thing one succeeds, round for round.
func testKeyBucketRaces(t *testing.T, k *storage.KeyBucket) {
	ctx := t.Context()
	var old []byte
	for round := range 5 {
		const writers = 8
		var all sync.WaitGroup
		errs := make([]error, writers)
		for i := range writers {
			all.Go(func() {
				errs[i] = k.Put(ctx, "race", old, fmt.Appendf(nil, "%d-%d", round, i))
				for errors.Is(errs[i], storage.ErrUnavailable) { // another was writing
					errs[i] = k.Put(ctx, "race", old, fmt.Appendf(nil, "%d-%d", round, i))
				}
			})
		}
		all.Wait()
		now, err := k.Get(ctx, "race")
		if err != nil {
			t.Fatal(err)
		}
		won := 0
		for i, err := range errs {
			if err == nil {
				won++
				if string(now) != fmt.Sprintf("%d-%d", round, i) {
					t.Errorf("round %d: %d has written, and %q is there", round, i, now)
				}
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d have written", round, won)
		}
		old = now
	}
	if err := k.Remove(ctx, "race"); err != nil {
		t.Error(err)
	}
}

// testKeyBucketPages lists more than a page of 1,000.
func testKeyBucketPages(t *testing.T, k *storage.KeyBucket) {
	const n = 1100
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				if err := k.Put(t.Context(), fmt.Sprintf("page/%04d", i), nil, []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := names(t, k, "page/")
	if len(got) != n || !slices.IsSorted(got) || len(names(t, k, "page/000")) != 10 {
		t.Errorf("%d names, want %d in their order", len(got), n)
	}
	for range k.List(t.Context(), "") {
		break
	}
}

func testKeyBucketRefused(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	ctx := t.Context()
	for bucket, test := range map[string]struct {
		make func(string) error
		want string
	}{
		"no-bucket": {func(string) error { return nil }, "create it without versioning"},
		"versioned": {func(b string) error {
			return errors.Join(raw.MakeBucket(ctx, b, minio.MakeBucketOptions{}), raw.EnableVersioning(ctx, b))
		}, "never enabled"},
		"suspended": {func(b string) error {
			return errors.Join(raw.MakeBucket(ctx, b, minio.MakeBucketOptions{}), raw.EnableVersioning(ctx, b), raw.SuspendVersioning(ctx, b))
		}, "never enabled"},
		"with-locks": {func(b string) error { return raw.MakeBucket(ctx, b, minio.MakeBucketOptions{ObjectLocking: true}) }, "never enabled"},
	} {
		if err := test.make(bucket); err != nil {
			t.Fatal(err)
		}
		cfg := m.Config
		cfg.Bucket = bucket
		k, err := storage.NewKeyBucket(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{k.Check(ctx), k.Put(ctx, "x", nil, []byte("x"))} { // nothing is written before the bucket is proven
			if err == nil || errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", bucket, err, test.want)
			}
		}
	}
}

// testVersionedLater: a bucket that gets versions later is found out by the next deed, and by the next check.
func testVersionedLater(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	ctx := t.Context()
	k, cfg := m.NewKeyBucket(t)
	if err := k.Put(ctx, "x", nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := raw.EnableVersioning(ctx, cfg.Bucket); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{k.Remove(ctx, "x"), k.Put(ctx, "y", nil, []byte("y"))} {
		if !errors.Is(err, storage.ErrMismatch) || !strings.Contains(err.Error(), "versioning was enabled") {
			t.Errorf("%v, want ErrMismatch", err)
		}
	}
	if err := k.Check(ctx); err == nil || !strings.Contains(err.Error(), "never enabled") {
		t.Errorf("Check: %v", err)
	}
}

// testKeyBucketLostAnswers: what was done, and reported lost, is found done.
func testKeyBucketLostAnswers(t *testing.T, m *storagetest.MinIO) {
	ctx := t.Context()
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodGet} {
		_, cfg := m.NewKeyBucket(t)
		proxy, address := newLosing(t, m, func(r *http.Request) bool {
			return r.Method == method && strings.Contains(r.URL.Path, "/file")
		})
		cfg.Endpoint, cfg.CAFile = address, ""
		k, err := storage.NewKeyBucket(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			k.Put(ctx, "file", nil, []byte("one")), k.Put(ctx, "file", []byte("one"), []byte("two")), k.Remove(ctx, "file"),
		} {
			if err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
		if !proxy.done {
			t.Errorf("%s: no answer was lost: the test did not test it", method)
		}
	}
}

func testKeyBucketAway(t *testing.T, m *storagetest.MinIO) {
	ctx := t.Context()
	k, cfg := m.NewKeyBucket(t)
	if err := k.Put(ctx, "x", nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	m.Stop()
	fresh, err := storage.NewKeyBucket(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Get(ctx, "x")
	errs := []error{err, k.Put(ctx, "y", nil, []byte("y")), k.Put(ctx, "x", []byte("x"), []byte("y")), k.Remove(ctx, "x"), fresh.Check(ctx), fresh.Put(ctx, "y", nil, []byte("y"))}
	for _, err := range k.List(ctx, "") {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, storage.ErrUnavailable) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d: %v, want ErrUnavailable", i, err)
		}
	}
	m.Start()
	if err := fresh.Check(ctx); err != nil {
		t.Error(err)
	}
	if err := k.Remove(ctx, "x"); err != nil {
		t.Error(err)
	}
}
