package catalog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/catalog/catalogtest"
)

// openKeys opens the keys of a place. What a place has a catalog in is not where its keys are.
func (p place) openKeys(t *testing.T) *catalog.KeyTable {
	t.Helper()
	k, err := p.keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func (p place) keys(ctx context.Context) (*catalog.KeyTable, error) {
	if p.file != "" {
		return catalog.OpenKeyTable(ctx, p.file)
	}
	return catalog.OpenPostgresKeyTable(ctx, catalog.Postgres{URL: p.database})
}

func TestKeyTable(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		ctx, at := t.Context(), b.fresh(t)
		k, other := at.openKeys(t), at.openKeys(t)
		one, two, three := []byte("one\x00\xff"), []byte("two"), []byte("three")
		for i, step := range []struct {
			old, b []byte
			want   error
		}{
			{one, two, fs.ErrNotExist}, {nil, one, nil}, {nil, two, fs.ErrExist}, {two, three, fs.ErrExist}, {one, two, nil}, {one, three, fs.ErrExist},
		} {
			if err := k.Put(ctx, "ab/file.age", step.old, step.b); !errors.Is(err, step.want) {
				t.Errorf("step %d: %v, want %v", i, err, step.want)
			}
		}
		if b, err := other.Get(ctx, "ab/file.age"); err != nil || !bytes.Equal(b, two) {
			t.Errorf("Get: %q, %v", b, err)
		}
		for range 2 {
			if err := k.Remove(ctx, "ab/file.age"); err != nil {
				t.Error(err)
			}
		}
		if _, err := other.Get(ctx, "ab/file.age"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Get of none: %v", err)
		}
		for _, b := range [][]byte{{}, make([]byte, catalog.MaxKeyFileBytes+1)} {
			if err := k.Put(ctx, "x", nil, b); err == nil {
				t.Errorf("%d bytes were taken", len(b))
			}
		}
	})
}

func TestKeyTableIsNobodyElses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.db")
	place{file: path}.openKeys(t)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.OpenKeyTable(t.Context(), path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("open to others: %v", err)
	}
}

// TestKeyTableIsAway: a server that is away is met again.
func TestKeyTableIsAway(t *testing.T) {
	server := catalogtest.StartPostgres(t)
	at := place{database: server.Database(t)}
	k := at.openKeys(t)
	ctx := t.Context()
	if err := k.Put(ctx, "x", nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	fresh := at.openKeys(t)
	for _, k := range []*catalog.KeyTable{k, fresh} {
		_, err := k.Get(ctx, "x")
		errs := []error{err, k.Put(ctx, "y", nil, []byte("y")), k.Put(ctx, "x", []byte("x"), []byte("y")), k.Remove(ctx, "x")}
		for _, err := range k.List(ctx, "") {
			errs = append(errs, err)
		}
		for i, err := range errs {
			if !errors.Is(err, catalog.ErrUnavailable) {
				t.Errorf("%d: %v, want ErrUnavailable", i, err)
			}
		}
	}
	server.Start(t)
	if b, err := fresh.Get(ctx, "x"); err != nil || string(b) != "x" {
		t.Errorf("Get: %q, %v", b, err)
	}
}

// TestKeyTableRaces: of processes that expect the same thing one succeeds, round for round.
func TestKeyTableRaces(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		ctx, at := t.Context(), b.fresh(t)
		const writers = 6
		tables, errs := make([]*catalog.KeyTable, writers), make([]error, writers)
		var all sync.WaitGroup
		for i := range writers { // the table too is made by one
			all.Go(func() { tables[i], errs[i] = at.keys(ctx) })
		}
		all.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		defer func() {
			for _, k := range tables {
				if err := k.Close(); err != nil {
					t.Error(err)
				}
			}
		}()
		var old []byte
		for round := range 10 {
			errs := make([]error, writers)
			for i, k := range tables {
				all.Go(func() { errs[i] = k.Put(ctx, "race", old, fmt.Appendf(nil, "%d-%d", round, i)) })
			}
			all.Wait()
			now, err := tables[0].Get(ctx, "race")
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
	})
}

// TestKeyTableForgets: nothing of what was removed is left in the file or in its journal.
func TestKeyTableForgets(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "keys.db")
	k := place{file: path}.openKeys(t)
	const n = 120
	secrets := make([][]byte, n)
	for i := range n {
		for len(secrets[i]) < 1500+20*i { // with and without overflow pages
			secrets[i] = append(secrets[i], rand.Text()...)
		}
		if err := k.Put(ctx, fmt.Sprintf("k/%03d", i), nil, secrets[i]); err != nil {
			t.Fatal(err)
		}
	}
	left := func(i int) (found []string) {
		t.Helper()
		for _, file := range []string{path, path + "-journal"} {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at+26 <= len(secrets[i]); at += 26 {
				if bytes.Contains(b, secrets[i][at:at+26]) {
					found = append(found, filepath.Base(file))
				}
			}
		}
		return slices.Compact(found)
	}
	if len(left(0)) == 0 {
		t.Fatal("what is there is not found: the test does not test it")
	}
	for i := 0; i < n; i += 2 {
		if err := k.Remove(ctx, fmt.Sprintf("k/%03d", i)); err != nil {
			t.Fatal(err)
		}
		if found := left(i); len(found) > 0 {
			t.Errorf("%d: of %d bytes something is left in %q", i, len(secrets[i]), found)
		}
	}
	for i := 1; i < n; i += 2 {
		if b, err := k.Get(ctx, fmt.Sprintf("k/%03d", i)); err != nil || !bytes.Equal(b, secrets[i]) {
			t.Errorf("%d: %d bytes, %v", i, len(b), err)
		}
	}
}

func TestKeyTablePages(t *testing.T) {
	onBoth(t, func(t *testing.T, b backend) {
		ctx, k := t.Context(), b.fresh(t).openKeys(t)
		const n = 2100
		for i := range n {
			if err := k.Put(ctx, fmt.Sprintf("page/%04d", i), nil, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"a", "Z", "ring/current"} {
			if err := k.Put(ctx, name, nil, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		for prefix, want := range map[string]int{"": n + 3, "page/": n, "page/00": 100, "page/2": 100, "q": 0, "ring/": 1} {
			var got []string
			for name, err := range k.List(ctx, prefix) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, name)
			}
			slices.Sort(got)
			if got = slices.Compact(got); len(got) != want {
				t.Errorf("%q: %d names, want %d", prefix, len(got), want)
			}
		}
	})
}
