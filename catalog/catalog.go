package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrNotFound says that the catalog has no such recording.
var ErrNotFound = errors.New("recording not found")

// ErrQuery is a query that cannot be answered as it is written.
var ErrQuery = errors.New("query cannot be read")

const (
	// busyTimeout is how long a writer waits for another process's transaction.
	busyTimeout = 10 * time.Second
	// maxReaders bounds the connections that read at once.
	maxReaders = 8
	// migrationTries bounds how often a migration is tried again because another process ran it at the same time.
	migrationTries = 5
)

//go:embed migrations/*.sql
var migrations embed.FS

// A Catalog is an open catalog. It is safe for concurrent use, also of several catalogs on one file in several processes.
type Catalog struct {
	write *sql.DB // one connection; its transactions take the write lock when they begin
	read  *sql.DB
	now   func() time.Time
}

// Open opens the catalog in the file, which it makes where there is none, readable by its owner only. It brings an older file
// up to date; a file of a newer program is an error.
func Open(path string) (*Catalog, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	f, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600) // SQLite gives its other files the same mode
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	c := &Catalog{now: time.Now}
	if c.write, err = sql.Open("sqlite", dsn(absolute, false)); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	c.write.SetMaxOpenConns(1)
	if c.read, err = sql.Open("sqlite", dsn(absolute, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.Close())
	}
	c.read.SetMaxOpenConns(maxReaders)
	if err := c.migrate(); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, err), c.Close())
	}
	return c, nil
}

// dsn names the file with the settings of every connection.
func dsn(path string, readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())) // first: the others may have to wait
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_txlock", "immediate")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// migrate brings the file up to date. Another process may do so at the same time: each migration is one transaction, so what
// fails for that reason is done when it is looked at again.
func (c *Catalog) migrate() error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, c.write, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	ctx := context.Background()
	for range migrationTries {
		if _, err = provider.Up(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; version > newest {
		return fmt.Errorf("the file has version %d and this program knows %d: use the newer program, or delete the file and rebuild the catalog", version, newest)
	}
	return nil
}

// Close closes the catalog.
func (c *Catalog) Close() error {
	var errs []error
	for _, db := range []*sql.DB{c.read, c.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close catalog: %w", err)
	}
	return nil
}
