package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Erasure is a request to erase a recording, by one person, that another decides about.
type Erasure struct {
	Recording string       `json:"recording"`
	Reason    string       `json:"reason"` // a reference, as "GDPR Art. 17 request 12"
	State     ErasureState `json:"state"`
	AskedBy   string       `json:"asked_by"`
	AskedAt   time.Time    `json:"asked_at"`
	DecidedBy string       `json:"decided_by,omitempty"`
	DecidedAt time.Time    `json:"decided_at,omitzero"`
}

// An ErasureState says what became of a request.
type ErasureState string

// The states of a request.
const (
	ErasureRequested ErasureState = "requested"
	ErasureApproved  ErasureState = "approved" // and not carried out yet
	ErasureDone      ErasureState = "done"     // the recording's state says whether its bytes are gone
	ErasureRefused   ErasureState = "refused"
)

// PutErasure adds a request, or replaces the one about its recording.
func (c *Catalog) PutErasure(ctx context.Context, e Erasure) error {
	if e.Recording == "" || e.Reason == "" || e.AskedBy == "" || e.AskedAt.IsZero() {
		return errors.New("put erasure: its recording, reason, asker or time is missing")
	}
	_, err := c.write.ExecContext(ctx, `INSERT INTO erasures (recording_id, reason, state, asked_by, asked_at, decided_by, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (recording_id) DO UPDATE SET reason = excluded.reason, state = excluded.state, asked_by = excluded.asked_by,
		asked_at = excluded.asked_at, decided_by = excluded.decided_by, decided_at = excluded.decided_at`,
		e.Recording, e.Reason, string(e.State), e.AskedBy, millis(e.AskedAt), e.DecidedBy, millis(e.DecidedAt))
	if err != nil {
		return fmt.Errorf("put erasure of %s: %w", e.Recording, err)
	}
	return nil
}

// ErasureOf gives the request about a recording, or ErrNotFound.
func (c *Catalog) ErasureOf(ctx context.Context, id string) (Erasure, error) {
	list, err := c.erasures(ctx, "WHERE recording_id = ?", id)
	if err == nil && len(list) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Erasure{}, fmt.Errorf("get erasure of %s: %w", id, err)
	}
	return list[0], nil
}

// Erasures lists the requests in a state, the oldest first; "" lists all.
func (c *Catalog) Erasures(ctx context.Context, state ErasureState) ([]Erasure, error) {
	list, err := c.erasures(ctx, "WHERE ? IN ('', state) ORDER BY asked_at, recording_id", string(state))
	if err != nil {
		return nil, fmt.Errorf("list erasures: %w", err)
	}
	return list, nil
}

func (c *Catalog) erasures(ctx context.Context, tail string, args ...any) ([]Erasure, error) {
	rows, err := c.read.QueryContext(ctx, "SELECT recording_id, reason, state, asked_by, asked_at, decided_by, decided_at FROM erasures "+tail, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Erasure
	for rows.Next() {
		var e Erasure
		var state string
		var asked, decided int64
		if err := rows.Scan(&e.Recording, &e.Reason, &state, &e.AskedBy, &asked, &e.DecidedBy, &decided); err != nil {
			return nil, err
		}
		e.State, e.AskedAt, e.DecidedAt = ErasureState(state), fromMillis(asked), fromMillis(decided)
		list = append(list, e)
	}
	return list, rows.Err()
}
