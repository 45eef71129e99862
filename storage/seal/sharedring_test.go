package seal_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// ringMachine opens one of several machines, whose key-encryption key a service keeps.
func ringMachine(t testing.TB, shelf seal.Shelf, dir string, service seal.Service) (*seal.Ring, *seal.Keys) {
	t.Helper()
	ring, err := seal.OpenSharedRing(shelf, dir, service)
	if err == nil {
		err = ring.Begin(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenShared(t.Context(), shelf, dir, ring)
	if err != nil {
		t.Fatal(err)
	}
	return ring, keys
}

// TestSharedRing: machines wrap by one ring, go on without the shelf and without the service, and what one of them still has to settle
// survives that another retires what wrapped it.
func TestSharedRing(t *testing.T) {
	ctx, dir, shelf, v := t.Context(), t.TempDir(), newMemoryShelf(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	ringA, a := ringMachine(t, shelf, filepath.Join(dir, "a"), service)
	ringB, b := ringMachine(t, shelf, filepath.Join(dir, "b"), service)
	want := map[string]string{"shared": create(t, a, "shared").Recipient()}
	settle(t, a, "shared")
	openable(t, b, want)
	first, err := ringB.IDs(ctx)
	if err != nil || len(first) != 1 {
		t.Fatalf("ring %q, %v: want one member for both", first, err)
	}

	v.Fail(http.StatusServiceUnavailable)
	shelf.setAway(true)
	_, started := ringMachine(t, shelf, filepath.Join(dir, "b"), service)
	want["alone"] = create(t, started, "alone").Recipient() // neither is there
	if err := ringB.Keep(ctx); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Keep without the shelf: %v", err)
	}
	v.Fail(0)
	shelf.setAway(false)

	// A day later the ring turns; b has not heard of it yet.
	ringA.SetClock(func() time.Time { return time.Now().Add(seal.RenewAfter) })
	if err := ringA.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	rotate(t, a)
	s, err := a.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want["late"] = create(t, b, "late").Recipient()
	if err := a.Retire(ctx, s.KEKs[1:]); err != nil {
		t.Fatal(err)
	}
	_, b = ringMachine(t, shelf, filepath.Join(dir, "b"), service) // with an empty memory
	settle(t, b, "alone", "late")
	for _, keys := range []*seal.Keys{a, b} {
		openable(t, keys, want)
	}
	if s, err := a.Status(ctx); err != nil || len(s.KEKs) != 1 || len(s.Wrapped) != 1 || s.Wrapped[s.KEKs[0]] != 4 {
		t.Errorf("status %+v, %v: want three keys and the check by the member of today", s, err)
	}
	member := filepath.Join(dir, "b", "ring", first[0]+".json")
	if !exists(member) {
		t.Error("the former member is gone from the machine that needed it: the test did not test it")
	}
	ringB.SetClock(time.Now)
	if err := ringB.Keep(ctx); err != nil || exists(member) {
		t.Errorf("Keep: %v; the former member is there: %t", err, exists(member))
	}
}

// TestRingTurnsOnce: of machines that see the day end at the same time one makes the member.
func TestRingTurnsOnce(t *testing.T) {
	ctx, dir, shelf, v := t.Context(), t.TempDir(), newMemoryShelf(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	var rings []*seal.Ring
	for _, name := range []string{"a", "b", "c"} {
		ring, _ := ringMachine(t, shelf, filepath.Join(dir, name), service)
		ring.SetClock(func() time.Time { return time.Now().Add(seal.RenewAfter) })
		rings = append(rings, ring)
	}
	// The last to write the member that wraps finds another there.
	var all sync.WaitGroup
	ready := make(chan struct{})
	waiting := 0
	var mu sync.Mutex
	shelf.set(func(op, name string) error {
		if op == "put" && name == "ring/current" {
			mu.Lock()
			if waiting++; waiting == len(rings) {
				close(ready)
			}
			mu.Unlock()
			<-ready
		}
		return nil
	})
	for _, ring := range rings {
		all.Go(func() {
			if _, err := ring.Renew(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	shelf.set(nil)
	for _, ring := range rings {
		if ids, err := ring.IDs(ctx); err != nil || len(ids) != 2 {
			t.Errorf("ring %q, %v: want the first, and one new member", ids, err)
		}
	}
}
