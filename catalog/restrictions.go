package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Restriction says that a recording is kept, and not used (GDPR Art. 18).
type Restriction struct {
	Recording string    `json:"recording"`
	Reason    string    `json:"reason"`
	By        string    `json:"by"`
	At        time.Time `json:"at"`
}

// Restrict notes that a recording may not be used. One that is restricted already keeps its reason.
func (c *Catalog) Restrict(ctx context.Context, r Restriction) error {
	if r.Recording == "" || r.Reason == "" || r.At.IsZero() {
		return errors.New("restrict recording: the id, the reason or the time is missing")
	}
	_, err := c.write.ExecContext(ctx, "INSERT INTO restrictions (recording_id, reason, placed_by, placed_at) VALUES (?, ?, ?, ?) ON CONFLICT (recording_id) DO NOTHING",
		r.Recording, r.Reason, r.By, millis(r.At))
	if err != nil {
		return fmt.Errorf("restrict recording %s: %w", r.Recording, err)
	}
	return nil
}

// Unrestrict ends a restriction. One that is not there is no error.
func (c *Catalog) Unrestrict(ctx context.Context, id string) error {
	if _, err := c.write.ExecContext(ctx, "DELETE FROM restrictions WHERE recording_id = ?", id); err != nil {
		return fmt.Errorf("end restriction of %s: %w", id, err)
	}
	return nil
}

// RestrictionOf tells whether a recording is restricted.
func (c *Catalog) RestrictionOf(ctx context.Context, id string) (r Restriction, restricted bool, err error) {
	var at int64
	r.Recording = id
	err = c.read.QueryRowContext(ctx, "SELECT reason, placed_by, placed_at FROM restrictions WHERE recording_id = ?", id).Scan(&r.Reason, &r.By, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Restriction{}, false, nil
	}
	if err != nil {
		return Restriction{}, false, fmt.Errorf("look for the restriction of %s: %w", id, err)
	}
	r.At = fromMillis(at)
	return r, true, nil
}
