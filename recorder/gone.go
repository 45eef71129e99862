package recorder

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// archive is the recorder's parts, for the deeds that recorders and commands have in common.
func (r *Recorder) archive() *Archive {
	return &Archive{
		Store: r.cfg.Store, Eraser: r.cfg.Eraser, Keys: r.cfg.Keys, Catalog: r.cfg.Catalog, Audit: r.cfg.Audit, PseudonymKey: r.words.key, Holder: r.cfg.Holder, Clock: r.cfg.Clock,
	}
}

// do brackets a deed that cannot be undone with its events, as Recorder.do.
func (a *Archive) do(ctx context.Context, typ, id, actor string, data any, deed func() (any, error)) error {
	if err := a.witness(ctx, typ, id, actor, audit.Intended, data); err != nil {
		return err
	}
	after, err := deed()
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		failed := struct {
			Error string `json:"error"`
		}{fmt.Sprintf("%T", rootCause(err))}
		return errors.Join(err, a.witness(ctx, typ, id, actor, audit.Failed, failed))
	}
	return a.witness(ctx, typ, id, actor, audit.Done, after)
}

// isDoomed tells a recording that is to be destroyed now, and that nobody may hear or see until it is.
func (a *Archive) isDoomed(ctx context.Context, id string) (bool, error) {
	d, doomed, err := a.Catalog.DoomOf(ctx, id)
	return doomed && !d.At.After(a.now()), err
}

// isGone tells a recording of which only the row is left.
func isGone(row catalog.Recording) bool {
	switch row.State {
	case catalog.StateExpired, catalog.StateDestroyed, catalog.StateShredded, catalog.StateErased:
		return true
	}
	return false
}

// whyGone says how a recording ended, for whoever asks for it.
func whyGone(row catalog.Recording) string {
	at := row.Gone.At.UTC().Format(time.RFC3339)
	switch row.State {
	case catalog.StateExpired:
		return "its term ended, and it expired at " + at
	case catalog.StateDestroyed:
		return fmt.Sprintf("it was destroyed at %s: %s", at, row.Gone.Reason)
	case catalog.StateShredded:
		return fmt.Sprintf("it was erased on request: its key was destroyed at %s, and bytes that nobody can read are in the store until %s", at, row.LockedUntil.UTC().Format(time.RFC3339))
	case catalog.StateErased:
		return fmt.Sprintf("it was erased on request at %s: its key is destroyed, and nothing of it is in the store", at)
	}
	return fmt.Sprintf("the recording is %s", row.State)
}

// bare is the row of a recording that is gone: what was decided, when it was and how it ended, and keyed hashes of who took part.
func (w *words) bare(row catalog.Recording, state catalog.State, at time.Time, reason DestroyReason) catalog.Recording {
	row.State, row.Gone = state, catalog.Gone{At: utcMS(at), Reason: string(reason)}
	people := row.Participants
	row.Participants, row.CallIDs = nil, nil
	for _, p := range people {
		p.Name = ""
		if p.AOR = w.once(p.AOR); p.AOR != "" || p.Number != "" {
			p.Number = w.once(p.Number)
			row.Participants = append(row.Participants, p)
		}
	}
	channels := row.Channels
	row.Channels = nil
	for _, c := range channels {
		c.Participants = nil
		row.Channels = append(row.Channels, c)
	}
	if row.EndedAt.IsZero() {
		row.EndedAt = row.Gone.At
	}
	return row
}

// once hashes what is no hash yet.
func (w *words) once(text string) string {
	if text == "" || len(text) > len(catalog.HashPrefix) && text[:len(catalog.HashPrefix)] == catalog.HashPrefix {
		return text
	}
	return w.hash(text)
}

// remains are the versions in the folder of a key, in the store: what can be deleted now, and until when the rest is locked.
type remains struct {
	id     string // of the recording, when a sweeper deletes
	free   []storage.Ref
	bound  []storage.Info
	locked time.Time // zero: nothing is
}

// held tells that something has a legal hold.
func (r *remains) held() bool { return r.locked.Equal(held) }

// held is the time of what has a legal hold, which has no end.
var held = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// remains looks for every version of what stands in the folder of a key.
func (a *Archive) remains(ctx context.Context, key string) (remains, error) {
	var out remains
	if key == "" {
		return out, nil
	}
	lock := func(info storage.Info, until time.Time) {
		out.bound = append(out.bound, info)
		if until.After(out.locked) {
			out.locked = until
		}
	}
	for info, err := range a.Store.List(ctx, path.Dir(key)+"/") {
		switch {
		case err != nil && info.Key == "":
			return out, fmt.Errorf("list objects: %w", err)
		case info.LegalHold:
			lock(info, held)
		case info.Retention.Active(a.now()):
			lock(info, info.Retention.Until)
		default: // what cannot be read can be deleted all the same
			out.free = append(out.free, info.Ref)
		}
	}
	return out, nil
}

// erase deletes what no lock protects, one version after the other, and tells whether any stays because the store locks it after all.
func (a *Archive) erase(ctx context.Context, there remains) (left bool, err error) {
	left = len(there.bound) > 0
	var errs []error
	for _, ref := range there.free {
		err := a.mayDelete(ctx, there.id, ref)
		if err == nil {
			err = a.Store.Delete(ctx, ref)
		}
		switch {
		case errors.Is(err, ErrNotOurs):
			return true, errors.Join(append(errs, err)...) // what is left is another's to delete
		case errors.Is(err, storage.ErrLocked): // its clock is not ours
			left = true
		case errors.Is(err, storage.ErrNotFound): // somebody was quicker
		case err != nil:
			errs = append(errs, fmt.Errorf("delete %s: %w", ref.Key, err))
		}
	}
	return left, errors.Join(errs...)
}
