package catalog_test

import (
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// downTo undoes migrations, the newest first, down to a version.
func downTo(version int) []string {
	all := map[int][]string{
		8: {"DROP TABLE leases"},
		7: {"DROP TABLE restrictions", "DROP TABLE erasures", "DROP TABLE held", "DROP TABLE holds"},
		6: {
			"DROP TABLE analyses", "DROP TABLE reviews", "DROP TABLE doomed", "DROP INDEX recordings_by_term",
			"ALTER TABLE recordings DROP COLUMN gone_reason", "ALTER TABLE recordings DROP COLUMN gone_at",
		},
		5: {"DROP TABLE facts"},
		4: {"DROP TABLE expected_ids", "DROP TABLE expected", "DROP TABLE places", "DROP TABLE list_versions", "DROP TABLE objections"},
		3: {
			"UPDATE call_ids SET call_id = '47755A9DE7794ba3-87653f2099600ef2' WHERE position = 1",
			"DROP TABLE links", "DROP INDEX recordings_by_tenant", "DROP INDEX recordings_by_recording_session",
			"ALTER TABLE recordings DROP COLUMN links", "ALTER TABLE recordings DROP COLUMN recording_session",
			"ALTER TABLE recordings DROP COLUMN group_hash", "ALTER TABLE recordings DROP COLUMN conversation",
		},
		2: {
			"ALTER TABLE recordings DROP COLUMN mos", "ALTER TABLE recordings DROP COLUMN loss",
			"ALTER TABLE recordings DROP COLUMN longest_gap_ms",
		},
	}
	var out []string
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(all))) {
		if v > version {
			out = append(out, all[v]...)
		}
	}
	return append(out, fmt.Sprintf("DELETE FROM goose_db_version WHERE version_id > %d", version))
}

// TestOlderFile: a catalog of the versions without quality, and without conversations, keeps its rows: nobody has rated them, a call's
// key is its conversation, and identifiers are found in any case.
func TestOlderFile(t *testing.T) {
	for _, version := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(version), func(t *testing.T) { testOlderFile(t, version) })
	}
}

func testOlderFile(t *testing.T, version int) {
	at := place{file: file(t)}
	c := open(t, at)
	want := full("01")
	want.Conversation, want.GroupHash, want.RecordingSession, want.Links = want.CallKeyHash, "", "", []string{want.CallKeyHash}
	put(t, c, want)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: at.file}).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range downTo(version) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, at)
	got, err := c.Get(t.Context(), "01")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, recordings differ (-want +got):\n%s", err, diff)
	}
	for _, q := range []catalog.Query{{Conversation: "01"}, {Conversation: want.CallKeyHash}, {CallID: "47755a9de7794ba387653f2099600EF2"}} {
		if rows, err := c.List(t.Context(), q); err != nil || len(rows) != 1 {
			t.Errorf("%+v finds %d, %v", q, len(rows), err)
		}
	}
	if rows, err := c.List(t.Context(), catalog.Query{MOSBelow: 4.5}); err != nil || len(rows) != 0 {
		t.Errorf("of what nobody rated %d are bad, %v", len(rows), err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
