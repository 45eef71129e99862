package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Bounds of the work with a PostgreSQL server.
const (
	// connectTimeout is how long a connection may take to be made, where the URL does not say (connect_timeout).
	connectTimeout = 5 * time.Second
	// statementTimeout is how long a statement may take until its first row, and from each row to the next.
	statementTimeout = 30 * time.Second
	// readTimeout is when the server ends a statement that reads, though nobody waits for it any more, where the URL does not say
	// (statement_timeout). What changes something it ends after statementTimeout.
	readTimeout = 10 * time.Minute
	// idleTimeout is when the server ends a transaction of a process that says nothing any more, and with it its locks.
	idleTimeout = time.Minute
	// maxWriters bounds the connections that write at once.
	maxWriters = 8
	// keepIdle is how many connections of each kind are kept when nothing is to be done.
	keepIdle = 2
	// migrationTimeout bounds how long the tables may take to be made, or to be brought up to date, and the wait for another process
	// that does so.
	migrationTimeout = 10 * time.Minute
	// migrationPause is how long is waited, in seconds, before it is looked again whether another process is done with that.
	migrationPause = 1
)

// A Postgres says where the catalog is on a PostgreSQL server.
type Postgres struct {
	// URL is postgres://user@host:port/database, with the parameters that libpq knows. Without sslmode a server that is not on this
	// machine has to prove by its certificate who it is (verify-full).
	URL string
	// PasswordFile names a file with the password, readable by its owner only. It is read for each connection. "": it is in the URL, or
	// none is asked for.
	PasswordFile string
}

// OpenPostgres opens the catalog on a PostgreSQL server, makes its tables where there are none, and brings older ones up to date; those of
// a newer program are an error. A server that is away is none: it is met again with every call, which is ErrUnavailable until it is back.
func OpenPostgres(ctx context.Context, p Postgres) (*Catalog, error) {
	cfg, err := p.parse()
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	d := postgresDialect()
	tables := &readiness{turn: make(chan struct{}, 1), make: func(ctx context.Context) error { return p.migrate(ctx, cfg, d) }}
	c := &Catalog{
		write: pool{db: p.pool(cfg, statementTimeout, maxWriters, durably), dialect: d, ready: tables.ready},
		read:  pool{db: p.pool(cfg, readTimeout, maxReaders, readingOnly), dialect: d, ready: tables.ready},
		now:   time.Now,
	}
	err = tables.ready(ctx)
	if isUntrusted(err) {
		err = fmt.Errorf("%w (name its authority with sslrootcert=FILE; sslmode=disable does without TLS, on a network that nobody else can reach)", err)
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.Close())
	}
	return c, nil
}

// pool makes connections when they are needed, each with a limit that the server keeps, and with what begin says to it first.
func (p Postgres) pool(cfg *pgx.ConnConfig, limit time.Duration, most int, begin func(context.Context, *pgx.Conn) error) *sql.DB {
	cfg = cfg.Copy()
	if _, set := cfg.RuntimeParams["statement_timeout"]; !set {
		cfg.RuntimeParams["statement_timeout"] = fmt.Sprint(limit.Milliseconds())
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionBeforeConnect(p.password), stdlib.OptionAfterConnect(begin))
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(keepIdle)
	return db
}

// durably sees to it that what a connection commits is on the server's disk before it says so.
func durably(ctx context.Context, conn *pgx.Conn) error {
	var mode string
	err := conn.QueryRow(ctx, `SELECT CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false)
		ELSE current_setting('synchronous_commit') END`).Scan(&mode)
	if err == nil && mode == "off" {
		err = errors.New("the server does not write what it commits before it says so: set synchronous_commit = on for the role, or for the database")
	}
	return err
}

// readingOnly keeps a connection from changing anything.
func readingOnly(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "SET default_transaction_read_only = on")
	return err
}

// migrate makes the tables, or brings them up to date. Of several processes that do so one does, and the others wait.
func (p Postgres) migrate(ctx context.Context, cfg *pgx.ConnConfig, d *dialect) error {
	ctx, cancel := context.WithTimeout(ctx, migrationTimeout)
	defer cancel()
	db := p.pool(cfg, migrationTimeout, maxWriters, durably)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(migrationPause, uint64(migrationTimeout/(migrationPause*time.Second))))
	if err != nil {
		return err
	}
	return migrate(ctx, db, d, goose.WithSessionLocker(locker))
}

// A readiness is that of the tables: whoever needs them makes them, and those that come meanwhile wait for that, or for their own end.
type readiness struct {
	done atomic.Bool
	turn chan struct{} // capacity 1: whoever makes them
	make func(context.Context) error
}

func (r *readiness) ready(ctx context.Context) error {
	if r.done.Load() {
		return nil
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.done.Load() {
		return nil
	}
	if err := postgresDialect().tell(ctx, r.make(ctx)); err != nil {
		return err
	}
	r.done.Store(true)
	return nil
}

func postgresDialect() *dialect {
	return &dialect{
		migrations: "postgres",
		goose:      goose.DialectPostgres,
		marks:      numbered,
		// Each statement of a transaction sees what was committed before it (READ COMMITTED), so that whoever has the lock sees what those
		// did who had it before. It ends with the transaction.
		lock: "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))",
		warned: func(warning string) (string, any) { // json, not jsonb, keeps the text of each element as it was written
			return "EXISTS (SELECT 1 FROM json_array_elements(recordings.warnings::json) w WHERE w.value::text = ?)", encode(warning)
		},
		damage:   postgresDamage,
		judge:    judgePostgres,
		patience: statementTimeout,
	}
}

// postgresDamage finds rows of recordings that are not there, and indexes that the server does not use.
func postgresDamage(ctx context.Context, p pool) ([]string, error) {
	var found []string
	for _, check := range []struct{ what, statement string }{
		{"foreign_key_check: participants", orphans("participants")},
		{"foreign_key_check: call_ids", orphans("call_ids")},
		{"foreign_key_check: links", orphans("links")},
		{"indexes that are not valid (REINDEX makes them again)",
			"SELECT COUNT(*) FROM pg_index x JOIN pg_class r ON r.oid = x.indrelid WHERE NOT x.indisvalid AND r.relnamespace = current_schema()::regnamespace"},
	} {
		var n int
		if err := p.QueryRowContext(ctx, check.statement).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			found = append(found, fmt.Sprintf("%s: %d", check.what, n))
		}
	}
	return found, nil
}

func orphans(table string) string {
	return "SELECT COUNT(*) FROM " + table + " t WHERE NOT EXISTS (SELECT 1 FROM recordings r WHERE r.id = t.recording_id)"
}
