package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
)

// holdStory is what the audit log tells of holds. Nothing else knows them when the catalog is lost.
type holdStory struct {
	holds  map[string]*toldHold
	member map[heldKey]catalog.Held
}

type toldHold struct {
	catalog.Hold
	hashed bool // what its rule looks for stands in the log as a hash
}

type heldKey struct{ recording, hold string }

// holdStory replays the audit log. What was to be held is held until its release was witnessed, whatever a crash cut off.
func (a *Archive) holdStory(ctx context.Context) (holdStory, error) {
	s := holdStory{map[string]*toldHold{}, map[heldKey]catalog.Held{}}
	for e, err := range audit.Read(a.AuditDir) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return s, fmt.Errorf("read audit log: %w", err)
		}
		if e.Type != EventHoldPlaced && e.Type != EventHoldReleased || e.Outcome == audit.Failed {
			continue
		}
		var d holdData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return s, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
		s.tell(e, d)
	}
	return s, nil
}

// tell adds one entry.
func (s *holdStory) tell(e audit.Entry, d holdData) {
	at, key := utcMS(e.Time), heldKey{e.Subject, d.Hold}
	switch h := s.holds[d.Hold]; {
	case e.Type == EventHoldPlaced && e.Subject == "":
		told := toldHold{Hold: catalog.Hold{Name: d.Hold, Reason: d.Reason, By: e.Actor, At: at}}
		if d.Query != nil {
			q := d.Query.Query
			told.Query, told.hashed = &q, d.Query.Hashed
		}
		if h == nil {
			s.holds[d.Hold] = &told
		}
	case e.Subject == "":
		if h != nil && h.Ended.IsZero() {
			h.Ended = at
		}
	case e.Type == EventHoldPlaced && e.Outcome == audit.Done && !d.Pending:
		s.member[key] = catalog.Held{Recording: e.Subject, Hold: d.Hold, State: catalog.HoldPlaced, Since: at}
	case e.Type == EventHoldPlaced:
		s.member[key] = catalog.Held{Recording: e.Subject, Hold: d.Hold, State: catalog.HoldPlacing, Since: at}
	case e.Outcome == audit.Done:
		s.member[key] = catalog.Held{Recording: e.Subject, Hold: d.Hold, State: catalog.HoldLifted, Since: at}
	default:
		s.member[key] = catalog.Held{Recording: e.Subject, Hold: d.Hold, State: catalog.HoldLifting, Since: at}
	}
}

// rebuildHolds makes the holds again, and brings the store up to them. A hold that the catalog has is left as it is: the log knows less.
func (a *Archive) rebuildHolds(ctx context.Context, rep *RebuildReport) error {
	s, err := a.holdStory(ctx)
	if err != nil {
		return err
	}
	there, err := a.Catalog.Holds(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.holds)) {
		h := s.holds[name]
		if slices.ContainsFunc(there, func(x catalog.Hold) bool { return x.Name == name }) {
			continue
		}
		if h.hashed {
			h.Query = nil
			if h.Ended.IsZero() {
				rep.Problems = append(rep.Problems, fmt.Sprintf("hold %s: what it holds is held, and what is stored later is not, because the log has only hashes of what its rule looks for: place another", name))
			}
		}
		if err := a.Catalog.PutHold(ctx, h.Hold); err != nil {
			return err
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(s.member), func(x, y heldKey) int {
		return slices.Compare([]string{x.recording, x.hold}, []string{y.recording, y.hold})
	}) {
		if s.holds[key.hold] == nil {
			continue
		}
		entry := s.member[key]
		if row, err := a.Catalog.Get(ctx, key.recording); err == nil && isGone(row) {
			entry.State = catalog.HoldLifted
		}
		if err := a.Catalog.SetHeld(ctx, entry); err != nil {
			return err
		}
	}
	if err := a.settleHolds(ctx); err != nil {
		rep.Problems = append(rep.Problems, fmt.Sprintf("the store does not know of every hold yet: %v", err))
	}
	return nil
}
