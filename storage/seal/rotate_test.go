package seal_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// rotate does all of a rotation.
func rotate(t testing.TB, keys *seal.Keys) (seal.Rotation, seal.Rotated) {
	t.Helper()
	r, err := keys.BeginRotation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, err := keys.Rotate(t.Context(), r, nil)
	if err != nil || done.Failed > 0 {
		t.Fatalf("Rotate: %+v, %v, %v", done, done.Err, err)
	}
	return r, done
}

func openable(t *testing.T, keys *seal.Keys, want map[string]string) {
	t.Helper()
	for id, recipient := range want {
		if got, err := keys.Get(t.Context(), id); err != nil || got.Recipient() != recipient {
			t.Errorf("Get %s: %v, or another key", id, err)
		}
	}
}

func TestRotateLocalFile(t *testing.T) {
	dir := t.TempDir()
	kek := filepath.Join(dir, "secret", "kek.txt")
	keys := newKeys(t, dir)
	want := map[string]string{}
	for i := range 20 {
		id := fmt.Sprint("key-", i)
		want[id] = create(t, keys, id).Recipient()
	}
	if err := keys.Destroy(t.Context(), "key-3"); err != nil {
		t.Fatal(err)
	}
	delete(want, "key-3")
	old, err := os.ReadFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	running := newKeys(t, dir) // another process, which has the old one in memory
	if err := keys.Retire(t.Context(), []string{"0123456789abcdef"}); err != nil {
		t.Errorf("an id that nobody knows: %v", err)
	}
	ids, err := keys.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Retire(t.Context(), ids.KEKs); err == nil {
		t.Error("the only key-encryption key was retired")
	}
	r, done := rotate(t, keys)
	if done.Rewrapped != 20 || done.Already != 0 || !slices.Equal(r.From, ids.KEKs) { // 19 and the check
		t.Errorf("%+v, %+v", r, done)
	}
	want["meanwhile"] = create(t, running, "meanwhile").Recipient()
	openable(t, running, want)
	s, err := keys.Status(t.Context())
	if err != nil || len(s.Wrapped) != 1 || s.Wrapped[r.To] != 21 || s.Rotation != nil {
		t.Errorf("status %+v, %v", s, err)
	}
	if err := keys.Retire(t.Context(), r.From); err != nil {
		t.Fatal(err)
	}
	openable(t, running, want)
	openable(t, newKeys(t, dir), want)
	// The old one alone opens nothing any more, and the new file holds none of it.
	secret := old[strings.LastIndex(string(old), "AGE-SECRET"):]
	if now, err := os.ReadFile(kek); err != nil || strings.Contains(string(now), strings.TrimSpace(string(secret))) {
		t.Errorf("the old key-encryption key is still there: %v", err)
	}
	write(t, kek, old)
	other, err := seal.LocalFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenKeys(t.Context(), filepath.Join(dir, "keys"), other); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("with the old key-encryption key: %v, want ErrWrongKey", err)
	}
}

// TestRotationIsCutOff crashes a rotation at each of its steps: every key opens at any time, and the next run ends it.
func TestRotationIsCutOff(t *testing.T) {
	const n = 4
	for cut := range 1 + 2*(n+1) + 1 { // renewed; written and swapped for each key and the check; rewrapped
		dir := t.TempDir()
		keys, want := newKeys(t, dir), map[string]string{}
		for i := range n {
			id := fmt.Sprint("key-", i)
			want[id] = create(t, keys, id).Recipient()
		}
		step, at := 0, ""
		keys.CutAt(func(name string) bool {
			step++
			if step == cut+1 {
				at = name
			}
			return step > cut
		})
		r, err := keys.BeginRotation(t.Context())
		if err == nil {
			_, err = keys.Rotate(t.Context(), r, nil)
		}
		if !errors.Is(err, seal.ErrStep) || at == "" {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		keys = newKeys(t, dir)
		openable(t, keys, want)
		if err := keys.Destroy(t.Context(), "key-0"); err != nil {
			t.Fatal(err)
		}
		delete(want, "key-0")
		want["new"] = create(t, keys, "new").Recipient()
		again, _ := rotate(t, keys)
		if cut > 0 && again.To != r.To {
			t.Errorf("cut at %s: another key-encryption key was made: %s after %s", at, again.To, r.To)
		}
		if err := keys.Retire(t.Context(), again.From); err != nil {
			t.Errorf("cut at %s: %v", at, err)
		}
		openable(t, newKeys(t, dir), want)
		err = filepath.WalkDir(filepath.Join(dir, "keys"), func(path string, _ fs.DirEntry, err error) error {
			if strings.Contains(path, ".new-") || strings.HasSuffix(path, "key-0.age") {
				t.Errorf("cut at %s: %s is left", at, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestRotationBesideCalls: keys are made and destroyed all the while, and none is left under the old key-encryption key.
func TestRotationBesideCalls(t *testing.T) {
	dir := t.TempDir()
	keys, running := newKeys(t, dir), newKeys(t, dir)
	for i := range 50 {
		create(t, keys, fmt.Sprint("old-", i))
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 50 {
			create(t, running, fmt.Sprint("new-", i))
			if err := running.Destroy(t.Context(), fmt.Sprint("old-", i)); err != nil {
				t.Error(err)
			}
		}
	})
	r, _ := rotate(t, keys)
	all.Wait()
	if err := keys.Retire(t.Context(), r.From); err != nil {
		t.Error(err)
	}
	fresh := newKeys(t, dir)
	if got := list(t, fresh); len(got) != 50 {
		t.Errorf("%d keys, want 50", len(got))
	}
	for i := range 50 {
		if _, err := fresh.Get(t.Context(), fmt.Sprint("new-", i)); err != nil {
			t.Error(err)
		}
	}
}

// TestFromFileToVaultAndBack moves a directory of keys from a file to a service, to another key of it, and back.
func TestFromFileToVaultAndBack(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	v.Rotate("transit/second")
	first, second := vaultService(t, v, vaultKey), vaultService(t, v, "transit/second")
	keysDir, kek := filepath.Join(dir, "keys"), filepath.Join(dir, "secret", "kek.txt")
	want := map[string]string{"one": create(t, newKeys(t, dir), "one").Recipient()}
	open := func(services []seal.Service, local bool) *seal.Keys {
		t.Helper()
		var all seal.Several
		if len(services) > 0 {
			ring, err := seal.OpenRing(keysDir, services...)
			if err != nil {
				t.Fatal(err)
			}
			if err := ring.Keep(t.Context()); err != nil {
				t.Fatal(err)
			}
			all = append(all, ring)
		}
		if local {
			file, err := seal.LocalFile(kek)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, file)
		}
		keys, err := seal.OpenKeys(t.Context(), keysDir, all)
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	keys := open([]seal.Service{first}, true)
	want["two"] = create(t, keys, "two").Recipient()
	openable(t, keys, want)
	v.Fail(http.StatusServiceUnavailable)
	if _, err := keys.BeginRotation(t.Context()); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("rotation while the service is away: %v", err)
	}
	v.Fail(0)
	r, _ := rotate(t, keys)
	if err := keys.Retire(t.Context(), r.From); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kek); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	openable(t, open([]seal.Service{first}, false), want)

	keys = open([]seal.Service{second, first}, false)
	r, _ = rotate(t, keys)
	if err := keys.Retire(t.Context(), r.From); err != nil {
		t.Fatal(err)
	}
	v.Forget(vaultKey)
	openable(t, open([]seal.Service{second}, false), want)

	file, err := seal.LocalFile(kek)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.OpenRing(keysDir, second)
	if err != nil {
		t.Fatal(err)
	}
	keys, err = seal.OpenKeys(t.Context(), keysDir, seal.Several{file, ring})
	if err != nil {
		t.Fatal(err)
	}
	r, _ = rotate(t, keys)
	if err := keys.Retire(t.Context(), r.From); err != nil {
		t.Fatal(err)
	}
	v.Forget("transit/second")
	openable(t, open(nil, true), want)
}

func FuzzParseRotation(f *testing.F) {
	f.Add([]byte(`{"version":1,"started":"2026-11-28T10:00:00Z","to":"0123456789abcdef","from":["fedcba9876543210"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := seal.ParseRotation(b); err != nil && !errors.Is(err, seal.ErrDamaged) {
			t.Errorf("%v", err)
		}
	})
}
