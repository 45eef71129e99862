package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
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
func (a *Archive) holdStory() (holdStory, error) {
	s := holdStory{map[string]*toldHold{}, map[heldKey]catalog.Held{}}
	for e, err := range audit.Read(a.AuditDir) {
		if err != nil {
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
	s, err := a.holdStory()
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

// holdGrace is how long the store may not know of a hold, or of its end, before that is a problem: as long as a store may be away.
const holdGrace = time.Hour

// verifyHeld checks that what is held is held in the store too, by what the catalog says.
func (a *Archive) verifyHeld(ctx context.Context, row catalog.Recording, p pair, rep *VerifyReport) []string {
	list, err := a.Catalog.HoldsOf(ctx, row.ID)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	placed := false
	for _, h := range list {
		placed = placed || h.State == catalog.HoldPlaced
		if late := a.now().Sub(h.Since); h.State != catalog.HoldPlaced && late > holdGrace {
			out = append(out, fmt.Sprintf("hold %s is %s since %s, and the store does not know", h.Hold, h.State, late.Round(time.Second)))
		}
	}
	if len(list) > 0 {
		rep.Held++
	}
	for _, o := range []storage.Info{p.audio, p.sidecar} {
		switch {
		case placed && !o.LegalHold:
			out = append(out, fmt.Sprintf("it is held, and the store has no legal hold of %s: hold it again", o.Key))
		case len(list) == 0 && o.LegalHold:
			rep.Notices = append(rep.Notices, fmt.Sprintf("%s: the store has a legal hold of %s that Greffier did not place", row.ID, o.Key))
		}
	}
	return out
}

// verifyHolds checks that the holds of the catalog are those that the audit log tells of.
func (a *Archive) verifyHolds(ctx context.Context, rep *VerifyReport) error {
	told, err := a.holdStory()
	if err != nil {
		rep.problem("holds: %v", err)
		return nil
	}
	holds, err := a.Holds(ctx)
	if err != nil {
		return err
	}
	active := map[heldKey]bool{}
	for _, h := range holds {
		if s := told.holds[h.Name]; s == nil || s.Reason != h.Reason {
			rep.problem("hold %s: the audit log does not tell of it as it is", h.Name)
		}
		for _, x := range h.Recordings {
			if x.State == catalog.HoldLifted {
				continue
			}
			active[heldKey{x.Recording, h.Name}] = true
			if s := told.member[heldKey{x.Recording, h.Name}]; s.State == "" || s.State == catalog.HoldLifted {
				rep.problem("%s: the audit log does not tell that hold %s holds it", x.Recording, h.Name)
			}
		}
	}
	for key, s := range told.member {
		if s.State == catalog.HoldLifted || s.State == catalog.HoldLifting || active[key] {
			continue
		}
		row, err := a.Catalog.Get(ctx, key.recording)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && isGone(row) && s.State == catalog.HoldPlacing {
			continue // it was destroyed before it was stored, or never came to be
		}
		if list, err := a.Catalog.HoldsOf(ctx, key.recording); err == nil && slices.ContainsFunc(list, func(h catalog.Held) bool { return h.Hold == key.hold }) {
			continue // just now
		}
		if s.State == catalog.HoldPlaced || a.now().Sub(s.Since) > holdGrace {
			rep.problem("%s: the audit log tells that hold %s holds it, and the catalog does not (`greffier catalog rebuild` mends it)", key.recording, key.hold)
		}
	}
	return nil
}
