package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/greffier/greffier/audit"
)

// EventVerified is a round that has ended. What it found of the kinds that rounds witness stands before it, an event each, whose type is
// the kind.
const EventVerified = "verify.done"

const (
	// MaxTold is how many findings a round witnesses at most; the rest is counted.
	MaxTold = 1000
	// roundRest is how long after its beginning no other process begins a round: less than a day, so that the next day's is not kept away
	// by this one's, and long enough that each day has one.
	roundRest = 20 * time.Hour
)

// A Round is what the audit log keeps of one: the data of EventVerified.
type Round struct {
	At         time.Time           `json:"-"`          // when it ended
	Began      time.Time           `json:"began"`      // and began
	Entries    uint64              `json:"entries"`    // of the audit log, as it was read
	Head       string              `json:"head"`       // its last then
	Recordings int                 `json:"recordings"` // read whole
	Documents  int                 `json:"documents"`  // likewise
	Versions   int                 `json:"versions"`   // that the store listed
	Findings   map[FindingKind]int `json:"findings"`   // how many, of every kind
	Untold     int                 `json:"untold,omitempty"`
}

// Round verifies at a pace, and witnesses what it finds and that it was done: each finding once a day, at most, however often the server
// starts. Of the processes that share the catalog one makes a round, and the others get ErrNotOurs until roundRest has passed.
func (a *Archive) Round(ctx context.Context, pace Pace) (VerifyReport, error) {
	began := a.now()
	t, err := a.takeLease(ctx, leaseVerify)
	if err != nil {
		return VerifyReport{}, fmt.Errorf("make a round: %w", err)
	}
	rep, err := a.VerifyAt(ctx, func(ctx context.Context, n int64) error {
		if err := t.keep(ctx); err != nil {
			return err
		}
		return pace(ctx, n)
	}, func(int) {})
	if err == nil {
		err = t.keep(ctx)
	}
	if err == nil {
		err = a.witnessRound(ctx, rep, began)
	}
	if err != nil {
		return rep, errors.Join(fmt.Errorf("make a round: %w", err), t.end(ctx))
	}
	rest := max(began.Add(roundRest).Sub(a.now()), time.Millisecond)
	if _, err := a.Catalog.Lease(ctx, leaseVerify, a.Holder, rest); err != nil {
		return rep, fmt.Errorf("make a round: %w", err)
	}
	return rep, nil
}

// LastRound gives the last round that the audit log tells of. It is false when there was none.
func (a *Archive) LastRound(ctx context.Context) (last Round, made bool, err error) {
	for e, err := range audit.Read(a.AuditDir) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return last, made, fmt.Errorf("read audit log: %w", err)
		}
		if e.Type != EventVerified {
			continue
		}
		var r Round
		if err := json.Unmarshal(e.Data, &r); err != nil {
			return last, made, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
		r.At = e.Time
		last, made = r, true
	}
	return last, made, nil
}
