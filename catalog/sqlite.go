package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// busyTimeout is how long a writer waits for another process's transaction.
	busyTimeout = 10 * time.Second
	// migrationTries bounds how often a migration is tried again because another process ran it at the same time.
	migrationTries = 5
)

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
	d := sqliteDialect()
	c := &Catalog{write: pool{dialect: d}, read: pool{dialect: d}, now: time.Now}
	if c.write.db, err = sql.Open("sqlite", dsn(absolute, false)); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	c.write.db.SetMaxOpenConns(1) // its transactions take the write lock when they begin
	if c.read.db, err = sql.Open("sqlite", dsn(absolute, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.Close())
	}
	c.read.db.SetMaxOpenConns(maxReaders)
	for range migrationTries { // each migration is one transaction: what failed because of another process is done when it is looked at again
		if err = migrate(context.Background(), c.write.db, d); err == nil {
			return c, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, d.tell(context.Background(), err)), c.Close())
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

func sqliteDialect() *dialect {
	return &dialect{
		migrations: "sqlite",
		goose:      goose.DialectSQLite3,
		warned: func(warning string) (string, any) {
			return "EXISTS (SELECT 1 FROM json_each(recordings.warnings) w WHERE w.value = ?)", warning
		},
		endsInside: true,
		damage:     sqliteDamage,
		judge:      judgeSQLite,
	}
}

// judgeSQLite tells what keeps SQLite from its file now from what is wrong with a statement, or with the file.
func judgeSQLite(err error) judgement {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return isWrong
	}
	switch failed.Code() & 0xff { // the rest says more about the same
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return isAway
	}
	return isWrong
}

// sqliteDamage runs the checks of SQLite: of pages and indexes, and of references.
func sqliteDamage(ctx context.Context, p pool) ([]string, error) {
	var all []string
	for _, pragma := range []string{"integrity_check", "foreign_key_check"} {
		found, err := pragmaCheck(ctx, p, pragma)
		if err != nil {
			return nil, err
		}
		for _, text := range found {
			all = append(all, pragma+": "+text)
		}
	}
	return all, nil
}

// pragmaCheck gives what a check found, "ok" left out.
func pragmaCheck(ctx context.Context, p pool, name string) ([]string, error) {
	rows, err := p.QueryContext(ctx, "PRAGMA "+name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var found []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		var text string
		for _, v := range values {
			text += fmt.Sprint(*v.(*any)) + " "
		}
		if text != "ok " {
			found = append(found, text)
		}
	}
	return found, rows.Err()
}
