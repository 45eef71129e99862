package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
)

// ErrNotFound says that the catalog has no such recording.
var ErrNotFound = errors.New("recording not found")

// ErrQuery is a query that cannot be answered as it is written.
var ErrQuery = errors.New("query cannot be read")

// maxReaders bounds the connections that read at once.
const maxReaders = 8

//go:embed migrations/*/*.sql
var migrations embed.FS

// A Catalog is an open catalog. It is safe for concurrent use, also of several catalogs on one database in several processes.
type Catalog struct {
	write pool // each statement and transaction is durable when it has returned
	read  pool
	now   func() time.Time
}

// migrate brings a database up to date; one that a newer program has written is an error. What several processes do at the same time
// is for the options to sort out, or for whoever calls it again.
func migrate(ctx context.Context, db *sql.DB, d *dialect, options ...goose.ProviderOption) error {
	dir, err := fs.Sub(migrations, "migrations/"+d.migrations)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(d.goose, db, dir, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read version: %w", err)
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; version > newest {
		return fmt.Errorf("it has version %d and this program knows %d: use the newer program, or give this one an empty catalog and run greffier catalog rebuild", version, newest)
	}
	return nil
}

// Close closes the catalog.
func (c *Catalog) Close() error {
	var errs []error
	for _, db := range []*sql.DB{c.read.db, c.write.db} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close catalog: %w", err)
	}
	return nil
}
