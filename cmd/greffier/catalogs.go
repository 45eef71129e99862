package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/greffier/greffier/catalog"
)

// catalogID says which catalog a data directory belongs to, so that neither a command that was not told of the database nor one that was
// told of another looks into an empty one.
const catalogID = "catalog-id"

// sqliteID is what stands there for the file in the data directory.
const sqliteID = "sqlite"

// postgres is where the catalog is, when it is not in the data directory.
func (c CatalogConfig) postgres() catalog.Postgres {
	return catalog.Postgres{URL: c.URL, PasswordFile: c.PasswordFile}
}

// check finds what is wrong with the settings. Its errors show no password.
func (c CatalogConfig) check() error {
	if c.URL == "" {
		if c.PasswordFile != "" {
			return errors.New("catalog.password_file: it is the password of catalog.url, which is missing")
		}
		return nil
	}
	if _, err := c.postgres().Name(); err != nil {
		return fmt.Errorf("catalog.url: %w", err)
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return errors.New("catalog.url: it cannot be read") // the error would show it
	}
	if _, secret := u.User.Password(); secret || u.Query().Has("password") {
		return errors.New("catalog.url: whoever sees the configuration would see the password; write it into a file, and name that with catalog.password_file")
	}
	return nil
}

// openCatalog opens the catalog of the data directory, wherever it is.
func openCatalog(ctx context.Context, c Config, want access) (*catalog.Catalog, error) {
	if err := sameCatalog(c, want != reads); err != nil {
		return nil, err
	}
	if c.Catalog.URL == "" {
		return catalog.Open(filepath.Join(c.DataDir, catalogFile))
	}
	opened, err := catalog.OpenPostgres(ctx, c.Catalog.postgres())
	if err == nil && want != reads {
		if err = ownCatalog(ctx, c, opened); err != nil {
			err = errors.Join(err, opened.Close())
		}
	}
	return opened, err
}

const (
	// ownerFile says which server a data directory is, for the database of its catalog.
	ownerFile = "server-id"
	// ownerLease is the lease of that database, which is never given back.
	ownerLease = "owner"
	ownerTime  = 100 * 365 * 24 * time.Hour
	// ownerPatience is how long a start waits for the database to say whose it is. One that is away is asked at the next start.
	ownerPatience = 5 * time.Second
)

// ownCatalog makes a database the catalog of this data directory alone: another server would take its calls for what a crash had left.
func ownCatalog(ctx context.Context, c Config, opened *catalog.Catalog) error {
	id, err := ownerID(filepath.Join(c.DataDir, ownerFile))
	if err != nil {
		return fmt.Errorf("open catalog: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, ownerPatience)
	defer cancel()
	switch ours, err := opened.Lease(ctx, ownerLease, id, ownerTime); {
	case errors.Is(err, catalog.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return nil
	case err != nil:
		return fmt.Errorf("open catalog: %w", err)
	case !ours:
		return errors.New("open catalog: the database of catalog.url has the catalog of another server: make one for this server, and see docs/catalog.md for how it is filled")
	}
	return nil
}

// ownerID reads the name of the server, which is made up once.
func ownerID(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = f.WriteString(rand.Text() + "\n")
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make name of server: %w", err)
	}
	b, err := os.ReadFile(path)
	id := strings.TrimSpace(string(b))
	if err == nil && id == "" {
		err = fmt.Errorf("%s is empty: delete it, and start again with a database of its own", path)
	}
	if err != nil {
		return "", fmt.Errorf("read name of server: %w", err)
	}
	return id, nil
}

// sameCatalog compares the configured catalog with the one that the data directory belongs to. A directory of before there was a choice
// belongs to the file in it.
func sameCatalog(c Config, mayWrite bool) error {
	id := sqliteID
	if c.Catalog.URL != "" {
		name, err := c.Catalog.postgres().Name()
		if err != nil {
			return fmt.Errorf("catalog.url: %w", err)
		}
		id = name
	}
	path := filepath.Join(c.DataDir, catalogID)
	ours := id
	if _, err := os.Stat(filepath.Join(c.DataDir, catalogFile)); err == nil {
		ours = sqliteID
	}
	known, err := belongs(path, ours, mayWrite && ours == id)
	if err == nil && known != id {
		err = fmt.Errorf("the catalog of %s is %q, and %q is configured: name the server's configuration with -c (to move a catalog, see docs/catalog.md)", c.DataDir, known, id)
	}
	return err
}
