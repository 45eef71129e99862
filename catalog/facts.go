package catalog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Facts are what a decision was made by, sealed by whoever keeps them: the catalog cannot read them.
type Facts struct {
	ID     string    // of the recording, or of the call that was not recorded
	At     time.Time // of the decision
	Until  time.Time // they are deleted then
	Sealed []byte
}

// PutFacts keeps the facts of a decision, or replaces those of an earlier one about the same call.
func (c *Catalog) PutFacts(ctx context.Context, f Facts) error {
	if f.ID == "" || f.At.IsZero() || !f.Until.After(f.At) {
		return errors.New("put facts: id, time or end is missing")
	}
	_, err := c.write.ExecContext(ctx, `INSERT INTO facts (recording_id, at, until, sealed) VALUES (?, ?, ?, ?)
		ON CONFLICT (recording_id) DO UPDATE SET at = excluded.at, until = excluded.until, sealed = excluded.sealed`,
		f.ID, millis(f.At), millis(f.Until), f.Sealed)
	if err != nil {
		return fmt.Errorf("put facts of %s: %w", f.ID, err)
	}
	return nil
}

// Facts yields the facts of decisions made since an instant, the oldest first. Those whose time is over are left out. An error ends it.
func (c *Catalog) Facts(ctx context.Context, since time.Time) iter.Seq2[Facts, error] {
	return func(yield func(Facts, error) bool) {
		rows, err := c.read.QueryContext(ctx, "SELECT recording_id, at, until, sealed FROM facts WHERE at >= ? AND until > ? ORDER BY at, recording_id",
			millis(since), c.now().UnixMilli())
		if err != nil {
			yield(Facts{}, fmt.Errorf("list facts: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var f Facts
			var at, until int64
			if err := rows.Scan(&f.ID, &at, &until, &f.Sealed); err != nil {
				yield(Facts{}, fmt.Errorf("list facts: %w", err))
				return
			}
			f.At, f.Until = time.UnixMilli(at).UTC(), time.UnixMilli(until).UTC()
			if !yield(f, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Facts{}, fmt.Errorf("list facts: %w", err))
		}
	}
}

// DeleteFacts deletes those of one call; none is no error.
func (c *Catalog) DeleteFacts(ctx context.Context, id string) error {
	return c.write.inTx(ctx, func(ctx context.Context, tx tx) error { return deleteFacts(ctx, tx, id) }, ofRecording(id))
}

func deleteFacts(ctx context.Context, tx tx, id string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM facts WHERE recording_id = ?", id); err != nil {
		return fmt.Errorf("delete facts of %s: %w", id, err)
	}
	return nil
}

// DropFacts deletes the facts whose time is over, and tells how many.
func (c *Catalog) DropFacts(ctx context.Context, now time.Time) (int64, error) {
	res, err := c.write.ExecContext(ctx, "DELETE FROM facts WHERE until <= ?", now.UnixMilli())
	if err != nil {
		return 0, fmt.Errorf("drop facts: %w", err)
	}
	return res.RowsAffected()
}
