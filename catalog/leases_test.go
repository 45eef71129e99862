package catalog_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
)

// TestLease: one holder at a time, until it gives the lease back or its time has passed.
func TestLease(t *testing.T) { onBoth(t, testLease) }

func testLease(t *testing.T, backend backend) {
	place := backend.fresh(t)
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	open := func() *catalog.Catalog {
		c, err := place.open()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.WithClock(func() time.Time { return now })
	}
	a, b := open(), open()
	lease := func(c *catalog.Catalog, name, holder string, want bool) {
		t.Helper()
		if got, err := c.Lease(t.Context(), name, holder, time.Minute); err != nil || got != want {
			t.Errorf("%s asks for %s: %t, %v", holder, name, got, err)
		}
	}
	lease(a, "sweep", "a", true)
	lease(b, "sweep", "b", false)
	lease(b, "verify", "b", true) // another thing
	now = now.Add(40 * time.Second)
	lease(a, "sweep", "a", true) // longer
	now = now.Add(40 * time.Second)
	lease(b, "sweep", "b", false)
	now = now.Add(20*time.Second - time.Millisecond)
	lease(b, "sweep", "b", false)
	now = now.Add(time.Millisecond) // a has died
	lease(b, "sweep", "b", true)
	lease(a, "sweep", "a", false)
	if err := a.EndLease(t.Context(), "sweep", "a"); err != nil { // it is b's
		t.Error(err)
	}
	lease(a, "sweep", "a", false)
	if err := b.EndLease(t.Context(), "sweep", "b"); err != nil {
		t.Error(err)
	}
	lease(a, "sweep", "a", true)
	for _, bad := range [][2]string{{"", "a"}, {"sweep", ""}} {
		if ok, err := a.Lease(t.Context(), bad[0], bad[1], time.Minute); err == nil || ok {
			t.Errorf("lease of %q: %t, %v", bad, ok, err)
		}
	}
}

// TestLeaseRaces: of many that ask at the same time, one is the holder.
func TestLeaseRaces(t *testing.T) { onBoth(t, testLeaseRaces) }

func testLeaseRaces(t *testing.T, b backend) {
	c, err := b.fresh(t).open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round := range 20 {
		var got atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				ok, err := c.Lease(t.Context(), fmt.Sprint(round), fmt.Sprint(i), time.Minute)
				if err != nil {
					t.Error(err)
				}
				if ok {
					got.Add(1)
				}
			})
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Errorf("%d hold it", got.Load())
		}
	}
}
