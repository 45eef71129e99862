package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"
)

// raceTries bounds how often a transaction is tried again because others were in its way.
const raceTries = 20

// A pool is connections to the database of either kind, with statements that have ? for what is filled in.
type pool struct {
	db *sql.DB
	*dialect
	// ready sees to it that the tables are there before the first statement; nil: they are.
	ready func(context.Context) error
}

// prepared gives statement and arguments as the database wants them.
func (d *dialect) prepared(statement string, args []any) (string, []any) {
	args = slices.Clone(args)
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = storable(s)
		}
	}
	if d.marks != nil {
		statement = d.marks(statement)
	}
	return statement, args
}

// tell says of an error that met a statement whether the database is away. The caller's own end is none of it.
func (d *dialect) tell(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, sql.ErrNoRows):
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, driver.ErrBadConn), d.judge(err) != isWrong:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// bounded is a context for one statement, and what is to be called at every step of it, and at its end.
func (d *dialect) bounded(ctx context.Context) (bounded context.Context, step, end func()) {
	if d.patience == 0 {
		return ctx, func() {}, func() {}
	}
	bounded, cancel := context.WithCancel(ctx)
	limit := time.AfterFunc(d.patience, cancel)
	return bounded, func() { limit.Reset(d.patience) }, func() { limit.Stop(); cancel() }
}

func (p pool) prepare(ctx context.Context) error {
	if p.ready == nil {
		return nil
	}
	return p.ready(ctx)
}

// ExecContext runs a statement that changes something. It is done when it returns, or nothing has changed.
func (p pool) ExecContext(ctx context.Context, statement string, args ...any) (res sql.Result, err error) {
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	statement, args = p.prepared(statement, args)
	for range raceTries {
		bounded, _, end := p.bounded(ctx)
		res, err = p.db.ExecContext(bounded, statement, args...)
		end()
		if err == nil || p.judge(err) != isRaced || ctx.Err() != nil {
			break
		}
	}
	return res, p.tell(ctx, err)
}

// QueryContext runs a statement that gives rows. Whoever calls it closes them.
func (p pool) QueryContext(ctx context.Context, statement string, args ...any) (*cursor, error) {
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	return p.query(ctx, p.db, statement, args)
}

// QueryRowContext runs a statement that gives one row.
func (p pool) QueryRowContext(ctx context.Context, statement string, args ...any) single {
	return one(p.QueryContext(ctx, statement, args...))
}

// A querier is a pool's connections, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
}

func (d *dialect) query(ctx context.Context, q querier, statement string, args []any) (*cursor, error) {
	statement, args = d.prepared(statement, args)
	bounded, step, end := d.bounded(ctx)
	found, err := q.QueryContext(bounded, statement, args...)
	if err != nil {
		end()
		return nil, d.tell(ctx, err)
	}
	return &cursor{Rows: found, dialect: d, ctx: ctx, step: step, end: end}, nil
}

// A cursor is rows that are read one after the other.
type cursor struct {
	*sql.Rows
	*dialect
	ctx       context.Context // of the caller
	step, end func()
}

// Next goes to the next row, if there is one.
func (c *cursor) Next() bool {
	c.step()
	return c.Rows.Next()
}

// Err tells what ended the rows.
func (c *cursor) Err() error { return c.tell(c.ctx, c.Rows.Err()) }

// Close ends the reading.
func (c *cursor) Close() error {
	defer c.end()
	return c.Rows.Close()
}

// A single is the one row that a statement gives, or an error.
type single struct {
	*cursor
	err error
}

func one(c *cursor, err error) single { return single{c, err} }

// Scan reads the row; sql.ErrNoRows when there is none.
func (s single) Scan(into ...any) error {
	if s.err != nil {
		return s.err
	}
	defer s.Close()
	if !s.Next() {
		if err := s.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	if err := s.cursor.Scan(into...); err != nil {
		return err
	}
	return s.tell(s.ctx, s.Close())
}

// A tx is a transaction of a pool.
type tx struct {
	tx *sql.Tx
	*dialect
	step func() // called at each statement: the patience is for one
}

// ExecContext runs a statement that changes something.
func (t tx) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	t.step()
	statement, args = t.prepared(statement, args)
	return t.tx.ExecContext(ctx, statement, args...)
}

// QueryContext runs a statement that gives rows. They are closed before the next statement.
func (t tx) QueryContext(ctx context.Context, statement string, args ...any) (*cursor, error) {
	t.step()
	return t.query(ctx, t.tx, statement, args)
}

// QueryRowContext runs a statement that gives one row.
func (t tx) QueryRowContext(ctx context.Context, statement string, args ...any) single {
	return one(t.QueryContext(ctx, statement, args...))
}

// inTx does several things at once, or none of them. Transactions that have a subject in common follow one another, so that what one of them
// has read holds until it ends; whoever reads before it writes names every subject that it reads of. The context that do is given ends
// with the transaction. It may be called again, when other transactions were in the way.
func (p pool) inTx(ctx context.Context, do func(context.Context, tx) error, subjects ...string) (err error) {
	if err := p.prepare(ctx); err != nil {
		return err
	}
	slices.Sort(subjects) // whoever takes several takes them in the same order
	for range raceTries {
		if err = p.once(ctx, do, subjects); err == nil || p.judge(err) != isRaced || ctx.Err() != nil {
			break
		}
	}
	return p.tell(ctx, err)
}

func (p pool) once(ctx context.Context, do func(context.Context, tx) error, subjects []string) error {
	bounded, step, end := p.bounded(ctx)
	defer end()
	begun, err := p.db.BeginTx(bounded, nil)
	if err != nil {
		return err
	}
	t := tx{begun, p.dialect, step}
	err = t.lockAll(bounded, subjects)
	if err == nil {
		err = do(bounded, t)
	}
	if err != nil {
		if undo := begun.Rollback(); !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
		return err
	}
	step()
	return begun.Commit()
}

func (t tx) lockAll(ctx context.Context, subjects []string) error {
	if t.lock == "" {
		return nil
	}
	for _, subject := range subjects {
		if _, err := t.ExecContext(ctx, t.lock, subject); err != nil {
			return err
		}
	}
	return nil
}
