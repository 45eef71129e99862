package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/storage/seal"
)

// A memoryShelf is a strict one, that tests look into, stop, and take away.
type memoryShelf struct {
	mu    sync.Mutex
	files map[string][]byte
	away  bool
	asked int
	at    func(op, name string) error // before each call; an error is the call's
}

func newMemoryShelf() *memoryShelf { return &memoryShelf{files: make(map[string][]byte)} }

// begin meets a call, and leaves the shelf locked unless the call fails.
func (m *memoryShelf) begin(ctx context.Context, op, name string) error {
	m.mu.Lock()
	at := m.at
	m.asked++
	m.mu.Unlock()
	if at != nil {
		if err := at(op, name); err != nil {
			return err
		}
	}
	m.mu.Lock()
	err := ctx.Err()
	if err == nil && m.away {
		err = fmt.Errorf("%w: taken away", seal.ErrUnavailable)
	}
	if err != nil {
		m.mu.Unlock()
	}
	return err
}

func (m *memoryShelf) Get(ctx context.Context, name string) ([]byte, error) {
	if err := m.begin(ctx, "get", name); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	b, ok := m.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(b), nil
}

func (m *memoryShelf) Put(ctx context.Context, name string, old, b []byte) error {
	if err := m.begin(ctx, "put", name); err != nil {
		return err
	}
	defer m.mu.Unlock()
	now, ok := m.files[name]
	switch {
	case old == nil && ok, old != nil && ok && !bytes.Equal(now, old):
		return fs.ErrExist
	case old != nil && !ok:
		return fs.ErrNotExist
	}
	m.files[name] = bytes.Clone(b)
	return nil
}

func (m *memoryShelf) Remove(ctx context.Context, name string) error {
	if err := m.begin(ctx, "remove", name); err != nil {
		return err
	}
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

// List is the list of one instant.
func (m *memoryShelf) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := m.begin(ctx, "list", prefix); err != nil {
			yield("", err)
			return
		}
		names := slices.Collect(maps.Keys(m.files))
		m.mu.Unlock()
		for _, name := range names {
			if strings.HasPrefix(name, prefix) && !yield(name, nil) {
				return
			}
		}
	}
}

func (m *memoryShelf) setAway(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func (m *memoryShelf) set(at func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = at
}

func (m *memoryShelf) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// has tells whether something that ends so lies on the shelf.
func (m *memoryShelf) has(suffix string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// machine opens the keys of one of several machines, which have a copy of the key-encryption key.
func machine(t testing.TB, shelf seal.Shelf, dir, name string) *seal.Keys {
	t.Helper()
	kek, err := seal.LocalFile(filepath.Join(dir, "secret", "kek.txt"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenShared(t.Context(), shelf, filepath.Join(dir, name), kek)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func settle(t testing.TB, keys *seal.Keys, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := keys.Settle(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func wantGet(t testing.TB, keys *seal.Keys, id string, want error) {
	t.Helper()
	if _, err := keys.Get(t.Context(), id); !errors.Is(err, want) {
		t.Errorf("Get of %s: %v, want %v", id, err, want)
	}
}

// TestSharedKeys: what one machine has settled the other reads, and what one destroys is gone for both.
func TestSharedKeys(t *testing.T) {
	ctx, dir, shelf := t.Context(), t.TempDir(), newMemoryShelf()
	a, b := machine(t, shelf, dir, "a"), machine(t, shelf, dir, "b")
	key := create(t, a, "one")
	wantGet(t, a, "one", nil)
	wantGet(t, b, "one", seal.ErrNotFound)
	if got := list(t, a); !slices.Equal(got, []string{"one"}) {
		t.Errorf("List: %q", got)
	}
	s, err := a.Status(ctx)
	if err != nil || s.Waiting != 1 {
		t.Errorf("status %+v, %v", s, err)
	}
	for range 2 {
		settle(t, a, "one")
	}
	if exists(a.Path("one", ".age")) || exists(a.Path("one", ".sent")) {
		t.Error("the key is still on the machine")
	}
	for _, each := range []*seal.Keys{a, b} {
		openable(t, each, map[string]string{"one": key.Recipient()})
		if got := list(t, each); !slices.Equal(got, []string{"one"}) {
			t.Errorf("List: %q", got)
		}
	}
	if err := b.Destroy(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	for _, each := range []*seal.Keys{a, b, machine(t, shelf, dir, "a")} {
		wantGet(t, each, "one", seal.ErrDestroyed)
		if got := list(t, each); len(got) != 0 {
			t.Errorf("List: %q", got)
		}
		for tomb, err := range each.Destroyed(ctx) {
			if tomb.ID != "one" || err != nil {
				t.Errorf("Destroyed: %+v, %v", tomb, err)
			}
		}
	}
	if shelf.has("one.age") {
		t.Error("the key is still on the shelf")
	}
	// Another machine destroys what has not been settled.
	create(t, a, "two")
	if err := b.Destroy(ctx, "two"); err != nil {
		t.Fatal(err)
	}
	wantGet(t, a, "two", seal.ErrDestroyed)
	if err := a.Settle(ctx, "two"); !errors.Is(err, seal.ErrDestroyed) || exists(a.Path("two", ".age")) {
		t.Errorf("Settle: %v", err)
	}
	other, err := seal.LocalFile(filepath.Join(dir, "other.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenShared(ctx, shelf, filepath.Join(dir, "c"), other); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("with another key-encryption key: %v", err)
	}
}

// TestSharedKeysWithoutShelf: while the shelf is away keys are made, read on their own machine, and destroyed if they never left it.
func TestSharedKeysWithoutShelf(t *testing.T) {
	ctx, dir, shelf := t.Context(), t.TempDir(), newMemoryShelf()
	a, b := machine(t, shelf, dir, "a"), machine(t, shelf, dir, "b")
	create(t, a, "old")
	settle(t, a, "old")
	shelf.setAway(true)
	a = machine(t, shelf, dir, "a") // it starts without the shelf
	create(t, a, "kept")
	create(t, a, "discarded")
	asked := shelf.requests()
	if err := a.Destroy(ctx, "discarded"); err != nil {
		t.Errorf("Destroy of what never left: %v", err)
	}
	if shelf.requests() != asked {
		t.Error("the shelf was asked about it")
	}
	wantGet(t, a, "discarded", seal.ErrDestroyed)
	wantGet(t, a, "kept", nil)
	wantGet(t, a, "old", seal.ErrUnavailable)
	for _, err := range []error{a.Settle(ctx, "kept"), a.Destroy(ctx, "old"), a.Check(ctx), a.Sweep(ctx), a.Clean(ctx)} {
		if !errors.Is(err, seal.ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
	}
	wantGet(t, a, "old", seal.ErrDestroyed) // here it is refused at once
	if err := a.Destroy(ctx, "kept"); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Destroy of what may have left: %v, want ErrUnavailable", err)
	}
	if exists(a.Path("kept", ".age")) {
		t.Error("its key is still on the machine")
	}
	shelf.setAway(false)
	wantGet(t, b, "old", nil) // nobody has said that it is done
	for _, id := range []string{"old", "kept"} {
		if err := a.Destroy(ctx, id); err != nil { // repeated, as by who was told that it had failed
			t.Error(err)
		}
		wantGet(t, b, id, seal.ErrDestroyed)
	}
	if err := a.Sweep(ctx); err != nil {
		t.Error(err)
	}
	if shelf.has("discarded.destroyed") {
		t.Error("the shelf knows of what never left")
	}
}

// TestSharedRestore: a copy of the shelf that is put back brings nothing back, nor does one of the machine's directory.
func TestSharedRestore(t *testing.T) {
	ctx, dir, shelf := t.Context(), t.TempDir(), newMemoryShelf()
	a := machine(t, shelf, dir, "a")
	create(t, a, "one")
	waiting := read(t, a.Path("one", ".age"))
	settle(t, a, "one")
	backup := maps.Clone(shelf.files)
	if err := a.Destroy(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	maps.Copy(shelf.files, backup) // the key is there again, and the tombstone is too
	write(t, a.Path("one", ".age"), waiting)
	for _, name := range []string{"a", "b"} {
		each := machine(t, shelf, dir, name)
		wantGet(t, each, "one", seal.ErrDestroyed)
		if err := errors.Join(each.Sweep(ctx), each.Clean(ctx)); err != nil {
			t.Error(err)
		}
		if shelf.has("one.age") || exists(each.Path("one", ".age")) {
			t.Error("the key is there again")
		}
	}
	shelf.files = backup // the tombstone is gone as well: only an audit log knows
	if err := a.Destroy(ctx, "one"); err != nil {
		t.Error(err)
	}
	wantGet(t, machine(t, shelf, dir, "b"), "one", seal.ErrDestroyed)
	if shelf.has("one.age") {
		t.Error("the key is there again")
	}
}

// TestMove brings a directory of keys to a shared shelf; it is cut off at each step.
func TestMove(t *testing.T) {
	ctx := t.Context()
	for cut := 0; ; cut++ {
		dir, shelf := t.TempDir(), newMemoryShelf()
		keys, want := newKeys(t, dir), map[string]string{}
		for i := range 4 {
			id := fmt.Sprint("key-", i)
			want[id] = create(t, keys, id).Recipient()
		}
		if err := keys.Destroy(ctx, "key-0"); err != nil {
			t.Fatal(err)
		}
		delete(want, "key-0")
		moving := machine(t, shelf, dir, "keys")
		openable(t, moving, want) // before anything is moved
		step := 0
		shelf.set(func(string, string) error {
			if step++; step > cut {
				return seal.ErrStep
			}
			return nil
		})
		_, err := moving.Move(ctx, nil)
		shelf.set(nil)
		done := err == nil
		if !done && !errors.Is(err, seal.ErrStep) {
			t.Fatal(err)
		}
		moving = machine(t, shelf, dir, "keys")
		openable(t, moving, want)
		if _, err := moving.Move(ctx, nil); err != nil {
			t.Fatal(err)
		}
		other := machine(t, shelf, dir, "other")
		openable(t, other, want)
		wantGet(t, other, "key-0", seal.ErrDestroyed)
		if left, err := filepath.Glob(filepath.Join(dir, "keys", "*", "*.age")); err != nil || len(left) > 0 {
			t.Errorf("cut at %d: left: %q, %v", cut, left, err)
		}
		if done {
			break
		}
	}
	if _, err := newKeys(t, t.TempDir()).Move(ctx, nil); err == nil || !strings.Contains(err.Error(), "keys.store") {
		t.Errorf("Move without a shelf: %v", err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzParseName: a name stands for an id, or for nothing.
func FuzzParseName(f *testing.F) {
	for _, name := range []string{seal.FileName("one", ".age"), seal.FileName("two", ".destroyed"), seal.MemberName("0123456789abcdef"), "check.age", "greffier-probe/x", "ab/../x.age", "/", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, suffix := range []string{".age", ".destroyed", ".sent"} {
			if id := seal.ParseName(name, suffix); id != "" && (seal.FileName(id, suffix) != name || seal.CheckID(id) != nil) {
				t.Errorf("%q stands for %q", name, id)
			}
		}
		if id := seal.ParseMemberName(name); id != "" && seal.MemberName(id) != name {
			t.Errorf("%q stands for member %q", name, id)
		}
	})
}
