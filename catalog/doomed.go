package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Doom says that a recording is to be destroyed, and why. It stands until that is done, through every restart.
type Doom struct {
	ID     string
	Reason string
	At     time.Time // from when on; not before
}

// Doom notes that a recording is to be destroyed now. The recording may still go on, and need not be in the catalog. One that is doomed
// already keeps its reason.
func (c *Catalog) Doom(ctx context.Context, id, reason string) error {
	return c.DoomFrom(ctx, Doom{ID: id, Reason: reason, At: c.now()})
}

// DoomFrom is Doom, not before a time: what is not undone until then is destroyed.
func (c *Catalog) DoomFrom(ctx context.Context, d Doom) error {
	if d.ID == "" || d.Reason == "" {
		return errors.New("doom recording: the id or the reason is missing")
	}
	if _, err := c.write.ExecContext(ctx, insertDoom, d.ID, d.Reason, d.At.UnixMilli()); err != nil {
		return fmt.Errorf("doom recording %s: %w", d.ID, err)
	}
	return nil
}

const insertDoom = "INSERT INTO doomed (recording_id, reason, at) VALUES (?, ?, ?) ON CONFLICT (recording_id) DO NOTHING"

// Undoom takes a recording off the list. One that is not on it is no error.
func (c *Catalog) Undoom(ctx context.Context, id string) error {
	if _, err := c.write.ExecContext(ctx, "DELETE FROM doomed WHERE recording_id = ?", id); err != nil {
		return fmt.Errorf("undoom recording %s: %w", id, err)
	}
	return nil
}

// Doomed lists everything that is doomed, the oldest first, also what is not to be destroyed yet.
func (c *Catalog) Doomed(ctx context.Context) ([]Doom, error) {
	list, err := c.doomed(ctx, "ORDER BY at, recording_id")
	if err != nil {
		return nil, fmt.Errorf("list doomed recordings: %w", err)
	}
	return list, nil
}

// DoomOf tells whether a recording is doomed.
func (c *Catalog) DoomOf(ctx context.Context, id string) (d Doom, doomed bool, err error) {
	list, err := c.doomed(ctx, "WHERE recording_id = ?", id)
	if err != nil {
		return Doom{}, false, fmt.Errorf("look for the doom of %s: %w", id, err)
	}
	if len(list) == 0 {
		return Doom{}, false, nil
	}
	return list[0], true, nil
}

func (c *Catalog) doomed(ctx context.Context, tail string, args ...any) ([]Doom, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT recording_id, reason, at FROM doomed "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Doom
	for rows.Next() {
		var d Doom
		var at int64
		if err := rows.Scan(&d.ID, &d.Reason, &at); err != nil {
			return nil, err
		}
		d.At = fromMillis(at)
		list = append(list, d)
	}
	return list, rows.Err()
}

// Supersede puts a recording into the place of another, at once: the new one is not doomed any more, and the old one is. One that was held
// meanwhile is ErrHeld, and nothing has changed.
func (c *Catalog) Supersede(ctx context.Context, next Recording, old Doom) error {
	if err := next.validate(); err != nil {
		return fmt.Errorf("supersede recording: %w", err)
	}
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		if err := putIn(ctx, tx, next, c.now().UnixMilli()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM doomed WHERE recording_id = ?", next.ID); err != nil {
			return err
		}
		return condemn(ctx, tx, old)
	}, ofRecording(next.ID), ofRecording(old.ID))
	if err != nil {
		return fmt.Errorf("supersede recording %s: %w", old.ID, err)
	}
	return nil
}

// Forget takes a recording out of the catalog and off the list of the doomed, with the facts that are kept of it. One that is in neither
// is no error.
func (c *Catalog) Forget(ctx context.Context, id string) error {
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		if err := deleteFacts(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM recordings WHERE id = ?", id)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM doomed WHERE recording_id = ?", id)
		return err
	}, ofRecording(id))
	if err != nil {
		return fmt.Errorf("forget recording %s: %w", id, err)
	}
	return nil
}
