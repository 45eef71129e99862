package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
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

func newDir(t testing.TB, path string, o storage.DirOptions) *storage.Dir {
	t.Helper()
	d, err := storage.NewDir(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDirKeepsTheContract(t *testing.T) {
	c := newClock()
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return newDir(t, filepath.Join(t.TempDir(), "a", "store"), storage.DirOptions{Clock: c.Now})
	}, storagetest.Options{Advance: c.Advance, Now: c.Now})
}

func put(t testing.TB, s storage.Store, key, content string, o storage.PutOptions) storage.Ref {
	t.Helper()
	ref, err := s.Put(t.Context(), key, strings.NewReader(content), int64(len(content)), o)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// tree gives the names below a directory, without the directory itself.
func tree(t testing.TB, root string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestDirModes(t *testing.T) {
	root := filepath.Join(t.TempDir(), "store")
	d := newDir(t, root, storage.DirOptions{})
	put(t, d, "rec/qa/x", "content", storage.PutOptions{})
	for _, name := range tree(t, root) {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if info.IsDir() {
			want = fs.ModeDir | 0o700
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestDirIsSharedAndSurvives(t *testing.T) {
	root := t.TempDir()
	a, b := newDir(t, root, storage.DirOptions{}), newDir(t, root, storage.DirOptions{})
	ref := put(t, a, "key", "content", storage.PutOptions{})
	if err := b.Hold(t.Context(), ref, true); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete(t.Context(), ref); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete under the other's hold: %v", err)
	}
	info, err := newDir(t, root, storage.DirOptions{}).Stat(t.Context(), ref)
	if err != nil || !info.LegalHold {
		t.Errorf("Stat by a third: %+v, %v", info, err)
	}
}

func TestDirKeepsWhatAnotherIsWriting(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, storage.DirOptions{})
	d.OnStep(func(step string) {
		if step == "put: data written" {
			newDir(t, root, storage.DirOptions{}) // clears what is left over
		}
	})
	ref := put(t, d, "key", "content", storage.PutOptions{})
	if _, err := storage.Verify(t.Context(), d, ref); err != nil {
		t.Error(err)
	}
}

func TestDirLeavesNothingBehind(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, storage.DirOptions{})
	empty := tree(t, root)
	ref := put(t, d, "rec/qa/2026/x", "content", storage.PutOptions{})
	if err := d.Delete(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, root); strings.Join(got, " ") != strings.Join(empty, " ") {
		t.Errorf("left %q, want %q", got, empty)
	}
}

func TestDirNoticesDamage(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"flipped byte": func(path string) error { return os.WriteFile(filepath.Join(path, "data"), []byte("Content"), 0o600) },
		"truncated":    func(path string) error { return os.Truncate(filepath.Join(path, "data"), 3) },
		"longer":       func(path string) error { return os.WriteFile(filepath.Join(path, "data"), []byte("content!"), 0o600) },
		"metadata": func(path string) error {
			return os.WriteFile(filepath.Join(path, "meta.json"), []byte(`{"format":1}`), 0o600)
		},
		"newer metadata": func(path string) error {
			return os.WriteFile(filepath.Join(path, "meta.json"), []byte(`{"format":2,"new":true}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			d := newDir(t, root, storage.DirOptions{})
			put(t, d, "another", "content", storage.PutOptions{})
			ref := put(t, d, "key", "content", storage.PutOptions{})
			if err := damage(filepath.Join(root, "objects", "key", "@"+ref.VersionID)); err != nil {
				t.Fatal(err)
			}
			if _, err := storage.Verify(t.Context(), d, ref); !errors.Is(err, storage.ErrMismatch) {
				t.Errorf("Verify: %v, want ErrMismatch", err)
			}
			// A list goes on after it.
			n := 0
			for info, err := range d.List(t.Context(), "") {
				n++
				if err != nil && (info.Ref != ref || !errors.Is(err, storage.ErrMismatch)) {
					t.Errorf("List: %+v, %v", info, err)
				}
			}
			if n != 2 {
				t.Errorf("List gave %d versions, want 2", n)
			}
		})
	}
}

func TestDirListsKeysBelowKeys(t *testing.T) {
	d := newDir(t, t.TempDir(), storage.DirOptions{})
	want := []string{"a", "a-b", "a/b", "a/b/c", "a0"}
	for _, i := range []int{3, 1, 4, 0, 2} {
		put(t, d, want[i], "content", storage.PutOptions{})
	}
	var got []string
	for info, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestDirNoticesAMovedVersion(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, storage.DirOptions{})
	ref := put(t, d, "key", "content", storage.PutOptions{})
	objects := filepath.Join(root, "objects")
	if err := os.Rename(filepath.Join(objects, "key"), filepath.Join(objects, "moved")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Stat(t.Context(), storage.Ref{Key: "moved", VersionID: ref.VersionID}); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Stat: %v, want ErrMismatch", err)
	}
}

func TestDirRefusesWhatIsNotItsOwn(t *testing.T) {
	for name, prepare := range map[string]func(root string) error{
		"other files": func(root string) error { return os.WriteFile(filepath.Join(root, "photo.jpg"), nil, 0o600) },
		"newer format": func(root string) error {
			return os.WriteFile(filepath.Join(root, "format"), []byte("greffier-store 2\n"), 0o600)
		},
		"a plain file":  func(root string) error { return errors.Join(os.Remove(root), os.WriteFile(root, nil, 0o600)) },
		"other program": func(root string) error { return os.WriteFile(filepath.Join(root, "format"), []byte("hello"), 0o600) },
	} {
		root := t.TempDir()
		if err := prepare(root); err != nil {
			t.Fatal(err)
		}
		if _, err := storage.NewDir(root, storage.DirOptions{}); err == nil {
			t.Errorf("%s: opened", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestDirIsUnavailableWhenItsDiskFails(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, storage.DirOptions{})
	// What no permission stops, a missing directory does.
	if err := os.RemoveAll(filepath.Join(root, "tmp")); err != nil {
		t.Fatal(err)
	}
	_, err := d.Put(t.Context(), "key", strings.NewReader("x"), 1, storage.PutOptions{})
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Put: %v, want ErrUnavailable", err)
	}
	if err := d.Check(t.Context()); err == nil {
		t.Error("Check found nothing")
	}
}

// TestDirNamesWhatIsNoVersion: what somebody puts between the objects is named, and hides nothing.
func TestDirNamesWhatIsNoVersion(t *testing.T) {
	root := t.TempDir()
	d := newDir(t, root, storage.DirOptions{})
	ref := put(t, d, "rec/qa/x", "content", storage.PutOptions{})
	for _, name := range []string{"stray.wav", "rec/qa/x/notes.txt", "rec/qa/x/@not-a-version"} {
		if err := os.WriteFile(filepath.Join(root, "objects", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var strange []string
	for v, err := range d.Versions(t.Context(), "") {
		switch {
		case errors.Is(err, storage.ErrMismatch):
			strange = append(strange, v.Key)
		case err != nil || v != storage.Version{Ref: ref, Current: true}:
			t.Errorf("%+v, %v", v, err)
		}
	}
	if want := []string{"stray.wav", "rec/qa/x/@not-a-version", "rec/qa/x/notes.txt"}; !slices.Equal(strange, want) {
		t.Errorf("strange are %q, want %q", strange, want)
	}
}
