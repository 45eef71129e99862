package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrHeld is a deed that a legal hold forbids.
var ErrHeld = errors.New("recording has a legal hold")

// ErrDoomed is a hold that comes too late: the recording is being destroyed.
var ErrDoomed = errors.New("recording is being destroyed")

// A Hold keeps recordings from being destroyed, whatever their term, until it ends.
type Hold struct {
	Name   string    `json:"name"`
	Query  *Query    `json:"query,omitempty"` // of a rule: what matches is held, also what is stored later; nil: the recordings that it was given
	Reason string    `json:"reason"`          // a reference, as "Case 2026/17"
	By     string    `json:"by"`              // who placed it
	At     time.Time `json:"at"`
	Ended  time.Time `json:"ended,omitzero"` // zero while it is in force
}

// A HoldState says how far the hold of one recording has come.
type HoldState string

// The states of a held recording. In all but the last nothing of it may be destroyed.
const (
	HoldPlacing HoldState = "placing" // the store does not know of it yet
	HoldPlaced  HoldState = "placed"  // the store holds every version
	HoldLifting HoldState = "lifting" // it was released, and the store does not know of that yet
	HoldLifted  HoldState = "lifted"  // over; a rule leaves the recording alone from then on
)

// A Held is one recording under one hold.
type Held struct {
	Recording string    `json:"recording"`
	Hold      string    `json:"hold"`
	State     HoldState `json:"state"`
	Since     time.Time `json:"since"`          // of the state
	Reason    string    `json:"reason"`         // of the hold
	Over      bool      `json:"over,omitempty"` // the hold has ended
}

// PutHold adds a hold, or replaces the one with its name.
func (c *Catalog) PutHold(ctx context.Context, h Hold) error {
	if h.Name == "" || h.Reason == "" || h.At.IsZero() {
		return errors.New("put hold: its name, reason or time is missing")
	}
	query := ""
	if h.Query != nil {
		query = encode(h.Query)
	}
	_, err := c.write.ExecContext(ctx, `INSERT INTO holds (name, query, reason, placed_by, placed_at, ended_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET query = excluded.query, reason = excluded.reason, placed_by = excluded.placed_by,
		placed_at = excluded.placed_at, ended_at = excluded.ended_at`,
		h.Name, query, h.Reason, h.By, millis(h.At), millis(h.Ended))
	if err != nil {
		return fmt.Errorf("put hold %s: %w", h.Name, err)
	}
	return nil
}

// Holds lists the holds, the oldest first, also those that have ended.
func (c *Catalog) Holds(ctx context.Context) ([]Hold, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT name, query, reason, placed_by, placed_at, ended_at FROM holds ORDER BY placed_at, name")
	if err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	defer rows.Close()
	var list []Hold
	for rows.Next() {
		var h Hold
		var query string
		var at, ended int64
		if err := rows.Scan(&h.Name, &query, &h.Reason, &h.By, &at, &ended); err != nil {
			return nil, fmt.Errorf("list holds: %w", err)
		}
		h.At, h.Ended = fromMillis(at), fromMillis(ended)
		if query != "" {
			h.Query = new(Query)
			if err := json.Unmarshal([]byte(query), h.Query); err != nil {
				return nil, fmt.Errorf("list holds: %s: %w", h.Name, err)
			}
		}
		list = append(list, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	return list, nil
}

// HoldRecording puts a recording under a hold, from now on: what is not doomed yet is not destroyed any more. One that was let go is held
// again only if again says so. Held tells whether anything has changed. A recording that is being destroyed is ErrDoomed.
func (c *Catalog) HoldRecording(ctx context.Context, h Held, again bool) (held bool, err error) {
	err = c.write.inTx(ctx, func(ctx context.Context, tx tx) error {
		var doomed bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM doomed WHERE recording_id = ? AND at <= ?)", h.Recording, millis(h.Since)).Scan(&doomed); err != nil {
			return err
		}
		if doomed {
			return ErrDoomed
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO held (recording_id, hold, state, since) VALUES (?, ?, ?, ?) ON CONFLICT (recording_id, hold)
			DO UPDATE SET state = excluded.state, since = excluded.since WHERE ? AND held.state IN ('lifting', 'lifted')`,
			h.Recording, h.Hold, string(h.State), millis(h.Since), again)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		held = n > 0
		return err
	}, ofRecording(h.Recording))
	if err != nil {
		return false, fmt.Errorf("hold recording %s: %w", h.Recording, err)
	}
	return held, nil
}

// SetHeld notes how far the hold of a recording has come.
func (c *Catalog) SetHeld(ctx context.Context, h Held) error {
	_, err := c.write.ExecContext(ctx, `INSERT INTO held (recording_id, hold, state, since) VALUES (?, ?, ?, ?)
		ON CONFLICT (recording_id, hold) DO UPDATE SET state = excluded.state, since = excluded.since WHERE held.state <> excluded.state`,
		h.Recording, h.Hold, string(h.State), millis(h.Since))
	if err != nil {
		return fmt.Errorf("note hold of %s: %w", h.Recording, err)
	}
	return nil
}

// HoldsOf lists the holds that a recording is under, those that are being lifted too.
func (c *Catalog) HoldsOf(ctx context.Context, id string) ([]Held, error) {
	return c.held(ctx, "WHERE held.recording_id = ? AND state <> 'lifted'", id)
}

// HeldBy lists what a hold holds, also what it has let go.
func (c *Catalog) HeldBy(ctx context.Context, hold string) ([]Held, error) {
	return c.held(ctx, "WHERE held.hold = ?", hold)
}

// HeldUnder tells how far a hold of a recording has come; its State is empty when it never was under that hold.
func (c *Catalog) HeldUnder(ctx context.Context, id, hold string) (Held, error) {
	list, err := c.held(ctx, "WHERE held.recording_id = ? AND held.hold = ?", id, hold)
	if err != nil || len(list) == 0 {
		return Held{}, err
	}
	return list[0], nil
}

// Unsettled lists what the store may not know of yet, and what is still held by a hold that has ended.
func (c *Catalog) Unsettled(ctx context.Context) ([]Held, error) {
	return c.held(ctx, "WHERE state IN ('placing', 'lifting') OR state = 'placed' AND holds.ended_at > 0")
}

// LiftAll ends what is left of the holds of a recording that is gone.
func (c *Catalog) LiftAll(ctx context.Context, id string, at time.Time) error {
	if _, err := c.write.ExecContext(ctx, "UPDATE held SET state = 'lifted', since = ? WHERE recording_id = ? AND state <> 'lifted'", millis(at), id); err != nil {
		return fmt.Errorf("lift holds of %s: %w", id, err)
	}
	return nil
}

func (c *Catalog) held(ctx context.Context, where string, args ...any) ([]Held, error) {
	rows, err := c.read.QueryContext(ctx, `SELECT held.recording_id, held.hold, held.state, held.since, holds.reason, holds.ended_at > 0
		FROM held JOIN holds ON holds.name = held.hold `+where+" ORDER BY held.recording_id, holds.placed_at, held.hold", args...)
	if err != nil {
		return nil, fmt.Errorf("list held recordings: %w", err)
	}
	defer rows.Close()
	var list []Held
	for rows.Next() {
		var h Held
		var state string
		var since int64
		if err := rows.Scan(&h.Recording, &h.Hold, &state, &since, &h.Reason, &h.Over); err != nil {
			return nil, fmt.Errorf("list held recordings: %w", err)
		}
		h.State, h.Since = HoldState(state), fromMillis(since)
		list = append(list, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list held recordings: %w", err)
	}
	return list, nil
}

// heldCondition is true of a recording in the store that is held. A hold of one that is not there yet takes effect when it is.
const heldCondition = `EXISTS (SELECT 1 FROM held JOIN recordings r ON r.id = held.recording_id
	WHERE held.recording_id = ? AND held.state <> 'lifted' AND r.state IN ('stored', 'locked'))`

// Condemn dooms a recording that is about to be destroyed, unless it is held: then it is ErrHeld, and nothing has changed. From then on it
// cannot be held any more, and the facts are gone that were kept of its decision: they name those who took part.
func (c *Catalog) Condemn(ctx context.Context, d Doom) error {
	if d.ID == "" || d.Reason == "" {
		return errors.New("condemn recording: the id or the reason is missing")
	}
	err := c.write.inTx(ctx, func(ctx context.Context, tx tx) error { return condemn(ctx, tx, d) }, ofRecording(d.ID))
	if err != nil {
		return fmt.Errorf("condemn recording %s: %w", d.ID, err)
	}
	return nil
}

func condemn(ctx context.Context, tx tx, d Doom) error {
	var held bool
	if err := tx.QueryRowContext(ctx, "SELECT "+heldCondition, d.ID).Scan(&held); err != nil {
		return err
	}
	if held {
		return ErrHeld
	}
	if err := deleteFacts(ctx, tx, d.ID); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO doomed (recording_id, reason, at) VALUES (?, ?, ?)
		ON CONFLICT (recording_id) DO UPDATE SET at = excluded.at WHERE excluded.at < doomed.at`, d.ID, d.Reason, d.At.UnixMilli())
	return err
}
