package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// An Objection is an entry of the list of those who never want to be recorded.
type Objection struct {
	Hash   string    // keyed, of a number or an address of record; the catalog cannot tell whose
	Since  time.Time // never zero
	Source string    // how it reached us
	Proof  string    // reference of what proves it; may be empty
}

// objectionsList names the list in list_versions.
const objectionsList = "objections"

// PutObjection adds an entry. One whose hash is there already stays as it is, and added is false. It is durable on return.
func (c *Catalog) PutObjection(ctx context.Context, o Objection) (added bool, err error) {
	if o.Hash == "" || o.Since.IsZero() {
		return false, errors.New("put objection: the hash or the time is missing")
	}
	added, err = c.changeObjections(ctx, "INSERT INTO objections (hash, since, source, proof) VALUES (?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING",
		o.Hash, o.Since.UnixMilli(), o.Source, o.Proof)
	if err != nil {
		return false, fmt.Errorf("put objection: %w", err)
	}
	return added, nil
}

// DeleteObjection takes an entry off the list: the objection is withdrawn. One that is not on it is no error, and was is false.
func (c *Catalog) DeleteObjection(ctx context.Context, hash string) (was bool, err error) {
	was, err = c.changeObjections(ctx, "DELETE FROM objections WHERE hash = ?", hash)
	if err != nil {
		return false, fmt.Errorf("delete objection: %w", err)
	}
	return was, nil
}

// changeObjections runs a statement, and counts the list's version when it changed a row.
func (c *Catalog) changeObjections(ctx context.Context, statement string, args ...any) (did bool, err error) {
	err = c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		res, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if did = n > 0; err != nil || !did {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO list_versions (list, version) VALUES (?, 1)
			ON CONFLICT (list) DO UPDATE SET version = list_versions.version + 1`, objectionsList)
		return err
	}, objectionsList)
	return did && err == nil, err
}

// ObjectionOf gives the entry with a hash, if there is one.
func (c *Catalog) ObjectionOf(ctx context.Context, hash string) (o Objection, found bool, err error) {
	list, err := c.objections(ctx, "WHERE hash = ?", hash)
	if err != nil {
		return Objection{}, false, fmt.Errorf("look for objection: %w", err)
	}
	if len(list) == 0 {
		return Objection{}, false, nil
	}
	return list[0], true, nil
}

// Objections lists at most so many entries in the order of their hashes, from the one behind after on; a limit of 0 lists all.
func (c *Catalog) Objections(ctx context.Context, after string, limit int) ([]Objection, error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	list, err := c.objections(ctx, "WHERE hash > ? ORDER BY hash LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("list objections: %w", err)
	}
	return list, nil
}

func (c *Catalog) objections(ctx context.Context, tail string, args ...any) ([]Objection, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT hash, since, source, proof FROM objections "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Objection
	for rows.Next() {
		var o Objection
		var since int64
		if err := rows.Scan(&o.Hash, &since, &o.Source, &o.Proof); err != nil {
			return nil, err
		}
		o.Since = fromMillis(since)
		list = append(list, o)
	}
	return list, rows.Err()
}

// ObjectionsVersion is another number after every change of the list, by whichever process. It is read before the list: what changes
// in between is then seen the next time.
func (c *Catalog) ObjectionsVersion(ctx context.Context) (int64, error) {
	var version int64
	err := c.read.QueryRowContext(ctx, "SELECT version FROM list_versions WHERE list = ?", objectionsList).Scan(&version)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read version of objections: %w", err)
	}
	return version, nil
}
