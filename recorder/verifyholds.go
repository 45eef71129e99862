package recorder

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// holdGrace is how long the store may not know of a hold, or of its end, before that is a problem: as long as a store may be away.
const holdGrace = time.Hour

// held checks that what is held is held in the store too, by what the catalog says.
func (c *check) held(ctx context.Context) {
	row := c.row
	list, err := c.Catalog.HoldsOf(ctx, row.ID)
	if err != nil {
		c.stop(err)
		return
	}
	placed := false
	for _, h := range list {
		placed = placed || h.State == catalog.HoldPlaced
		if late := c.now().Sub(h.Since); h.State != catalog.HoldPlaced && late > holdGrace {
			c.add(HoldMismatch, "hold %s is %s since %s, and the store does not know", h.Hold, h.State, late.Round(time.Second))
		}
	}
	if len(list) > 0 {
		c.rep.Held++
	}
	for _, o := range []storage.Info{c.pair.audio, c.pair.sidecar} {
		switch {
		case placed && !o.LegalHold:
			c.addAt(HoldMismatch, o.Ref, "it is held, and the store has no legal hold of %s: hold it again", o.Key)
		case len(list) == 0 && o.LegalHold:
			c.rep.notice("%s: the store has a legal hold of %s that Greffier did not place", row.ID, o.Key)
		}
	}
}

// holds checks that the holds of the catalog are those that the audit log tells of.
func (v *verification) holds(ctx context.Context) error {
	told, err := v.holdStory(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		v.rep.problem(HoldMismatch, "holds: %v", err)
		return nil
	}
	holds, err := v.Holds(ctx)
	if err != nil {
		return err
	}
	active := map[heldKey]bool{}
	for _, h := range holds {
		if s := told.holds[h.Name]; s == nil || s.Reason != h.Reason {
			v.rep.problem(HoldMismatch, "hold %s: the audit log does not tell of it as it is", h.Name)
		}
		for _, x := range h.Recordings {
			if x.State == catalog.HoldLifted {
				continue
			}
			active[heldKey{x.Recording, h.Name}] = true
			if s := told.member[heldKey{x.Recording, h.Name}]; s.State == "" || s.State == catalog.HoldLifted {
				v.rep.about(x.Recording, HoldMismatch, "the audit log does not tell that hold %s holds it", h.Name)
			}
		}
	}
	for key, s := range told.member {
		if s.State == catalog.HoldLifted || s.State == catalog.HoldLifting || active[key] {
			continue
		}
		row, err := v.Catalog.Get(ctx, key.recording)
		if errors.Is(err, catalog.ErrNotFound) || err == nil && isGone(row) && s.State == catalog.HoldPlacing {
			continue // it was destroyed before it was stored, or never came to be
		}
		if list, err := v.Catalog.HoldsOf(ctx, key.recording); err == nil && slices.ContainsFunc(list, func(h catalog.Held) bool { return h.Hold == key.hold }) {
			continue // just now
		}
		if s.State == catalog.HoldPlaced || v.now().Sub(s.Since) > holdGrace {
			v.rep.about(key.recording, HoldMismatch, "the audit log tells that hold %s holds it, and the catalog does not (`greffier catalog rebuild` mends it)", key.hold)
		}
	}
	return nil
}

// erasures checks that what was approved is done, and that requests and restrictions are those that the audit log tells of.
func (v *verification) erasures(ctx context.Context) error {
	told, err := v.wishes(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err != nil {
		v.rep.problem(AuditMismatch, "erasures: %v", err)
		return nil
	}
	list, err := v.Catalog.Erasures(ctx, "")
	if err != nil {
		return err
	}
	for _, e := range list {
		said := told.erasures[e.Recording]
		if e.State != catalog.ErasureRequested && (said.State == "" || said.DecidedBy != e.DecidedBy || said.AskedBy != e.AskedBy) {
			v.rep.about(e.Recording, AuditMismatch, "the audit log does not tell of the request for erasure as it is")
		}
		late := v.now().Sub(e.DecidedAt)
		if e.State != catalog.ErasureApproved || late <= termGrace {
			continue
		}
		held, err := v.isHeld(ctx, e.Recording)
		if err != nil {
			return err
		}
		if held {
			v.rep.notice("%s: to be erased when its legal hold is released", e.Recording)
		} else {
			v.rep.about(e.Recording, RetentionOverdue, "its erasure was approved %v ago, and is not done", late)
		}
	}
	for id, r := range told.restrictions {
		if _, restricted, err := v.Catalog.RestrictionOf(ctx, id); err != nil {
			return err
		} else if restricted {
			continue
		}
		if row, err := v.Catalog.Get(ctx, id); err == nil && !isGone(row) && v.now().Sub(r.At) > holdGrace {
			v.rep.about(id, CatalogMismatch, "the audit log tells that its use is restricted, and the catalog does not (`greffier catalog rebuild` mends it)")
		}
	}
	return nil
}
