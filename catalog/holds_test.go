package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// hold puts a hold of the recordings that it is given, or of what a query finds.
func hold(t *testing.T, c *catalog.Catalog, name string, query *catalog.Query) catalog.Hold {
	t.Helper()
	h := catalog.Hold{Name: name, Query: query, Reason: "Case 1", By: "eve", At: start}
	if err := c.PutHold(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHolds: holds and their queries are read as they were put, and what has ended stays in the list.
func TestHolds(t *testing.T) { onBoth(t, testHolds) }

func testHolds(t *testing.T, b backend) {
	at := b.fresh(t)
	c := open(t, at)
	rule := hold(t, c, "a", &catalog.Query{Number: "+3361", From: start, ByLoss: true, LossAbove: 0.5})
	named := hold(t, c, "b", nil)
	named.Ended = start.Add(time.Hour)
	if err := c.PutHold(t.Context(), named); err != nil {
		t.Fatal(err)
	}
	if err := c.PutHold(t.Context(), catalog.Hold{Name: "c", At: start}); err == nil {
		t.Error("a hold without a reason was put")
	}
	c = open(t, at)
	if got, err := c.Holds(t.Context()); err != nil || !cmp.Equal(got, []catalog.Hold{rule, named}) {
		t.Errorf("holds are %+v, %v", got, err)
	}
}

// TestHeldIsNotCondemned: of hold and condemnation the first wins, and a hold of what is not stored yet takes effect when it is.
func TestHeldIsNotCondemned(t *testing.T) { onBoth(t, testHeldIsNotCondemned) }

func testHeldIsNotCondemned(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	ctx := t.Context()
	hold(t, c, "a", nil)
	row := full("01")
	row.State = catalog.StateFinishing
	put(t, c, row, full("02"))
	doom := catalog.Doom{ID: "01", Reason: "expired", At: start}
	place := func(id string, again bool) (bool, error) {
		return c.HoldRecording(ctx, catalog.Held{Recording: id, Hold: "a", State: catalog.HoldPlacing, Since: start}, again)
	}
	if held, err := place("01", false); err != nil || !held {
		t.Fatalf("held %v, %v", held, err)
	}
	if held, err := place("01", true); err != nil || held {
		t.Errorf("held again %v, %v", held, err)
	}
	put(t, c, full("01"))
	if err := c.Condemn(ctx, doom); !errors.Is(err, catalog.ErrHeld) {
		t.Errorf("what is held was condemned: %v", err)
	}
	if err := c.Supersede(ctx, full("03"), doom); !errors.Is(err, catalog.ErrHeld) {
		t.Errorf("what is held was superseded: %v", err)
	}
	if _, err := c.Get(ctx, "03"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("what was to take its place is there: %v", err)
	}
	term := full("01").RetainUntil
	for _, want := range []int{1, 2} { // held, and lifted
		if rows, err := c.List(ctx, catalog.Query{TermBy: term}); err != nil || len(rows) != want {
			t.Errorf("%d terms have ended, %v, want %d", len(rows), err, want)
		}
		if want == 1 {
			lifted := catalog.Held{Recording: "01", Hold: "a", State: catalog.HoldLifted, Since: start.Add(time.Hour)}
			if err := c.SetHeld(ctx, lifted); err != nil {
				t.Fatal(err)
			}
		}
	}
	if held, err := place("01", false); err != nil || held {
		t.Errorf("what was let go is held again: %v, %v", held, err)
	}
	later := doom
	later.At = start.Add(time.Hour)
	for _, d := range []catalog.Doom{later, doom} { // the earlier counts
		if err := c.Condemn(ctx, d); err != nil {
			t.Fatal(err)
		}
	}
	if d, doomed, err := c.DoomOf(ctx, "01"); err != nil || !doomed || !d.At.Equal(start) {
		t.Errorf("doomed %v, %v, %v", d, doomed, err)
	}
	if _, err := place("01", true); !errors.Is(err, catalog.ErrDoomed) {
		t.Errorf("what is condemned was held: %v", err)
	}
	if list, err := c.HoldsOf(ctx, "01"); err != nil || len(list) != 0 {
		t.Errorf("it is under %v, %v", list, err)
	}
}

// TestUnsettled: what is being placed or lifted is found again, and what a hold that has ended has not let go.
func TestUnsettled(t *testing.T) { onBoth(t, testUnsettled) }

func testUnsettled(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	ctx := t.Context()
	h := hold(t, c, "a", nil)
	hold(t, c, "b", nil)
	for id, state := range map[string]catalog.HoldState{"01": catalog.HoldPlacing, "02": catalog.HoldPlaced, "03": catalog.HoldLifting, "04": catalog.HoldLifted} {
		if err := c.SetHeld(ctx, catalog.Held{Recording: id, Hold: "a", State: state, Since: start}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetHeld(ctx, catalog.Held{Recording: "05", Hold: "c", State: catalog.HoldPlaced, Since: start}); err == nil {
		t.Error("held by a hold that is not there")
	}
	unsettled := func(want ...string) {
		t.Helper()
		list, err := c.Unsettled(ctx)
		var got []string
		for _, x := range list {
			got = append(got, x.Recording)
		}
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("unsettled are %v, %v, want %v", got, err, want)
		}
	}
	unsettled("01", "03")
	h.Ended = start
	if err := c.PutHold(ctx, h); err != nil {
		t.Fatal(err)
	}
	unsettled("01", "02", "03")
	if list, err := c.HeldBy(ctx, "a"); err != nil || len(list) != 4 || list[1].Reason != "Case 1" || !list[1].Over {
		t.Errorf("held by it are %+v, %v", list, err)
	}
	if one, err := c.HeldUnder(ctx, "03", "a"); err != nil || one.State != catalog.HoldLifting {
		t.Errorf("held under it is %+v, %v", one, err)
	}
	if none, err := c.HeldUnder(ctx, "03", "b"); err != nil || none.State != "" {
		t.Errorf("held under another is %+v, %v", none, err)
	}
	if err := c.LiftAll(ctx, "02", start); err != nil {
		t.Fatal(err)
	}
	unsettled("01", "03")
}

// TestErasures: one request about each recording, the last.
func TestErasures(t *testing.T) { onBoth(t, testErasures) }

func testErasures(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	ctx := t.Context()
	first := catalog.Erasure{Recording: "01", Reason: "request 12", State: catalog.ErasureRequested, AskedBy: "eve", AskedAt: start}
	decided := first
	decided.State, decided.DecidedBy, decided.DecidedAt = catalog.ErasureApproved, "bob", start.Add(time.Hour)
	for _, e := range []catalog.Erasure{first, decided} {
		if err := c.PutErasure(ctx, e); err != nil {
			t.Fatal(err)
		}
		if got, err := c.ErasureOf(ctx, "01"); err != nil || got != e {
			t.Errorf("erasure is %+v, %v, want %+v", got, err, e)
		}
	}
	if err := c.PutErasure(ctx, catalog.Erasure{Recording: "02"}); err == nil {
		t.Error("a request of nobody was put")
	}
	for state, want := range map[catalog.ErasureState]int{"": 1, catalog.ErasureApproved: 1, catalog.ErasureRequested: 0} {
		if list, err := c.Erasures(ctx, state); err != nil || len(list) != want {
			t.Errorf("%q: %d requests, %v, want %d", state, len(list), err, want)
		}
	}
	if _, err := c.ErasureOf(ctx, "02"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a request that nobody made: %v", err)
	}
}

// TestRestrictions: the first reason stays until the restriction ends.
func TestRestrictions(t *testing.T) { onBoth(t, testRestrictions) }

func testRestrictions(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	ctx := t.Context()
	want := catalog.Restriction{Recording: "01", Reason: "accuracy is contested", By: "eve", At: start}
	for _, r := range []catalog.Restriction{want, {Recording: "01", Reason: "another", By: "bob", At: start}} {
		if err := c.Restrict(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if got, restricted, err := c.RestrictionOf(ctx, "01"); err != nil || !restricted || got != want {
		t.Errorf("restricted %v: %+v, %v", restricted, got, err)
	}
	if err := c.Restrict(ctx, catalog.Restriction{Recording: "01", At: start}); err == nil {
		t.Error("restricted without a reason")
	}
	if err := c.Unrestrict(ctx, "01"); err != nil {
		t.Fatal(err)
	}
	if _, restricted, err := c.RestrictionOf(ctx, "01"); err != nil || restricted {
		t.Errorf("restricted %v, %v", restricted, err)
	}
}
