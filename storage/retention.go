package storage

import (
	"fmt"
	"time"
)

// Mode is how strictly a retention binds, in the words of S3.
type Mode string

const (
	// Governance can be ended by someone with a special permission. Only an eraser asks to.
	Governance Mode = "GOVERNANCE"
	// Compliance cannot be ended or shortened by anybody.
	Compliance Mode = "COMPLIANCE"
)

// MaxRetention is the longest time ahead that a retention may reach: what S3 allows, and a guard against a slip in a
// configuration that no one could undo.
const MaxRetention = 100 * 366 * 24 * time.Hour

// A Retention forbids to delete a version before a time. The zero value is none.
type Retention struct {
	Mode  Mode
	Until time.Time // whole seconds, UTC
}

// IsZero says whether there is no retention.
func (r Retention) IsZero() bool { return r.Mode == "" && r.Until.IsZero() }

// Active says whether the retention is in force at now.
func (r Retention) Active(now time.Time) bool { return r.Mode != "" && now.Before(r.Until) }

// Covers says whether r binds at least as strictly and as long as want.
func (r Retention) Covers(want Retention) bool {
	if want.IsZero() {
		return true
	}
	return (r.Mode == want.Mode || r.Mode == Compliance) && !r.Until.Before(want.Until)
}

// Equal says whether both are the same mode and instant.
func (r Retention) Equal(other Retention) bool {
	return r.Mode == other.Mode && r.Until.Equal(other.Until)
}

func (r Retention) String() string {
	if r.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%s until %s", r.Mode, r.Until.UTC().Format(time.RFC3339))
}

// Rounded gives r as a store keeps it: UTC, and Until rounded up to a whole second, so that nothing is ever locked for less than
// was asked.
func (r Retention) Rounded() Retention {
	if r.Until.IsZero() {
		return r
	}
	until := r.Until.UTC().Truncate(time.Second)
	if until.Before(r.Until) {
		until = until.Add(time.Second)
	}
	return Retention{Mode: r.Mode, Until: until}
}

// check says whether r is none or well formed.
func (r Retention) check() error {
	if r.IsZero() {
		return nil
	}
	if r.Mode != Governance && r.Mode != Compliance {
		return fmt.Errorf("%w: retention mode %q, allowed are %s and %s", ErrInvalid, r.Mode, Governance, Compliance)
	}
	if r.Until.IsZero() {
		return fmt.Errorf("%w: retention without an end", ErrInvalid)
	}
	return nil
}

// checkSet says whether r may be set at now: well formed, in the future, and not absurdly far.
func (r Retention) checkSet(now time.Time) error {
	if err := r.check(); err != nil {
		return err
	}
	if !r.Active(now) {
		return fmt.Errorf("%w: retention %v is not in the future", ErrInvalid, r)
	}
	if r.Until.Sub(now) > MaxRetention {
		return fmt.Errorf("%w: retention %v is more than 100 years away", ErrInvalid, r)
	}
	return nil
}

// yieldsTo says whether next may take the place of r at now.
func (r Retention) yieldsTo(next Retention, now time.Time) error {
	if !r.Active(now) {
		return nil
	}
	if next.Mode != r.Mode {
		return fmt.Errorf("%w: %v cannot become %v", ErrLocked, r, next)
	}
	if next.Until.Before(r.Until) {
		return fmt.Errorf("%w: %v cannot be shortened to %v", ErrLocked, r, next)
	}
	return nil
}
