package catalog_test

import (
	"database/sql"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

// TestOlderFile: a catalog of the version without quality keeps its rows, which nobody has rated.
func TestOlderFile(t *testing.T) {
	path := file(t)
	c := open(t, path)
	want := full("01")
	put(t, c, want)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"ALTER TABLE recordings DROP COLUMN mos", "ALTER TABLE recordings DROP COLUMN loss", "ALTER TABLE recordings DROP COLUMN longest_gap_ms",
		"DELETE FROM goose_db_version WHERE version_id > 1",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, path)
	got, err := c.Get(t.Context(), "01")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, recordings differ (-want +got):\n%s", err, diff)
	}
	if rows, err := c.List(t.Context(), catalog.Query{MOSBelow: 4.5}); err != nil || len(rows) != 0 {
		t.Errorf("of what nobody rated %d are bad, %v", len(rows), err)
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
