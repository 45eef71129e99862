package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// keptOf lists whose facts are kept.
func keptOf(t *testing.T, c *catalog.Catalog) (ids []string) {
	t.Helper()
	for f, err := range c.Facts(t.Context(), time.Unix(0, 0)) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, f.ID)
	}
	return ids
}

// TestFactsGoWithTheirRecording: whatever takes a recording out of use deletes the facts that it was decided by, at once and for no other.
func TestFactsGoWithTheirRecording(t *testing.T) { onBoth(t, testFactsGoWithTheirRecording) }

func testFactsGoWithTheirRecording(t *testing.T, b backend) {
	at := time.Now().UTC().Truncate(time.Millisecond)
	doom := catalog.Doom{ID: "02", Reason: "objected", At: at}
	for name, test := range map[string]struct {
		do   func(c *catalog.Catalog) error
		want []string
	}{
		"deleted facts":   {func(c *catalog.Catalog) error { return c.DeleteFacts(t.Context(), "02") }, []string{"01", "03"}},
		"condemned":       {func(c *catalog.Catalog) error { return c.Condemn(t.Context(), doom) }, []string{"01", "03"}},
		"forgotten":       {func(c *catalog.Catalog) error { return c.Forget(t.Context(), "02") }, []string{"01", "03"}},
		"taken out":       {func(c *catalog.Catalog) error { return c.Delete(t.Context(), "02") }, []string{"01", "03"}},
		"never taken in":  {func(c *catalog.Catalog) error { return ignoreNotFound(c.Delete(t.Context(), "03")) }, []string{"01", "02"}},
		"only doomed yet": {func(c *catalog.Catalog) error { return c.DoomFrom(t.Context(), doom) }, []string{"01", "02", "03"}},
		"held": {func(c *catalog.Catalog) error {
			hold(t, c, "a", nil)
			held := catalog.Held{Recording: "02", Hold: "a", State: catalog.HoldPlacing, Since: at}
			if ok, err := c.HoldRecording(t.Context(), held, false); err != nil || !ok {
				t.Fatalf("held %v, %v", ok, err)
			}
			if err := c.Condemn(t.Context(), doom); !errors.Is(err, catalog.ErrHeld) {
				t.Errorf("condemned: %v", err)
			}
			return nil
		}, []string{"01", "02", "03"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t, b.fresh(t))
			put(t, c, full("01"))
			put(t, c, full("02"))
			for _, id := range []string{"01", "02", "03"} {
				if err := c.PutFacts(t.Context(), catalog.Facts{ID: id, At: at, Until: at.Add(time.Hour), Sealed: []byte("sealed")}); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.do(c); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, keptOf(t, c)); diff != "" {
				t.Errorf("facts are kept of others (-want +got):\n%s", diff)
			}
		})
	}
}

func ignoreNotFound(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	return err
}

// TestFactsEnd: facts are read until their time is over, the oldest first, and then deleted.
func TestFactsEnd(t *testing.T) { onBoth(t, testFactsEnd) }

func testFactsEnd(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	now := time.Now().UTC().Truncate(time.Millisecond)
	for id, until := range map[string]time.Duration{"01": -time.Minute, "02": time.Hour, "03": 2 * time.Hour} {
		f := catalog.Facts{ID: id, At: now.Add(until - 3*time.Hour), Until: now.Add(until), Sealed: []byte(id)}
		if err := c.PutFacts(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"02", "03"}, keptOf(t, c)); diff != "" {
		t.Errorf("facts are read of others (-want +got):\n%s", diff)
	}
	if n, err := c.DropFacts(t.Context(), now); err != nil || n != 1 {
		t.Errorf("%d are dropped, %v", n, err)
	}
	if n, err := c.DropFacts(t.Context(), now.Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d are dropped an hour later, %v", n, err)
	}
	if diff := cmp.Diff([]string{"03"}, keptOf(t, c)); diff != "" {
		t.Errorf("facts are left of others (-want +got):\n%s", diff)
	}
	if err := c.PutFacts(t.Context(), catalog.Facts{ID: "04", At: now, Until: now}); err == nil {
		t.Error("facts without an end are kept")
	}
}
