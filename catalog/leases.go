package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// WithClock gives the same catalog, on the same connections, by another clock: one that a simulation moves. Either is closed once.
func (c *Catalog) WithClock(now func() time.Time) *Catalog {
	other := *c
	other.now = now
	return &other
}

// Lease gives the holder the right to do what the name says, alone among those that share the catalog, for ttl from now; or makes that
// longer, when the holder has it. It is false when somebody else has it. One statement compares and sets. By the clock of
// whoever asks: machines that share a catalog keep theirs in step.
func (c *Catalog) Lease(ctx context.Context, name, holder string, ttl time.Duration) (bool, error) {
	if name == "" || holder == "" || ttl <= 0 {
		return false, errors.New("lease: a name, a holder and a time are needed")
	}
	now := c.now()
	res, err := c.write.ExecContext(ctx, `INSERT INTO leases (name, holder, ends_at) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at
		WHERE leases.holder = excluded.holder OR leases.ends_at <= ?`, name, holder, now.Add(ttl).UnixMilli(), now.UnixMilli())
	err = changed(res, err, "lease "+name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// EndLease gives back what the holder has. What it has not, or no longer, is no error.
func (c *Catalog) EndLease(ctx context.Context, name, holder string) error {
	if _, err := c.write.ExecContext(ctx, "DELETE FROM leases WHERE name = ? AND holder = ?", name, holder); err != nil {
		return fmt.Errorf("end lease %s: %w", name, err)
	}
	return nil
}
