package recorder

import (
	"context"
	"errors"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/spool"
)

// termGrace is how long after its term a key may be there, and bytes that no lock protects, before that is a problem: as long as a
// server may be away.
const termGrace = time.Hour

// quarantineGrace is how long after its quarantine a recording may wait for its lock before that is a problem.
const quarantineGrace = time.Hour

// ending tells whether a recording is just being destroyed, or expires. It is left alone, and told of.
func (c *check) ending(ctx context.Context) bool {
	row := c.row
	d, doomed, err := c.Catalog.DoomOf(ctx, row.ID)
	if err != nil {
		c.stop(err)
		return true
	}
	if late := c.now().Sub(row.RetainUntil); !doomed && !row.RetainUntil.IsZero() && late >= 0 && late <= termGrace {
		if _, err := c.Keys.Get(ctx, row.ID); errors.Is(err, seal.ErrDestroyed) { // and the row is about to say so
			c.rep.Unfinished++
			return true
		}
	}
	if !doomed {
		return false
	}
	if err := c.heldError(ctx, row); errors.Is(err, catalog.ErrHeld) {
		c.rep.notice("%s: to be destroyed (%s) when its legal hold is released", row.ID, d.Reason)
		return false
	}
	c.rep.Unfinished++
	c.rep.notice("%s: to be destroyed from %s on: %s", row.ID, d.At.Format(time.RFC3339), d.Reason)
	if late := c.now().Sub(d.At); late > termGrace {
		c.add(RetentionOverdue, "it was to be destroyed %s ago", late.Round(time.Second))
	}
	return true
}

// gone checks that nothing is left of a recording that is expired or destroyed but what the store still locks, and that it did not end
// too early.
func (c *check) gone(ctx context.Context) {
	row := c.row
	early := row.Gone.At.Before(row.RetainUntil)
	switch {
	case !c.story.gone && early:
		c.add(RetentionEarlyLoss, "it is %s before its term has ended, and the audit log does not tell of that", row.State)
	case !c.story.gone:
		c.add(AuditMismatch, "it is %s, and the audit log does not tell of that", row.State)
	case early && row.State == catalog.StateExpired:
		c.add(RetentionEarlyLoss, "it expired at %s, and its term ended at %s", row.Gone.At.Format(time.RFC3339), row.RetainUntil.Format(time.RFC3339))
	}
	if _, err := c.Keys.Get(ctx, row.ID); !errors.Is(err, seal.ErrDestroyed) {
		c.add(RetentionOverdue, "it is %s, and its key is not destroyed", row.State)
	}
	if spool.Holds(c.SpoolDir, row.ID) {
		c.add(RetentionOverdue, "it is %s, and a spool file exists", row.State)
	}
	for _, o := range []storage.Info{c.pair.audio, c.pair.sidecar} {
		if o.Key != "" && row.State == catalog.StateErased {
			c.addAt(RetentionOverdue, o.Ref, "it is erased, and %s is in the store", o.Key)
			continue
		}
		ended := row.Gone.At
		if o.Retention.Until.After(ended) {
			ended = o.Retention.Until
		}
		if late := c.now().Sub(ended); o.Key != "" && !o.LegalHold && late > termGrace {
			c.addAt(RetentionOverdue, o.Ref, "it is %s, and %s could have been deleted %s ago", row.State, o.Key, late.Round(time.Second))
		}
	}
}

// terms checks that a recording is locked when its quarantine is over, unless somebody has to look at it, and that its term is not.
func (c *check) terms(ctx context.Context) {
	row := c.row
	held, err := c.isHeld(ctx, row.ID)
	if err != nil {
		c.stop(err)
		return
	}
	if late := c.now().Sub(row.RetainUntil); !row.RetainUntil.IsZero() && late > 0 && held {
		c.rep.notice("%s: its term has ended, and a legal hold keeps it", row.ID)
	} else if !row.RetainUntil.IsZero() && late > termGrace {
		c.add(RetentionOverdue, "its term ended %s ago, and its key is there", late.Round(time.Second))
	}
	late := c.now().Sub(row.QuarantineUntil)
	if row.State != catalog.StateStored || row.LockMode == string(policy.NoLock) || late <= 0 {
		return
	}
	review, err := c.Catalog.ReviewOf(ctx, row.ID)
	_, doomed, doomErr := c.Catalog.DoomOf(ctx, row.ID)
	switch err := errors.Join(err, doomErr); {
	case doomed, c.now().After(row.RetainUntil): // and held, or about to be gone
	case err != nil:
		c.stop(err)
	case suspected(row, review):
		c.rep.notice("%s: not locked before somebody listens and releases it", row.ID)
	case late > quarantineGrace && c.now().Sub(review.ReleasedAt) > quarantineGrace && c.now().Sub(review.BusyUntil) > quarantineGrace:
		c.add(RetentionUnlocked, "its quarantine ended %s ago, and it is not locked", late.Round(time.Second))
	}
}

// isHeld tells whether a legal hold keeps a recording, and what is written about it.
func (a *Archive) isHeld(ctx context.Context, id string) (bool, error) {
	list, err := a.Catalog.HoldsOf(ctx, id)
	return len(list) > 0, err
}
