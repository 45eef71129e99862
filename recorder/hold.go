package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/greffier/greffier/catalog"
)

// A HoldOrder says what is to be held, and why.
type HoldOrder struct {
	Name   string         // of the hold; "": one is made. A name that is there adds recordings to its hold
	Query  *catalog.Query // of a rule: what it finds in the store is held, now and whenever something is stored
	IDs    []string       // of recordings; those of one that goes on, or is being finished, are held when they are stored
	Reason string         // a reference, as "Case 2026/17"
	Actor  string
}

// maxHoldName bounds the name of a hold, in bytes.
const maxHoldName = 100

// holdData is the data of EventHoldPlaced and EventHoldReleased. Without a subject the event is of the hold itself.
type holdData struct {
	Hold    string     `json:"hold"`
	Reason  string     `json:"reason,omitempty"`
	Query   *heldQuery `json:"query,omitempty"`
	Pending bool       `json:"pending,omitempty"` // of done: it takes effect when the recording is stored
}

// A heldQuery is a rule's query as the audit log may tell it: what names somebody is a keyed hash.
type heldQuery struct {
	catalog.Query
	Hashed bool `json:"hashed,omitempty"` // party, number or call_id are hashes
}

// hashed gives a query without what names somebody.
func (w *words) hashed(q *catalog.Query) *heldQuery {
	if q == nil {
		return nil
	}
	out := heldQuery{Query: *q}
	for _, field := range []*string{&out.Party, &out.Number, &out.CallID} {
		out.Hashed = out.Hashed || *field != ""
		*field = w.once(*field)
	}
	return &out
}

// check tells why an order cannot be carried out. The error wraps ErrRefused.
func (o *HoldOrder) check() error {
	q := o.Query
	switch {
	case strings.TrimSpace(o.Reason) == "":
		return fmt.Errorf("%w: say why", ErrRefused)
	case len(o.Name) > maxHoldName:
		return fmt.Errorf("%w: the name of a hold has at most %d bytes", ErrRefused, maxHoldName)
	case (q == nil) == (len(o.IDs) == 0):
		return fmt.Errorf("%w: hold either recordings by their ids, or what a query finds", ErrRefused)
	case q == nil:
		return nil
	case *q == catalog.Query{}:
		return fmt.Errorf("%w: a query without a filter would hold everything: give one, as a date", ErrRefused)
	case q.State != "" || q.Limit != 0 || q.After != "":
		return fmt.Errorf("%w: a rule has no state, limit or page: it holds what is in the store, and what is stored later", ErrRefused)
	}
	return nil
}

// Hold places a legal hold: from then on nothing of a recording is destroyed, by nobody and whatever its term, until the hold is released.
// The recordings are held in the catalog at once, and in the store too when Hold returns without an error; with one that wraps
// storage.ErrUnavailable the server sees to it. A recording that is being destroyed is catalog.ErrDoomed.
func (a *Archive) Hold(ctx context.Context, o HoldOrder) (catalog.Hold, error) {
	if err := o.check(); err != nil {
		return catalog.Hold{}, fmt.Errorf("hold recordings: %w", err)
	}
	for _, id := range o.IDs {
		if err := a.holdable(ctx, id); err != nil {
			return catalog.Hold{}, fmt.Errorf("hold recording %s: %w", id, err)
		}
	}
	h, err := a.openHold(ctx, o)
	if err != nil {
		return h, fmt.Errorf("hold recordings: %w", err)
	}
	var errs []error
	for _, id := range o.IDs {
		errs = append(errs, a.holdOne(ctx, id, h, o.Actor, true))
	}
	if h.Query != nil {
		rows, err := a.Find(ctx, *h.Query)
		errs = append(errs, err)
		for _, row := range rows {
			if row.State == catalog.StateStored || row.State == catalog.StateLocked {
				errs = append(errs, a.holdOne(ctx, row.ID, h, o.Actor, false))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return h, fmt.Errorf("hold recordings: %w", err)
	}
	return h, nil
}

// holdable tells whether there is anything of a recording to be held.
func (a *Archive) holdable(ctx context.Context, id string) error {
	row, err := a.Catalog.Get(ctx, id)
	if err != nil {
		return err
	}
	switch row.State {
	case catalog.StateRecording, catalog.StateFinishing, catalog.StateStored, catalog.StateLocked:
	default:
		return fmt.Errorf("%w: %s", ErrNotPlayable, whyGone(row))
	}
	if doomed, err := a.isDoomed(ctx, id); err != nil || doomed {
		return cmp.Or(err, catalog.ErrDoomed)
	}
	return nil
}

// openHold makes the hold of an order, or finds the one that it adds to.
func (a *Archive) openHold(ctx context.Context, o HoldOrder) (catalog.Hold, error) {
	all, err := a.Catalog.Holds(ctx)
	if err != nil {
		return catalog.Hold{}, err
	}
	if at := slices.IndexFunc(all, func(h catalog.Hold) bool { return h.Name == o.Name }); at >= 0 {
		switch h := all[at]; {
		case !h.Ended.IsZero():
			return h, fmt.Errorf("%w: hold %q has ended: give another name", ErrRefused, o.Name)
		case o.Query != nil && (h.Query == nil || *h.Query != *o.Query), h.Reason != o.Reason:
			return h, fmt.Errorf("%w: there is another hold %q: give another name, or its own reason and query", ErrRefused, o.Name)
		default:
			return h, nil
		}
	}
	if o.Name == "" {
		fresh, err := uuid.NewV7()
		if err != nil {
			return catalog.Hold{}, err
		}
		o.Name = fresh.String()
	}
	h := catalog.Hold{Name: o.Name, Query: o.Query, Reason: o.Reason, By: o.Actor, At: utcMS(a.now())}
	data := holdData{Hold: h.Name, Reason: h.Reason, Query: a.words().hashed(h.Query)}
	return h, a.do(ctx, EventHoldPlaced, "", o.Actor, data, func() (any, error) { return data, a.Catalog.PutHold(ctx, h) })
}

// holdOne puts one recording under a hold, first in the catalog and then in the store. One that is under it already is no error, and nor is
// one that a rule is to leave alone.
func (a *Archive) holdOne(ctx context.Context, id string, h catalog.Hold, actor string, again bool) error {
	before, err := a.Catalog.HeldUnder(ctx, id, h.Name)
	if err != nil {
		return err
	}
	switch {
	case before.State == "":
	case before.State == catalog.HoldPlaced, before.State == catalog.HoldPlacing, !again:
		return nil
	}
	data := holdData{Hold: h.Name, Reason: h.Reason}
	return a.do(ctx, EventHoldPlaced, id, actor, data, func() (any, error) {
		entry := catalog.Held{Recording: id, Hold: h.Name, State: catalog.HoldPlacing, Since: utcMS(a.now())}
		if _, err := a.Catalog.HoldRecording(ctx, entry, again); err != nil {
			return nil, err
		}
		placed, err := a.placeHold(ctx, entry)
		data.Pending = !placed
		return data, err
	})
}

// A HoldStatus is a hold with what it holds.
type HoldStatus struct {
	catalog.Hold
	Recordings []catalog.Held `json:"recordings"` // also those that were let go
}

// Holds lists the holds, the oldest first, also those that have ended.
func (a *Archive) Holds(ctx context.Context) ([]HoldStatus, error) {
	all, err := a.Catalog.Holds(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]HoldStatus, 0, len(all))
	for _, h := range all {
		list, err := a.Catalog.HeldBy(ctx, h.Name)
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = []catalog.Held{}
		}
		out = append(out, HoldStatus{h, list})
	}
	return out, nil
}

// heldError is nil when a recording that is in the store is under no hold; else it says why it is, and wraps catalog.ErrHeld.
func (a *Archive) heldError(ctx context.Context, row catalog.Recording) error {
	if row.State != catalog.StateStored && row.State != catalog.StateLocked {
		return nil
	}
	list, err := a.Catalog.HoldsOf(ctx, row.ID)
	if err != nil || len(list) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s (hold %s, since %s); nothing of it can be destroyed before that is released (`greffier recordings release-hold`)",
		catalog.ErrHeld, list[0].Reason, list[0].Hold, list[0].Since.Format(time.RFC3339))
}

// holdMatching puts a recording that was just stored under the holds that wait for it: those that name it, and the rules that find it. What
// is being destroyed is left to that.
func (a *Archive) holdMatching(ctx context.Context, id string) error {
	waiting, err := a.Catalog.HoldsOf(ctx, id)
	if err != nil {
		return err
	}
	for _, h := range waiting {
		if err := a.settleHold(ctx, h); err != nil {
			return err
		}
	}
	holds, err := a.Catalog.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range holds {
		if h.Query == nil || !h.Ended.IsZero() {
			continue
		}
		q := *h.Query
		q.ID = id
		rows, err := a.Find(ctx, q)
		if err == nil && len(rows) > 0 {
			err = a.holdOne(ctx, id, h, h.By, false)
		}
		if err != nil && !errors.Is(err, catalog.ErrDoomed) {
			return fmt.Errorf("hold what a rule finds: %w", err)
		}
	}
	return nil
}
