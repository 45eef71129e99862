package catalog

import (
	"database/sql"
	"strings"
)

// Writer gives the connection that writes, for tests that damage the file.
func (c *Catalog) Writer() *sql.DB { return c.write }

// NumberKey is numberKey.
func NumberKey(s string) string { return numberKey(s) }

// Columns is columns, on one line.
var Columns = strings.Join(strings.Fields(columns), " ")
