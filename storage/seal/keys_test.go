package seal_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/seal"
)

// newKeys opens DIR/keys with the key-encryption key DIR/kek.txt.
func newKeys(t testing.TB, dir string) *seal.Keys {
	t.Helper()
	kek, err := seal.LocalFile(filepath.Join(dir, "secret", "kek.txt"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), filepath.Join(dir, "keys"), kek)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func create(t testing.TB, keys *seal.Keys, id string) *seal.Key {
	t.Helper()
	k, err := keys.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func list(t testing.TB, keys *seal.Keys) []string {
	t.Helper()
	var ids []string
	for id, err := range keys.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func TestKeysLiveAndDie(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	keys := newKeys(t, dir)
	now := time.Date(2026, 11, 23, 10, 0, 0, 5, time.UTC)
	keys.SetClock(func() time.Time { return now })
	k := create(t, keys, "one")
	create(t, keys, "two")
	if k.ID() != "one" {
		t.Errorf("ID %q", k.ID())
	}
	if _, err := keys.Create(ctx, "one"); !errors.Is(err, seal.ErrExists) {
		t.Errorf("Create again: %v", err)
	}
	if _, err := keys.Get(ctx, "three"); !errors.Is(err, seal.ErrNotFound) {
		t.Errorf("Get of none: %v", err)
	}
	// Another process finds the same key.
	got, err := newKeys(t, dir).Get(ctx, "one")
	if err != nil || got.Recipient() != k.Recipient() || got.SpoolKey() != k.SpoolKey() {
		t.Errorf("Get: %v, or another key", err)
	}
	if got := list(t, keys); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("List: %q", got)
	}

	for range 2 {
		if err := keys.Destroy(ctx, "one"); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Hour) // the second time does not change the tombstone
	}
	if err := keys.Destroy(ctx, "never"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"one", "never"} {
		for _, keys := range []*seal.Keys{keys, newKeys(t, dir)} {
			if _, err := keys.Get(ctx, id); !errors.Is(err, seal.ErrDestroyed) {
				t.Errorf("Get of destroyed %s: %v", id, err)
			}
			if _, err := keys.Create(ctx, id); !errors.Is(err, seal.ErrDestroyed) {
				t.Errorf("Create of destroyed %s: %v", id, err)
			}
		}
	}
	if got := list(t, keys); !slices.Equal(got, []string{"two"}) {
		t.Errorf("List: %q", got)
	}
	destroyed := make(map[string]time.Time)
	for tomb, err := range keys.Destroyed(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		destroyed[tomb.ID] = tomb.Destroyed
	}
	if len(destroyed) != 2 || !destroyed["one"].Equal(time.Date(2026, 11, 23, 10, 0, 0, 5, time.UTC)) {
		t.Errorf("Destroyed: %v", destroyed)
	}
}

func TestModesOfFiles(t *testing.T) {
	dir := t.TempDir()
	keys := newKeys(t, dir)
	create(t, keys, "one")
	if err := errors.Join(keys.Destroy(t.Context(), "two")); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if strings.Contains(path, ".new-") {
			t.Errorf("%s was left", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDestroyOverwrites(t *testing.T) {
	keys := newKeys(t, t.TempDir())
	create(t, keys, "one")
	path := keys.Path("one", ".age")
	// A second name for the file shows what becomes of its bytes.
	witness := filepath.Join(t.TempDir(), "witness")
	if err := os.Link(path, witness); err != nil {
		t.Fatal(err)
	}
	if err := keys.Destroy(t.Context(), "one"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(witness)
	if err != nil || len(b) == 0 || strings.Trim(string(b), "\x00") != "" {
		t.Errorf("%d bytes, not all zero: %v", len(b), err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestRestoreDoesNotBringAKeyBack(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	keys := newKeys(t, dir)
	create(t, keys, "one")
	path := keys.Path("one", ".age")
	backup, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Destroy(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	// So does a crash between tombstone and unlinking look.
	write(t, path, backup)
	if _, err := keys.Get(ctx, "one"); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("Get: %v", err)
	}
	if got := list(t, keys); len(got) != 0 {
		t.Errorf("List: %q", got)
	}
	newKeys(t, dir)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the restored file is still there: %v", err)
	}
	// A tombstone holds even when its bytes are damaged.
	write(t, keys.Path("one", ".destroyed"), []byte("{"))
	if _, err := keys.Get(ctx, "one"); !errors.Is(err, seal.ErrDestroyed) {
		t.Errorf("Get with a damaged tombstone: %v", err)
	}
	for tomb, err := range keys.Destroyed(ctx) {
		if tomb.ID != "one" || !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("Destroyed: %+v, %v", tomb, err)
		}
	}
}

func TestOneKeyCannotStandInForAnother(t *testing.T) {
	keys := newKeys(t, t.TempDir())
	create(t, keys, "one")
	create(t, keys, "two")
	b, err := os.ReadFile(keys.Path("one", ".age"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, keys.Path("two", ".age"), b)
	if _, err := keys.Get(t.Context(), "two"); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("Get: %v, want ErrDamaged", err)
	}
	write(t, keys.Path("two", ".age"), b[:len(b)-1])
	if _, err := keys.Get(t.Context(), "two"); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("Get of a cut file: %v, want ErrDamaged", err)
	}
}

func TestWrongKeyEncryptionKey(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	keys := newKeys(t, dir)
	create(t, keys, "one")
	other, err := seal.LocalFile(filepath.Join(dir, "other.txt"))
	if err != nil {
		t.Fatal(err)
	}
	check := filepath.Join(dir, "keys", "check.age")
	for range 2 { // with the check file, and without
		_, err = seal.OpenKeys(ctx, filepath.Join(dir, "keys"), other)
		if !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), "restore") {
			t.Errorf("OpenKeys: %v, want ErrWrongKey that says what to do", err)
		}
		if err := os.RemoveAll(check); err != nil {
			t.Fatal(err)
		}
	}
	// A key-encryption key is changed by adding the new one before the old.
	oldText, err1 := os.ReadFile(filepath.Join(dir, "secret", "kek.txt"))
	newText, err2 := os.ReadFile(filepath.Join(dir, "other.txt"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "both.txt"), append(newText, oldText...))
	both, err := seal.LocalFile(filepath.Join(dir, "both.txt"))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := seal.OpenKeys(ctx, filepath.Join(dir, "keys"), both)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotated.Get(ctx, "one"); err != nil {
		t.Error(err)
	}
	create(t, rotated, "two")
	if _, err := keys.Get(ctx, "two"); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("Get with the old key: %v, want ErrWrongKey", err)
	}
}

func TestBadIDs(t *testing.T) {
	ctx := t.Context()
	keys := newKeys(t, t.TempDir())
	for _, id := range []string{"", ".", "..", "a/b", "../a", "a.b", "a b", "é", "a\x00", strings.Repeat("a", 65), ".new-x"} {
		_, err1 := keys.Create(ctx, id)
		_, err2 := keys.Get(ctx, id)
		_, err3 := seal.ParseIdentity(id, testIdentity)
		for _, err := range []error{err1, err2, err3, keys.Destroy(ctx, id)} {
			if !errors.Is(err, seal.ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", id, err)
			}
		}
	}
	create(t, keys, strings.Repeat("Z", 64))
	create(t, keys, "check")
	create(t, keys, "-_0")
}

func TestRaces(t *testing.T) {
	dir := t.TempDir()
	const workers = 8
	opened := make([]*seal.Keys, workers) // as many processes would
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { opened[i] = newKeys(t, dir) })
	}
	all.Wait()
	created := make([]error, workers)
	for i := range workers {
		all.Go(func() { _, created[i] = opened[i].Create(t.Context(), "one") })
	}
	all.Wait()
	n := 0
	for _, err := range created {
		switch {
		case err == nil:
			n++
		case !errors.Is(err, seal.ErrExists):
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d created the key, want 1", n)
	}
	for i := range workers {
		all.Go(func() {
			if i%2 == 0 {
				_, err := opened[i].Create(t.Context(), "two")
				if err != nil && !errors.Is(err, seal.ErrExists) && !errors.Is(err, seal.ErrDestroyed) {
					t.Error(err)
				}
			} else if err := opened[i].Destroy(t.Context(), "two"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := os.Stat(opened[0].Path("two", ".age")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the destroyed key has a file: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	keys := newKeys(t, t.TempDir())
	create(t, keys, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := keys.Create(ctx, "two")
	_, err2 := keys.Get(ctx, "one")
	errs := []error{err1, err2, keys.Destroy(ctx, "one")}
	for _, err := range keys.List(ctx) {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: %v, want context.Canceled", i, err)
		}
	}
	if got := list(t, keys); !slices.Equal(got, []string{"one"}) {
		t.Errorf("List: %q", got)
	}
	for range keys.List(t.Context()) {
		break
	}
}

func TestLocalFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kek.txt")
	for _, test := range []struct {
		name, text string
		mode       fs.FileMode
		want       string
	}{
		{"good", "# comment\n\n" + testIdentity + "\r\n", 0o600, ""},
		{"read-only", testIdentity, 0o400, ""},
		{"open to the group", testIdentity, 0o640, "chmod 600"},
		{"open to all", testIdentity, 0o604, "chmod 600"},
		{"empty", "", 0o600, "no identity"},
		{"comments only", "# nothing\n", 0o600, "no identity"},
		{"a recipient", testRecipient, 0o600, "line 1 is not an identity"},
		{"broken", testIdentity + "\n" + testIdentity[:50], 0o600, "line 2 is not an identity"},
		{"too long", testIdentity + strings.Repeat("\n", 70_000), 0o600, "more than"},
	} {
		if err := errors.Join(os.WriteFile(path, []byte(test.text), 0o600), os.Chmod(path, test.mode)); err != nil {
			t.Fatal(err)
		}
		_, err := seal.LocalFile(path)
		if (err == nil) != (test.want == "") || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := seal.LocalFile(dir); err == nil {
		t.Error("a directory was accepted")
	}
}

func FuzzParsePayload(f *testing.F) {
	good := "# greffier key v1\n# recording " + testID + "\n" + testIdentity + "\n"
	for _, s := range []string{
		good, "", good + "\n", strings.TrimSuffix(good, "\n"), strings.Replace(good, "v1", "v2", 1), strings.ToLower(good),
		strings.Replace(good, testID, "other", 1), strings.Replace(good, "\n", "\r\n", 1), good + good,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := seal.ParsePayload(testID, b)
		if err != nil {
			if !errors.Is(err, seal.ErrDamaged) || len(b) > 40 && strings.Contains(err.Error(), "SECRET-KEY") {
				t.Errorf("error %v", err)
			}
			return
		}
		if got := seal.Payload(k); string(got) != string(b) {
			t.Errorf("parsed %q, writes %q", b, got)
		}
	})
}

func FuzzParseTombstone(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"one","destroyed":"2026-11-23T10:00:00Z"}`))
	f.Add([]byte(`{"version":2,"id":"one"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tomb, err := seal.ParseTombstone("one", b)
		if tomb.ID != "one" || err == nil && tomb.Destroyed.IsZero() || err != nil && !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%+v, %v", tomb, err)
		}
	})
}
