package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// TestDoomed: the list survives a restart, the first reason stays, and another recording takes a doomed one's place at once.
func TestDoomed(t *testing.T) { onBoth(t, testDoomed) }

func testDoomed(t *testing.T, b backend) {
	at := b.fresh(t)
	c := open(t, at)
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	for _, err := range []error{
		c.Doom(t.Context(), "01", "objected"), c.Doom(t.Context(), "01", "quota_over"), c.DoomFrom(t.Context(), catalog.Doom{ID: "02", Reason: "unfinished", At: later}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Doom(t.Context(), "03", ""); err == nil {
		t.Error("doomed without a reason")
	}
	c = open(t, at)
	list, err := c.Doomed(t.Context())
	if err != nil || len(list) != 2 || list[0].ID != "01" || list[0].Reason != "objected" || !list[1].At.Equal(later) {
		t.Fatalf("doomed are %v, %v", list, err)
	}
	put(t, c, full("01"))
	if err := c.Supersede(t.Context(), full("02"), catalog.Doom{ID: "01", Reason: "redacted", At: later}); err != nil {
		t.Fatal(err)
	}
	if _, doomed, err := c.DoomOf(t.Context(), "02"); err != nil || doomed {
		t.Errorf("what took the place is doomed: %v, %v", doomed, err)
	}
	if d, doomed, err := c.DoomOf(t.Context(), "01"); err != nil || !doomed || d.Reason != "objected" {
		t.Errorf("the other is doomed: %v, %v, %v", d, doomed, err)
	}
	if err := errors.Join(c.Undoom(t.Context(), "01"), c.Undoom(t.Context(), "01"), c.Forget(t.Context(), "02"), c.Forget(t.Context(), "02")); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Doomed(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("doomed are %v, %v", list, err)
	}
	if n, err := c.Count(t.Context(), catalog.Query{}); err != nil || n != 1 {
		t.Errorf("%d recordings, %v", n, err)
	}
}

// TestReviews: one works at a time, for so long; what was released stays released.
func TestReviews(t *testing.T) { onBoth(t, testReviews) }

func testReviews(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	occupy := func(now time.Time, want bool) {
		t.Helper()
		if got, err := c.Occupy(t.Context(), "01", now, now.Add(time.Minute)); err != nil || got != want {
			t.Errorf("occupied at %v: %v, %v", now, got, err)
		}
	}
	occupy(start, true)
	occupy(start.Add(59*time.Second), false)
	occupy(start.Add(time.Minute), true)
	if err := c.Vacate(t.Context(), "01"); err != nil {
		t.Fatal(err)
	}
	occupy(start, true)
	if err := errors.Join(c.Release(t.Context(), "01", start), c.Release(t.Context(), "01", start.Add(time.Hour)), c.Release(t.Context(), "02", start)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]catalog.Review{"01": {BusyUntil: start.Add(time.Minute), ReleasedAt: start}, "02": {ReleasedAt: start}, "03": {}} {
		if got, err := c.ReviewOf(t.Context(), id); err != nil || !cmp.Equal(got, want) {
			t.Errorf("review of %s: %v, %v", id, got, err)
		}
	}
}

// TestTerms: what ends next, what is over, and what is left to be swept.
func TestTerms(t *testing.T) { onBoth(t, testTerms) }

func testTerms(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	if next, err := c.NextTerm(t.Context(), start); err != nil || !next.IsZero() {
		t.Errorf("the next term of nothing: %v, %v", next, err)
	}
	term := full("01").RetainUntil
	put(t, c, full("01"), catalog.Recording{ID: "02", State: catalog.StateFinishing, StartedAt: start})
	doc := catalog.Analysis{
		ID: "a1", Recording: "01", Class: "orders", Kind: "note", State: catalog.AnalysisWriting, WrittenAt: start, RetainUntil: term.Add(-time.Hour),
		Object: catalog.Object{Key: "ana/orders/a1.json.age"},
	}
	if err := c.PutAnalysis(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetAnalysis(t.Context(), "a1"); err != nil || !cmp.Equal(got, doc) {
		t.Errorf("document %+v, %v", got, err)
	}
	if next, err := c.NextTerm(t.Context(), start); err != nil || !next.Equal(doc.RetainUntil) {
		t.Errorf("next term %v, %v", next, err)
	}
	for _, x := range []struct {
		by         time.Time
		rows, docs int
	}{{doc.RetainUntil.Add(-time.Millisecond), 0, 0}, {doc.RetainUntil, 0, 1}, {term, 1, 1}} {
		rows, err := c.List(t.Context(), catalog.Query{TermBy: x.by})
		docs, docErr := c.DueAnalyses(t.Context(), x.by)
		if err := errors.Join(err, docErr); err != nil || len(rows) != x.rows || len(docs) != x.docs {
			t.Errorf("by %v: %d recordings, %d documents, %v", x.by, len(rows), len(docs), err)
		}
	}
	gone := full("01")
	gone.State, gone.Gone = catalog.StateExpired, catalog.Gone{At: term, Reason: "expired"}
	put(t, c, gone)
	doc.State = catalog.AnalysisGone
	if err := c.PutAnalysis(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), "01"); err != nil || got.Gone != gone.Gone {
		t.Errorf("end %+v, %v", got.Gone, err)
	}
	if docs, err := c.GoneAnalyses(t.Context()); err != nil || len(docs) != 1 {
		t.Errorf("%d documents are gone, %v", len(docs), err)
	}
	for _, want := range []int{1, 0} {
		if rows, err := c.List(t.Context(), catalog.Query{Unswept: true}); err != nil || len(rows) != want {
			t.Errorf("%d are unswept, %v, want %d", len(rows), err, want)
		}
		gone.Audio, gone.Sidecar = catalog.Object{}, catalog.Object{}
		put(t, c, gone)
	}
	if err := c.DeleteAnalysis(t.Context(), "a1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetAnalysis(t.Context(), "a1"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("a document that is gone: %v", err)
	}
	if next, err := c.NextTerm(t.Context(), start); err != nil || !next.IsZero() {
		t.Errorf("next term %v, %v", next, err)
	}
}
