package catalog

import (
	"context"
	"database/sql"
	"iter"
)

// Writer gives the connection that writes, for tests that damage the file.
func (c *Catalog) Writer() *sql.DB { return c.write }

// NumberKey is numberKey.
func NumberKey(s string) string { return numberKey(s) }

// PutAll puts recordings in one transaction.
func PutAll(tx *sql.Tx, rs iter.Seq[Recording]) error {
	for r := range rs {
		if err := putIn(context.Background(), tx, r, 1); err != nil {
			return err
		}
	}
	return nil
}
