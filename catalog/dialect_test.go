package catalog_test

import (
	"database/sql"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/catalog"
)

func TestNumbered(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"SELECT 1":                             "SELECT 1",
		"a = ? AND b IN (?, ?)":                "a = $1 AND b IN ($2, $3)",
		"a LIKE ? ESCAPE '!' AND b <> '?'":     "a LIKE $1 ESCAPE '!' AND b <> '?'",
		`SELECT "a?b", ?`:                      `SELECT "a?b", $1`,
		"'it''s ?', ?":                         "'it''s ?', $1",
		"å = ?":                                "å = $1",
		"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?":      "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11",
		"x = '\"' OR y = ? OR z = \"'\" AND ?": "x = '\"' OR y = $1 OR z = \"'\" AND $2",
	} {
		if got := catalog.Numbered(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzNumbered: nothing but the marks outside quotes changes, each into its number.
func FuzzNumbered(f *testing.F) {
	for _, seed := range []string{"a = ?", "'?' ? \"?\" ?", "''?", "?'", "\xff?", "$1?"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, statement string) {
		if !strings.ContainsAny(statement, "'\"") {
			parts, want := strings.Split(string([]rune(statement)), "?"), 0
			rest := catalog.Numbered(statement)
			for i, part := range parts {
				after, ok := strings.CutPrefix(rest, part)
				if !ok {
					t.Fatalf("%q: %q is missing before %q", statement, part, rest)
				}
				if rest = after; i == len(parts)-1 {
					break
				}
				want++
				if rest, ok = strings.CutPrefix(rest, "$"+itoa(want)); !ok {
					t.Fatalf("%q: mark %d is missing", statement, want)
				}
			}
			if rest != "" {
				t.Fatalf("%q: %q is left over", statement, rest)
			}
		}
		quoted := "'" + strings.ReplaceAll(statement, "'", "''") + "'"
		if got := catalog.Numbered(quoted + "?"); got != string([]rune(quoted))+"$1" {
			t.Fatalf("%q became %q", quoted+"?", got)
		}
	})
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// columnsOf reads the columns of every table, as table.column.
func columnsOf(t *testing.T, db *sql.DB, statement string) map[string]bool {
	t.Helper()
	rows, err := db.Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var table, column string
		var empty bool
		if err := rows.Scan(&table, &column, &empty); err != nil {
			t.Fatal(err)
		}
		out[table+"."+column] = empty
	}
	if err := rows.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%d columns, %v", len(out), err)
	}
	return out
}

// TestTablesAreAlike: the migrations of both databases make the same tables, columns and indexes. Of text PostgreSQL compares bytes, as SQLite
// does.
func TestTablesAreAlike(t *testing.T) {
	lite, server := open(t, place{file: file(t)}), open(t, place{database: postgres.Server(t).Database(t)})
	for name, statements := range map[string][2]string{
		"columns": {
			"SELECT m.name, c.name, NOT c.\"notnull\" FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'",
			"SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%'",
		},
		"indexes": {
			"SELECT tbl_name, name, 0 FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
			"SELECT tablename, indexname, false FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey' AND indexname NOT LIKE 'goose%'",
		},
		"versions": {
			"SELECT 'version', CAST(version_id AS TEXT), NOT is_applied FROM goose_db_version",
			"SELECT 'version', version_id::text, NOT is_applied FROM goose_db_version",
		},
	} {
		if diff := cmp.Diff(columnsOf(t, lite.Writer(), statements[0]), columnsOf(t, server.Writer(), statements[1])); diff != "" {
			t.Errorf("%s differ (-SQLite +PostgreSQL):\n%s", name, diff)
		}
	}
	otherwise := columnsOf(t, server.Writer(), `SELECT 'any', 'column', true UNION ALL SELECT table_name, column_name, true FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'goose%' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
	if names := slices.Sorted(maps.Keys(otherwise)); !cmp.Equal(names, []string{"any.column"}) {
		t.Errorf("columns that are compared by language: %v", names)
	}
}
