package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// What keys.store may be.
const (
	keysInDir      = "dir"
	keysInBucket   = "bucket"
	keysInDatabase = "database"
)

const (
	// keysFile is the database of keys.store: database, where the catalog is in a file, too.
	keysFile = "keys.db"
	// keysIDFile says which shared shelf the keys of a data directory are on. Without it they are in the directory.
	keysIDFile = "keys-id"
)

// A keyPlace is a shared shelf, and what there is to do with it beside that.
type keyPlace struct {
	seal.Shelf
	check func(context.Context) error // whether it can still keep keys
	close func() error
}

// openKeyPlace opens the shelf that the configuration names; it asks nothing of it. In the directory it is nil.
func openKeyPlace(ctx context.Context, c Config) (*keyPlace, error) {
	switch c.Keys.Store {
	case keysInBucket:
		b := c.Keys.Bucket
		secret, err := secretKey("keys.bucket.secret_key_file", b.SecretKeyFile)
		if err != nil {
			return nil, err
		}
		bucket, err := storage.NewKeyBucket(b.client(secret))
		if err != nil {
			return nil, err
		}
		check := func(ctx context.Context) error { return sealError(bucket.Check(ctx), storeIsAway) }
		return &keyPlace{awayShelf{bucket, storeIsAway}, check, func() error { return nil }}, nil
	case keysInDatabase:
		var table *catalog.KeyTable
		var err error
		if c.Catalog.URL != "" {
			table, err = catalog.OpenPostgresKeyTable(ctx, c.Catalog.postgres())
		} else {
			table, err = catalog.OpenKeyTable(ctx, filepath.Join(c.DataDir, keysFile))
		}
		if err != nil {
			return nil, err
		}
		return &keyPlace{awayShelf{table, databaseIsAway}, func(context.Context) error { return nil }, table.Close}, nil
	}
	return nil, nil
}

// client is how the service is met.
func (b KeyBucketConfig) client(secret storage.Secret) storage.S3Config {
	return storage.S3Config{
		Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, PathStyle: b.PathStyle, CAFile: b.CAFile, Insecure: b.Insecure,
		AccessKey: b.AccessKey, SecretKey: secret,
	}
}

// awayShelf tells keys which errors of a shelf may pass: it is away.
type awayShelf struct {
	shelf  seal.Shelf
	isAway func(error) bool
}

func storeIsAway(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrDenied)
}

func databaseIsAway(err error) bool { return errors.Is(err, catalog.ErrUnavailable) }

func sealError(err error, isAway func(error) bool) error {
	if err != nil && isAway(err) {
		return fmt.Errorf("%w: %w", seal.ErrUnavailable, err)
	}
	return err
}

// Get implements seal.Shelf.
func (a awayShelf) Get(ctx context.Context, name string) ([]byte, error) {
	b, err := a.shelf.Get(ctx, name)
	if errors.Is(err, storage.ErrMismatch) {
		return nil, fmt.Errorf("%w: %w", seal.ErrDamaged, err)
	}
	return b, sealError(err, a.isAway)
}

// Put implements seal.Shelf.
func (a awayShelf) Put(ctx context.Context, name string, old, b []byte) error {
	return sealError(a.shelf.Put(ctx, name, old, b), a.isAway)
}

// Remove implements seal.Shelf.
func (a awayShelf) Remove(ctx context.Context, name string) error {
	return sealError(a.shelf.Remove(ctx, name), a.isAway)
}

// List implements seal.Shelf.
func (a awayShelf) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range a.shelf.List(ctx, prefix) {
			if !yield(name, sealError(err, a.isAway)) {
				return
			}
		}
	}
}

// sameKeys compares the configured place of the keys with the one that the data directory belongs to: a command that was not told of a
// bucket would find no key. From the directory, keys may go anywhere.
func sameKeys(c Config, mayWrite bool) error {
	id := c.Keys.Store
	switch {
	case id == keysInBucket:
		id = fmt.Sprintf("%s %s %s", id, c.Keys.Bucket.Endpoint, c.Keys.Bucket.Bucket)
	case id == keysInDatabase && c.Catalog.URL != "":
		name, err := c.Catalog.postgres().Name()
		if err != nil {
			return fmt.Errorf("catalog.url: %w", err)
		}
		id += " " + name
	}
	path := filepath.Join(c.DataDir, keysIDFile)
	known, err := belongs(path, id, mayWrite && id != keysInDir)
	if err == nil && known != id {
		err = fmt.Errorf("the keys of %s are in %q, and keys.store is %q: name the server's configuration with -c (after moving a bucket, delete %s)",
			c.DataDir, known, id, path)
	}
	return err
}
