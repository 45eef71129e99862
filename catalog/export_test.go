package catalog

import (
	"database/sql"
	"strings"
	"time"
)

// Writer gives the connection that writes, for tests that damage the file.
func (c *Catalog) Writer() *sql.DB { return c.write.db }

// SetPatience has both pools wait for the server no longer than that.
func (c *Catalog) SetPatience(d time.Duration) { c.write.patience = d }

// Numbered is numbered.
func Numbered(statement string) string { return numbered(statement) }

// TLSOf tells what a URL says of TLS: whether it is used in any case, and whether the server has to prove who it is.
func TLSOf(raw string) (always, proven bool, err error) {
	cfg, err := Postgres{URL: raw}.parse()
	if err != nil {
		return false, false, err
	}
	always, proven = cfg.TLSConfig != nil, cfg.TLSConfig != nil && !cfg.TLSConfig.InsecureSkipVerify
	for _, f := range cfg.Fallbacks {
		always, proven = always && f.TLSConfig != nil, proven && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
	}
	return always, proven, nil
}

// NumberKey is numberKey.
func NumberKey(s string) string { return numberKey(s) }

// Columns is columns, on one line.
var Columns = strings.Join(strings.Fields(columns), " ")
