package catalog_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// TestObjections: the list is the same for every process, an entry stays as it was first put, and every change shows in the version.
func TestObjections(t *testing.T) { onBoth(t, testObjections) }

func testObjections(t *testing.T, b backend) {
	at := b.fresh(t)
	c, other := open(t, at), open(t, at)
	version := int64(0)
	change := func(what string, want bool, did bool, err error) {
		t.Helper()
		now, readErr := other.ObjectionsVersion(t.Context())
		if err := errors.Join(err, readErr); err != nil || did != want || (now != version) != want {
			t.Errorf("%s: %v, version %d after %d, %v", what, did, now, version, err)
		}
		version = now
	}
	first := catalog.Objection{Hash: "aa", Since: start, Source: "letter", Proof: "DOC-17"}
	second := catalog.Objection{Hash: "bb", Since: start.Add(time.Hour), Source: "api"}
	did, err := c.PutObjection(t.Context(), second)
	change("put", true, did, err)
	did, err = other.PutObjection(t.Context(), first)
	change("put by another process", true, did, err)
	did, err = c.PutObjection(t.Context(), catalog.Objection{Hash: "aa", Since: start.Add(time.Minute), Source: "api"})
	change("put again", false, did, err)
	did, err = c.DeleteObjection(t.Context(), "cc")
	change("delete what is not there", false, did, err)
	list, err := other.Objections(t.Context(), "", 0)
	if diff := cmp.Diff([]catalog.Objection{first, second}, list); err != nil || diff != "" {
		t.Errorf("%v, the list (-want +got):\n%s", err, diff)
	}
	if page, err := c.Objections(t.Context(), "aa", 1); err != nil || !cmp.Equal(page, []catalog.Objection{second}) {
		t.Errorf("the page behind aa: %v, %v", page, err)
	}
	did, err = other.DeleteObjection(t.Context(), "aa")
	change("delete", true, did, err)
	for hash, want := range map[string]bool{"aa": false, "bb": true} {
		if _, found, err := c.ObjectionOf(t.Context(), hash); err != nil || found != want {
			t.Errorf("%s is there: %v, %v", hash, found, err)
		}
	}
	if _, err := c.PutObjection(t.Context(), catalog.Objection{Hash: "dd"}); err == nil {
		t.Error("an objection without a time was put")
	}
}

// expects is a call that ended an hour after start.
func expects(hash string, ids ...string) catalog.Expected {
	return catalog.Expected{CallHash: hash, Class: "orders", EndedAt: start.Add(time.Hour), Deadline: start.Add(2 * time.Hour), IDs: ids}
}

// TestExpected: what is due is listed, through restarts, until it is found or told of; who tells of the call again changes nothing.
func TestExpected(t *testing.T) { onBoth(t, testExpected) }

func testExpected(t *testing.T, b backend) {
	at := b.fresh(t)
	c := open(t, at)
	due := func(at time.Duration, want ...catalog.Expected) {
		t.Helper()
		got, err := c.DueExpected(t.Context(), start.Add(at), 10)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v, due after %s (-want +got):\n%s", err, at, diff)
		}
	}
	one, two := expects("h:1", "a@sbc", "b"), expects("h:2", "c")
	two.Deadline = two.Deadline.Add(-time.Millisecond)
	again := expects("h:1", "other")
	again.Class = "another"
	for _, x := range []catalog.Expected{one, two, again} {
		if err := c.Expect(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	c = open(t, at)
	due(time.Hour)
	due(2*time.Hour, two, one)
	if list, err := c.DueExpected(t.Context(), start.Add(2*time.Hour), 1); err != nil || !cmp.Equal(list, []catalog.Expected{two}) {
		t.Errorf("the first that is due: %v, %v", list, err)
	}
	if err := errors.Join(c.Found(t.Context(), "h:2"), c.Told(t.Context(), "h:1"), c.Expect(t.Context(), one), c.Found(t.Context(), "h:3")); err != nil {
		t.Fatal(err)
	}
	due(3 * time.Hour)
	if err := errors.Join(c.Expect(t.Context(), two)); err != nil {
		t.Fatal(err)
	}
	due(3*time.Hour, two)
	for _, bad := range []catalog.Expected{{}, expects("h:4"), expects("", "a"), expects("h:4", make([]string, catalog.MaxExpectedIDs+1)...)} {
		if err := c.Expect(t.Context(), bad); err == nil {
			t.Errorf("%v is expected", bad)
		}
	}
}

// TestTooManyExpected: a flood of calls is refused, and costs nothing that is known already.
func TestTooManyExpected(t *testing.T) { onBoth(t, testTooManyExpected) }

func testTooManyExpected(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	_, err := c.Writer().Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO expected (call_hash, class, ended_at, deadline, told) SELECT 'h:' || i, 'orders', 1, 1, 0 FROM n`, catalog.MaxExpected))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Expect(t.Context(), expects("h:new", "a")); !errors.Is(err, catalog.ErrTooManyExpected) {
		t.Errorf("one more: %v", err)
	}
	if err := errors.Join(c.Found(t.Context(), "h:1"), c.Expect(t.Context(), expects("h:new", "a"))); err != nil {
		t.Error(err)
	}
}

// TestRecordingsOf: a call's recordings are found by any identifier, or by the hash of one that is in common; those of another day, which
// have the same identifier, are not its.
func TestRecordingsOf(t *testing.T) { onBoth(t, testRecordingsOf) }

func testRecordingsOf(t *testing.T, b backend) {
	c := open(t, b.fresh(t))
	put(t, c, full("01"))
	for name, test := range map[string]struct {
		ids   []string
		ended time.Duration // after start
		want  int
	}{
		"Call-ID":                    {[]string{"x", "a84b4c76e66710@sbc"}, time.Minute, 1},
		"a UUID in another form":     {[]string{"47755a9de7794ba387653f2099600EF2;remote=1"}, time.Minute, 1},
		"a hash in common":           {[]string{"h:bb01"}, time.Minute, 1},
		"another call":               {[]string{"x", "h:cc", "84b4c76e66710@sbc"}, time.Minute, 0},
		"the identifier used before": {[]string{"a84b4c76e66710@sbc"}, 48 * time.Hour, 0},
		"the identifier used later":  {[]string{"a84b4c76e66710@sbc"}, -time.Hour, 0},
		"nothing to look for":        {nil, time.Minute, 0},
	} {
		x := expects("h:1", test.ids...)
		x.EndedAt = start.Add(test.ended)
		if list, err := c.RecordingsOf(t.Context(), x); err != nil || len(list) != test.want {
			t.Errorf("%s: %d recordings, want %d, %v", name, len(list), test.want, err)
		}
	}
}
