package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Review is what stands between a recording and its lock. The zero Review is that of most recordings: nothing.
type Review struct {
	BusyUntil  time.Time // somebody works on it until then, at the latest
	ReleasedAt time.Time // when somebody has looked, and let it go on
}

// ReviewOf gives the review of a recording.
func (c *Catalog) ReviewOf(ctx context.Context, id string) (Review, error) {
	var busy, released int64
	err := c.read.QueryRowContext(ctx, "SELECT busy_until, released_at FROM reviews WHERE recording_id = ?", id).Scan(&busy, &released)
	if errors.Is(err, sql.ErrNoRows) {
		return Review{}, nil
	}
	if err != nil {
		return Review{}, fmt.Errorf("read review of %s: %w", id, err)
	}
	return Review{BusyUntil: fromMillis(busy), ReleasedAt: fromMillis(released)}, nil
}

// Occupy keeps a recording from being locked, or worked on by somebody else, from now until a time. It is false when somebody is at it.
func (c *Catalog) Occupy(ctx context.Context, id string, now, until time.Time) (bool, error) {
	res, err := c.write.ExecContext(ctx, `INSERT INTO reviews (recording_id, busy_until, released_at) VALUES (?, ?, 0)
		ON CONFLICT (recording_id) DO UPDATE SET busy_until = excluded.busy_until WHERE reviews.busy_until <= ?`, id, until.UnixMilli(), now.UnixMilli())
	if err := changed(res, err, "occupy recording "+id); err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	} else if err != nil {
		return false, nil
	}
	return true, nil
}

// Vacate ends what Occupy began.
func (c *Catalog) Vacate(ctx context.Context, id string) error {
	if _, err := c.write.ExecContext(ctx, "UPDATE reviews SET busy_until = 0 WHERE recording_id = ?", id); err != nil {
		return fmt.Errorf("vacate recording %s: %w", id, err)
	}
	return nil
}

// Release notes that somebody has looked at a recording, and let it go on. The first time stays.
func (c *Catalog) Release(ctx context.Context, id string, at time.Time) error {
	_, err := c.write.ExecContext(ctx, `INSERT INTO reviews (recording_id, busy_until, released_at) VALUES (?, 0, ?)
		ON CONFLICT (recording_id) DO UPDATE SET released_at = excluded.released_at WHERE reviews.released_at = 0`, id, at.UnixMilli())
	if err != nil {
		return fmt.Errorf("release recording %s: %w", id, err)
	}
	return nil
}
