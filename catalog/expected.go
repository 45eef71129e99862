package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Expected is a call that has to have a recording.
type Expected struct {
	CallHash string // keyed; names the call here and in the audit log
	Class    string // that it is to be recorded under
	EndedAt  time.Time
	Deadline time.Time // when its recording is looked for
	IDs      []string  // identifiers of the call, or keyed hashes of them: it is found by any
}

// Bounds of the calls that are expected.
const (
	// MaxExpected is how many may wait for their deadlines.
	MaxExpected = 100_000
	// MaxExpectedIDs is how many identifiers a call may have.
	MaxExpectedIDs = 128
	// toldTime is how long it is remembered that a call's recording is missing, so that whoever tells of the call again causes no
	// second alarm.
	toldTime = 7 * 24 * time.Hour
	// idTime is how long after a recording's end an identifier of it, seen again, is believed to be of the same call.
	idTime = 24 * time.Hour
	// clockSkew is how far the clocks of this machine and of those who tell of calls may be apart.
	clockSkew = 5 * time.Minute
)

// ofExpected is the subject of what counts the calls that are expected.
const ofExpected = "expected"

// ErrTooManyExpected says that MaxExpected calls wait already.
var ErrTooManyExpected = errors.New("too many calls are expected")

// Expect notes that a call has to have a recording. One that is noted already, or told of, stays as it is.
func (c *Catalog) Expect(ctx context.Context, x Expected) error {
	if x.CallHash == "" || x.EndedAt.IsZero() || x.Deadline.IsZero() || len(x.IDs) == 0 || len(x.IDs) > MaxExpectedIDs {
		return errors.New("expect recording: hash, times or identifiers are missing, or there are too many")
	}
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM expected WHERE told > 0 AND told < ?", c.now().Add(-toldTime).UnixMilli()); err != nil {
			return err
		}
		var waiting int
		err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM expected WHERE told = 0 LIMIT ?) waiting", MaxExpected).Scan(&waiting)
		switch {
		case err != nil:
			return err
		case waiting == MaxExpected:
			return ErrTooManyExpected
		}
		res, err := tx.ExecContext(ctx, "INSERT INTO expected (call_hash, class, ended_at, deadline, told) VALUES (?, ?, ?, ?, 0) ON CONFLICT (call_hash) DO NOTHING",
			x.CallHash, x.Class, x.EndedAt.UnixMilli(), x.Deadline.UnixMilli())
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		for i, id := range x.IDs {
			if _, err := tx.ExecContext(ctx, "INSERT INTO expected_ids (call_hash, position, id) VALUES (?, ?, ?)", x.CallHash, i, id); err != nil {
				return err
			}
		}
		return nil
	}, ofExpected)
	if err != nil {
		return fmt.Errorf("expect recording: %w", err)
	}
	return nil
}

// DueExpected lists at most so many calls whose deadline has come and that nobody was told of, the oldest first.
func (c *Catalog) DueExpected(ctx context.Context, now time.Time, limit int) ([]Expected, error) {
	list, err := c.dueExpected(ctx, now, limit)
	if err != nil {
		return nil, fmt.Errorf("list expected recordings: %w", err)
	}
	return list, nil
}

func (c *Catalog) dueExpected(ctx context.Context, now time.Time, limit int) ([]Expected, error) {
	rows, err := c.read.QueryContext(ctx, `SELECT x.call_hash, x.class, x.ended_at, x.deadline, i.id
		FROM (SELECT * FROM expected WHERE told = 0 AND deadline <= ? ORDER BY deadline, call_hash LIMIT ?) x
		JOIN expected_ids i ON i.call_hash = x.call_hash ORDER BY x.deadline, x.call_hash, i.position`, now.UnixMilli(), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Expected
	for rows.Next() {
		var x Expected
		var ended, deadline int64
		var id string
		if err := rows.Scan(&x.CallHash, &x.Class, &ended, &deadline, &id); err != nil {
			return nil, err
		}
		if n := len(list); n == 0 || list[n-1].CallHash != x.CallHash {
			x.EndedAt, x.Deadline = fromMillis(ended), fromMillis(deadline)
			list = append(list, x)
		}
		last := &list[len(list)-1]
		last.IDs = append(last.IDs, id)
	}
	return list, rows.Err()
}

// Found ends the wait for a call whose recording is there.
func (c *Catalog) Found(ctx context.Context, callHash string) error {
	if _, err := c.write.ExecContext(ctx, "DELETE FROM expected WHERE call_hash = ?", callHash); err != nil {
		return fmt.Errorf("end wait for a recording: %w", err)
	}
	return nil
}

// Told notes that somebody was told that a call has no recording. Its identifiers are forgotten.
func (c *Catalog) Told(ctx context.Context, callHash string) error {
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE expected SET told = ? WHERE call_hash = ?", c.now().UnixMilli(), callHash)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM expected_ids WHERE call_hash = ?", callHash)
		return err
	}, ofExpected)
	if err != nil {
		return fmt.Errorf("note a missing recording: %w", err)
	}
	return nil
}

// RecordingsOf lists the recordings of the call that is expected, the newest first: those that share an identifier with it, by search or
// by conversation, and that do not lie a day before it, or after it. Calls that were not recorded are among them.
func (c *Catalog) RecordingsOf(ctx context.Context, x Expected) ([]Recording, error) {
	if len(x.IDs) == 0 {
		return nil, nil
	}
	args := []any{x.EndedAt.Add(clockSkew).UnixMilli(), x.EndedAt.Add(-idTime).UnixMilli()}
	var ids []any
	for _, id := range x.IDs {
		ids = append(ids, idKey(id))
		if bare, _, cut := strings.Cut(id, ";"); cut {
			ids = append(ids, idKey(bare))
		}
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(ids)), ", ")
	list, err := c.recordings(ctx, `WHERE started_at <= ? AND (ended_at = 0 OR ended_at >= ?) AND (
		id IN (SELECT i.recording_id FROM call_ids i WHERE i.call_id IN (`+marks+`)) OR
		id IN (SELECT l.recording_id FROM links l WHERE l.link IN (`+marks+`))) ORDER BY started_at DESC, id LIMIT ?`,
		append(slices.Concat(args, ids, ids), maxConversation)...)
	if err != nil {
		return nil, fmt.Errorf("find recordings of a call: %w", err)
	}
	return list, nil
}
