package recorder

import (
	"context"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage/spool"
)

// strangers looks for calls that the audit log knows and the catalog does not, and for keys that nothing knows.
func (v *verification) strangers(ctx context.Context, rows []catalog.Recording) error {
	known := map[string]bool{}
	for _, row := range rows {
		known[row.ID] = true
	}
	elsewhere := func(id string) bool { // it may have come since
		if known[id] || spool.Holds(v.SpoolDir, id) {
			return true
		}
		_, err := v.Catalog.Get(ctx, id)
		return err == nil
	}
	for id, s := range v.told {
		if !elsewhere(id) {
			v.lost(id, s)
		}
	}
	for id, err := range v.Keys.List(ctx) {
		if err != nil {
			v.rep.problem(Orphan, "keys: %v", err)
			break
		}
		switch {
		case elsewhere(id) || v.told[id].undone || v.isAnalysis(ctx, id):
		case v.named[id]: // a crash leaves it
			v.rep.notice("%s: a key that opens nothing", id)
		default:
			v.unnamed(ctx, id)
		}
	}
	v.tombstones(ctx)
	return ctx.Err()
}

// tombstones reads what is left of destroyed keys. A key stays destroyed whatever is in its tombstone.
func (v *verification) tombstones(ctx context.Context) {
	for t, err := range v.Keys.Destroyed(ctx) {
		switch {
		case err == nil:
		case t.ID == "":
			v.rep.problem(Orphan, "tombstones: %v", err)
		default:
			v.rep.about(t.ID, HashMismatch, "the tombstone of its key: %v", err)
		}
	}
}

// lost tells of a call that the audit log knows and that is nowhere else.
func (v *verification) lost(id string, s story) {
	switch {
	case s.undone && s.started && !s.cancelled:
		v.rep.about(id, RetentionEarlyLoss, "the SRC was told that it is recorded, and the recording was thrown away")
	case s.undone, s.gone, s.made && !s.stored:
	case s.record && !s.started:
		v.rep.notice("%s: decided to be recorded, and never answered", id)
	case s.record && !s.stored:
		v.rep.about(id, RetentionEarlyLoss, "the SRC was told that it is recorded, and there is no recording")
	default:
		v.rep.about(id, CatalogMismatch, "decided, and not in the catalog (`greffier catalog rebuild` mends it)")
	}
}

// unnamed tells of a key that neither catalog nor audit log knew. It is looked for again: it may have been made since.
func (v *verification) unnamed(ctx context.Context, id string) {
	if _, named, err := v.stories(ctx); err == nil && named[id] {
		return
	}
	v.rep.about(id, Orphan, "a key of which neither the audit log nor the catalog knows")
}
