package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// recoverTail is how much of the audit log is looked at for decisions that the catalog does not know, in bytes. A decision is indexed as soon as
// it is witnessed, so that what a crash cut off is at the very end: this is a thousand calls and more.
const recoverTail = 16 << 20

// A recovery is what a start finds of the time before it.
type recovery struct {
	told   decisions
	before time.Time // sessions that began later are our own
}

// Recover gives the sessions that were not recorded, and that a crash cut, an end in log and catalog, and destroys again the keys that a
// backup brought back. It is called once, before the first session is taken; what was recorded is Run's business. When the catalog is away
// Run does it later.
func (r *Recorder) Recover(ctx context.Context) error {
	entries, err := r.cfg.Audit.Tail(recoverTail)
	if err != nil {
		return err
	}
	v := &recovery{newDecisions(), r.cfg.Clock()}
	for _, e := range entries {
		if err := v.told.take(e); err != nil {
			return err
		}
	}
	err = r.recover(ctx, v)
	if isCatalogAway(err) {
		r.recovery = v
		r.catalogIs(err)
		return nil
	}
	return err
}

// recoverLate is the rest of Recover.
func (r *Recorder) recoverLate(ctx context.Context) error {
	if r.recovery == nil {
		return nil
	}
	err := r.recover(ctx, r.recovery)
	if isCatalogAway(err) || ctx.Err() != nil {
		return err
	}
	if err != nil {
		r.cfg.Log.Error("recover", zap.Error(err))
	}
	r.recovery = nil
	return nil
}

func (r *Recorder) recover(ctx context.Context, v *recovery) error {
	if err := r.archive().destroyRestored(ctx); err != nil {
		return fmt.Errorf("destroy keys that a backup brought back: %w", err)
	}
	if err := r.recoverDecisions(ctx, v.told); err != nil {
		return err
	}
	rows, err := r.cfg.Catalog.List(ctx, catalog.Query{State: catalog.StateNotRecorded, NotEnded: true, To: v.before})
	if err != nil {
		return fmt.Errorf("list open sessions: %w", err)
	}
	for _, row := range rows {
		if err := r.endCut(ctx, row, utcMS(v.before)); err != nil {
			return err
		}
	}
	return nil
}

// endCut gives a session that a crash cut an end.
func (r *Recorder) endCut(ctx context.Context, row catalog.Recording, at time.Time) error {
	if undecided(policy.Reason(row.Reason)) { // the log says that it is recorded
		if row.Reason == string(policy.Waiting) {
			row.Reason = string(reasonInterrupted)
		}
		if err := r.cfg.Catalog.Put(ctx, row); err != nil {
			return fmt.Errorf("end session: %w", err)
		}
		if err := r.witness(ctx, EventDecision, row.ID, "", decisionOf(row)); err != nil {
			return err
		}
	}
	if err := r.witness(ctx, EventEnded, row.ID, "", endedData{Cause: string(siprec.EndRestart), At: at}); err != nil {
		return err
	}
	return endRow(ctx, r.cfg.Catalog, row.ID, at)
}

// recoverDecisions indexes what was decided not to be recorded in the moment of a crash, or while the catalog was away, and is in the log
// only. What somebody did not want is not kept for simulations either.
func (r *Recorder) recoverDecisions(ctx context.Context, told decisions) error {
	for id, d := range told.last {
		if d.Record {
			continue
		}
		if reason := policy.Reason(d.Reason); reason == policy.Objected || undecided(reason) {
			if err := r.cfg.Catalog.DeleteFacts(ctx, id); err != nil {
				return err
			}
		}
		if _, err := r.cfg.Catalog.Get(ctx, id); !errors.Is(err, catalog.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.cfg.Catalog.Put(ctx, told.row(id)); err != nil {
			return fmt.Errorf("index decision: %w", err)
		}
	}
	return nil
}

// decisions are what the audit log tells of calls: the last decision about each, and when it ended.
type decisions struct {
	last  map[string]decisionData
	ended map[string]time.Time
}

func newDecisions() decisions {
	return decisions{map[string]decisionData{}, map[string]time.Time{}}
}

func (d decisions) take(e audit.Entry) error {
	switch e.Type {
	case EventDecision:
		var data decisionData
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return fmt.Errorf("read decision %d: %w", e.Seq, err)
		}
		d.last[e.Subject] = data
	case EventEnded:
		d.ended[e.Subject] = utcMS(endOf(e))
	}
	return nil
}

// row indexes a call that was not recorded.
func (d decisions) row(id string) catalog.Recording {
	row := unrecorded(id, d.last[id])
	row.EndedAt = d.ended[id]
	return row
}

// endOf is when a session ended, as its event says.
func endOf(e audit.Entry) time.Time {
	var d endedData
	if err := json.Unmarshal(e.Data, &d); err == nil && !d.At.IsZero() {
		return d.At
	}
	return utcMS(e.Time)
}

// undecided tells a row of a call that was to be recorded, and was not because of its parties, yet.
func undecided(reason policy.Reason) bool {
	switch policy.VerdictReason(reason) {
	case policy.WhyNoNotice, policy.WhyNoConsent, policy.WhyObjected, policy.WhyWithdrawn:
		return true
	}
	return reason == policy.Waiting || reason == reasonNotMarked
}

// endRow notes the end of a session that was not recorded.
func endRow(ctx context.Context, c *catalog.Catalog, id string, at time.Time) error {
	row, err := c.Get(ctx, id)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	row.EndedAt = utcMS(at)
	if err := c.Put(ctx, row); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
