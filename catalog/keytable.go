package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
)

const (
	// MaxKeyFileBytes is the longest file of a KeyTable.
	MaxKeyFileBytes = 64 << 10
	// keyPage is how many names are read at once.
	keyPage = 1000
)

// keySchema is what SQLite and PostgreSQL both understand.
const keySchema = `CREATE TABLE IF NOT EXISTS key_files (name TEXT PRIMARY KEY, bytes BYTEA NOT NULL)`

// A KeyTable keeps small files, as wrapped keys, in a table of a database. Whoever writes says what must be there. It is never in the
// catalog's own file, which may be deleted and rebuilt: a key that is lost is a recording that is lost.
//
// # What removing does
//
// In SQLite a file is overwritten with zeros, then deleted (secure_delete), and its pages in the journal, which stays (PERSIST), are
// written over by the second step. In PostgreSQL, overwriting before deleting would be no help: the old row stays until it is
// vacuumed, and in the WAL and its archive for longer. What is there is wrapped by a key-encryption key: rotate that, and retire the
// old one (`greffier keys rotate --retire`), and nothing that was removed before can be unwrapped any more.
//
// Its errors are those of fs where a file is there or is not, and ErrUnavailable. Every method may be repeated.
type KeyTable struct {
	pool
	overwrite bool // before it is deleted
}

// OpenKeyTable opens the table in a SQLite file of its own, which it makes where there is none, readable by its owner only.
func OpenKeyTable(ctx context.Context, path string) (*KeyTable, error) {
	k, err := openKeyTable(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open keys in %s: %w", path, err)
	}
	return k, nil
}

func openKeyTable(ctx context.Context, path string) (*KeyTable, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600) // SQLite gives its journal the same mode
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("its mode %04o lets others than its owner at it: run chmod 600", mode)
	}
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds())) // first: the others may have to wait
	q.Add("_pragma", "journal_mode(PERSIST)")
	q.Add("_pragma", "secure_delete(1)")
	q.Add("_pragma", "synchronous(EXTRA)") // a tombstone is durable when it is said to be
	q.Add("_txlock", "immediate")
	u := url.URL{Scheme: "file", Path: absolute, RawQuery: q.Encode()}
	k := &KeyTable{pool: pool{dialect: sqliteDialect()}, overwrite: true}
	if k.db, err = sql.Open("sqlite", u.String()); err != nil {
		return nil, err
	}
	k.db.SetMaxOpenConns(maxReaders)
	if err := k.makeTable(ctx); err != nil {
		return nil, errors.Join(err, k.db.Close())
	}
	return k, nil
}

// OpenPostgresKeyTable opens the table on a PostgreSQL server, and makes it where there is none. A server that is away is no error: it is
// met again with every call, which is ErrUnavailable until it is back.
func OpenPostgresKeyTable(ctx context.Context, p Postgres) (*KeyTable, error) {
	cfg, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	k := &KeyTable{pool: pool{db: p.pool(cfg, statementTimeout, maxWriters, durably), dialect: postgresDialect()}}
	unready := k.pool
	tables := &readiness{turn: make(chan struct{}, 1), make: func(ctx context.Context) error { return (&KeyTable{pool: unready}).makeTable(ctx) }}
	k.ready = tables.ready
	if err := tables.ready(ctx); err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, errors.Join(fmt.Errorf("open keys: %w", err), k.Close())
	}
	return k, nil
}

// makeTable makes the table where there is none. Of several processes one does, and the others wait.
func (k *KeyTable) makeTable(ctx context.Context) error {
	err := k.inTx(ctx, func(ctx context.Context, t tx) error {
		_, err := t.ExecContext(ctx, keySchema)
		return err
	}, "key_files")
	if err != nil {
		return fmt.Errorf("make table: %w", err)
	}
	return nil
}

// Close closes the database.
func (k *KeyTable) Close() error {
	if err := k.db.Close(); err != nil {
		return fmt.Errorf("close keys: %w", err)
	}
	return nil
}

// Get reads a file: fs.ErrNotExist.
func (k *KeyTable) Get(ctx context.Context, name string) (b []byte, err error) {
	err = k.QueryRowContext(ctx, `SELECT bytes FROM key_files WHERE name = ?`, name).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("get %s of the keys: %w", name, err)
	}
	return b, nil
}

// Put writes a file if it holds exactly old now; nil: if there is none. It is then whole and durable, or as it was. Of several that
// write at the same time one succeeds: fs.ErrExist if it holds something else, fs.ErrNotExist if it is gone.
func (k *KeyTable) Put(ctx context.Context, name string, old, b []byte) error {
	if err := k.put(ctx, name, old, b); err != nil {
		return fmt.Errorf("put %s into the keys: %w", name, err)
	}
	return nil
}

func (k *KeyTable) put(ctx context.Context, name string, old, b []byte) error {
	if len(b) == 0 || len(b) > MaxKeyFileBytes {
		return fmt.Errorf("%d bytes, 1 to %d are allowed", len(b), MaxKeyFileBytes)
	}
	if old == nil {
		n, err := k.change(ctx, `INSERT INTO key_files (name, bytes) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, b)
		if err == nil && n == 0 {
			err = fs.ErrExist
		}
		return err
	}
	n, err := k.change(ctx, `UPDATE key_files SET bytes = ? WHERE name = ? AND bytes = ?`, b, name, old)
	if err != nil || n > 0 {
		return err
	}
	if _, err := k.Get(ctx, name); err != nil {
		return err
	}
	return fs.ErrExist
}

// change tells how many rows it changed.
func (k *KeyTable) change(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := k.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// Remove removes a file. That there is none is no error.
func (k *KeyTable) Remove(ctx context.Context, name string) error {
	if k.overwrite {
		if _, err := k.change(ctx, `UPDATE key_files SET bytes = zeroblob(length(bytes)) WHERE name = ?`, name); err != nil {
			return fmt.Errorf("overwrite %s of the keys: %w", name, err)
		}
	}
	if _, err := k.change(ctx, `DELETE FROM key_files WHERE name = ?`, name); err != nil {
		return fmt.Errorf("remove %s of the keys: %w", name, err)
	}
	return nil
}

// List yields the names that begin with prefix, in no order. An error ends the sequence. What is there all the while is seen.
func (k *KeyTable) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for after, n := "", keyPage; n == keyPage; {
			names, err := k.page(ctx, prefix, after)
			if err != nil {
				yield("", fmt.Errorf("list keys: %w", err))
				return
			}
			for _, name := range names {
				if !yield(name, nil) {
					return
				}
				after = name
			}
			n = len(names)
		}
	}
}

// page reads the names that come after one, whatever order the database knows. No transaction is open while they are looked at.
func (k *KeyTable) page(ctx context.Context, prefix, after string) (names []string, err error) {
	rows, err := k.QueryContext(ctx, `SELECT name FROM key_files WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?`,
		after, len(prefix), prefix, keyPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
