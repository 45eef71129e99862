package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/catalog/catalogtest"
)

// postgres is the server of all tests: each has a database of its own.
var postgres catalogtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A place is where a catalog is: in a file, or in a database.
type place struct {
	file     string
	database string // its URL
}

func (p place) open() (*catalog.Catalog, error) {
	if p.file != "" {
		return catalog.Open(p.file)
	}
	return catalog.OpenPostgres(context.Background(), catalog.Postgres{URL: p.database})
}

// A backend makes places.
type backend struct {
	name  string
	fresh func(t testing.TB) place
}

func (b backend) isPostgres() bool { return b.name == "postgres" }

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, b backend)) {
	for _, b := range []backend{
		{"sqlite", func(t testing.TB) place { return place{file: file(t)} }},
		{"postgres", func(t testing.TB) place { return place{database: postgres.Server(t).Database(t)} }},
	} {
		t.Run(b.name, func(t *testing.T) { test(t, b) })
	}
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "cat?alog #1%20.db") }
