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

// wishes are what the audit log tells of requests for erasure, and of restrictions.
type wishes struct {
	erasures     map[string]catalog.Erasure
	restrictions map[string]catalog.Restriction
}

// wishes replays the audit log.
func (a *Archive) wishes(ctx context.Context) (wishes, error) {
	w := wishes{map[string]catalog.Erasure{}, map[string]catalog.Restriction{}}
	for e, err := range audit.Read(a.AuditDir) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return w, fmt.Errorf("read audit log: %w", err)
		}
		if e.Outcome != audit.Done {
			continue
		}
		if err := w.tell(e); err != nil {
			return w, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
	}
	return w, nil
}

// tell adds one entry.
func (w *wishes) tell(e audit.Entry) error {
	at := utcMS(e.Time)
	switch e.Type {
	case EventErasureRequested, EventErasureApproved, EventErasureRefused:
		var d erasureData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		x := w.erasures[e.Subject]
		x.Recording, x.Reason, x.AskedBy = e.Subject, d.Reason, d.AskedBy
		switch e.Type {
		case EventErasureRequested:
			x = catalog.Erasure{Recording: e.Subject, Reason: d.Reason, State: catalog.ErasureRequested, AskedBy: d.AskedBy, AskedAt: at}
		case EventErasureApproved:
			x.State, x.DecidedBy, x.DecidedAt = catalog.ErasureApproved, e.Actor, at
		default:
			x.State, x.DecidedBy, x.DecidedAt = catalog.ErasureRefused, e.Actor, at
		}
		w.erasures[e.Subject] = x
	case EventErased:
		if x, asked := w.erasures[e.Subject]; asked {
			x.State = catalog.ErasureDone
			w.erasures[e.Subject] = x
		}
	case EventRestricted:
		var d whyData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		w.restrictions[e.Subject] = catalog.Restriction{Recording: e.Subject, Reason: d.Why, By: e.Actor, At: at}
	case EventUnrestricted, EventShredded, EventExpired, EventDestroyed:
		delete(w.restrictions, e.Subject)
	}
	return nil
}

// rebuildErasures makes the requests for erasure and the restrictions again, and sees to it that no key that a backup brought back opens what
// is gone.
func (a *Archive) rebuildErasures(ctx context.Context) error {
	w, err := a.wishes(ctx)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(w.erasures)) {
		if err := a.Catalog.PutErasure(ctx, w.erasures[id]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.restrictions)) {
		if err := a.Catalog.Restrict(ctx, w.restrictions[id]); err != nil {
			return err
		}
	}
	return a.destroyRestored(ctx)
}

// destroyRestored destroys the keys of what is gone: a backup that is older than their destruction may have brought them back.
func (a *Archive) destroyRestored(ctx context.Context) error {
	gone, err := a.Catalog.Gone(ctx)
	if err != nil {
		return err
	}
	var back []string
	for id, err := range a.Keys.List(ctx) {
		if err != nil {
			return err
		}
		if gone[id] {
			back = append(back, id)
		}
	}
	for _, id := range back {
		if err := a.Keys.Destroy(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
