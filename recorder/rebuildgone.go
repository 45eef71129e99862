package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// An afterlife is what the audit log tells of what became of a recording after the call. Nothing else knows that.
type afterlife struct {
	decision decisionData
	ended    time.Time
	released time.Time
	state    catalog.State // expired, destroyed, or ""
	gone     catalog.Gone
	doomed   DestroyReason // "": it is not
}

// afterlives replays the audit log.
func (a *Archive) afterlives() (map[string]*afterlife, error) {
	out := map[string]*afterlife{}
	of := func(id string) *afterlife {
		if out[id] == nil {
			out[id] = &afterlife{}
		}
		return out[id]
	}
	for e, err := range audit.Read(a.AuditDir) {
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if e.Type == EventRedacted {
			var d redactedData
			if err := json.Unmarshal(e.Data, &d); err != nil {
				return nil, fmt.Errorf("read entry %d: %w", e.Seq, err)
			}
			switch e.Outcome {
			case audit.Intended: // until it is done, what it makes is to be destroyed
				*of(d.Recording) = afterlife{decision: of(e.Subject).decision, ended: of(e.Subject).ended, doomed: destroyedUnfinished}
			case audit.Done:
				of(d.Recording).doomed, of(e.Subject).doomed = "", DestroyedRedacted
			}
			continue
		}
		if err := of(e.Subject).tell(e); err != nil {
			return nil, fmt.Errorf("read entry %d: %w", e.Seq, err)
		}
	}
	delete(out, "")
	return out, nil
}

// tell adds one entry.
func (l *afterlife) tell(e audit.Entry) error {
	switch e.Type {
	case EventDecision:
		return json.Unmarshal(e.Data, &l.decision)
	case EventEnded:
		l.ended = endOf(e)
	case EventShredded:
		switch {
		case e.Outcome == audit.Intended && l.state == "":
			l.doomed = DestroyedErased
		case e.Outcome == audit.Done && l.state == "":
			l.state, l.gone, l.doomed = catalog.StateShredded, catalog.Gone{At: utcMS(e.Time), Reason: string(DestroyedErased)}, ""
		}
	case EventErased:
		var d erasedData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		if e.Outcome == audit.Done && !d.Left && l.state == catalog.StateShredded {
			l.state = catalog.StateErased
		}
	case EventReleased:
		if e.Outcome == audit.Done {
			l.released = e.Time
		}
	case EventExpired:
		if e.Outcome == audit.Done && l.state == "" {
			l.state, l.gone, l.doomed = catalog.StateExpired, catalog.Gone{At: utcMS(e.Time), Reason: string(DestroyedExpired)}, ""
		}
	case EventDestroyed:
		var d destroyedData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		switch {
		case e.Outcome == audit.Intended:
			l.doomed = d.Reason
		case e.Outcome == audit.Failed && d.Left:
			l.doomed = "" // the store locks it
		case e.Outcome == audit.Done && l.state == "":
			l.state, l.gone, l.doomed = catalog.StateDestroyed, catalog.Gone{At: utcMS(e.Time), Reason: string(d.Reason)}, ""
		}
	}
	return nil
}

// rebuildGone indexes what is gone, what is doomed and what was released.
func (a *Archive) rebuildGone(ctx context.Context, lives map[string]*afterlife, pairs map[string]pair, rep *RebuildReport) error {
	for _, id := range slices.Sorted(maps.Keys(lives)) {
		l := lives[id]
		var err error
		switch {
		case l.state != "" && l.gone.Reason != string(destroyedUnfinished) && l.decision.Record:
			err = a.Catalog.Put(ctx, a.goneRow(id, l, pairs[id]))
			rep.Gone++
		case l.doomed != "":
			err = a.rebuildDoomed(ctx, id, l, pairs[id])
		case !l.released.IsZero():
			err = a.Catalog.Release(ctx, id, l.released)
		}
		if err != nil {
			return fmt.Errorf("index %s: %w", id, err)
		}
	}
	return nil
}

// rebuildDoomed notes what is still to be destroyed, and where its objects are.
func (a *Archive) rebuildDoomed(ctx context.Context, id string, l *afterlife, p pair) error {
	if _, err := a.Catalog.Get(ctx, id); errors.Is(err, catalog.ErrNotFound) && (p.audio.Key != "" || p.sidecar.Key != "") {
		row := a.goneRow(id, l, p)
		row.State, row.Gone = catalog.StateFinishing, catalog.Gone{}
		if err := a.Catalog.Put(ctx, row); err != nil {
			return err
		}
	}
	return a.Catalog.Doom(ctx, id, string(l.doomed))
}

// goneRow is the row of a recording that is gone, as far as the log knows it; its bytes may still be there.
func (a *Archive) goneRow(id string, l *afterlife, p pair) catalog.Recording {
	row := unrecorded(id, l.decision)
	row.State, row.Gone, row.EndedAt = l.state, l.gone, l.gone.At
	if !l.ended.IsZero() {
		row.EndedAt = utcMS(l.ended)
	}
	object := func(i storage.Info) catalog.Object {
		return catalog.Object{Key: i.Key, Version: i.VersionID, SHA256: i.SHA256, Size: i.Size}
	}
	row.Audio, row.Sidecar = object(p.audio), object(p.sidecar)
	if row.Sidecar.Key == "" && row.Audio.Key != "" {
		row.Sidecar.Key = path.Dir(row.Audio.Key) + "/" + sidecarName // what is swept is its folder
	}
	row.LockedUntil = p.audio.Retention.Until
	return row
}

// rebuildAnalyses indexes the documents in the store.
func (a *Archive) rebuildAnalyses(ctx context.Context, rep *RebuildReport) error {
	for info, err := range a.Store.List(ctx, storage.DocumentPrefix) {
		if err != nil && info.Key == "" {
			return fmt.Errorf("list documents: %w", err)
		}
		if err == nil {
			err = a.rebuildAnalysis(ctx, info)
		}
		if err != nil {
			rep.Problems = append(rep.Problems, fmt.Sprintf("%s: %v", info.Key, err))
			continue
		}
		rep.Documents++
	}
	return nil
}

func (a *Archive) rebuildAnalysis(ctx context.Context, info storage.Info) error {
	until, err := time.Parse(time.RFC3339, info.Metadata[metaRetain])
	if err != nil {
		return fmt.Errorf("its term cannot be read: %w", err)
	}
	entry := catalog.Analysis{
		ID: info.Metadata[metaDocument], Recording: info.Metadata[metaRecording], Class: info.Metadata[metaClass], State: catalog.AnalysisStored,
		WrittenAt: utcMS(info.Modified), RetainUntil: until, Object: catalog.Object{Key: info.Key, Version: info.VersionID, SHA256: info.SHA256, Size: info.Size},
	}
	doc, err := a.openAnalysis(ctx, entry)
	switch {
	case err == nil:
		entry.Kind, entry.WrittenAt = string(doc.Kind), doc.WrittenAt
	case errors.Is(err, ErrNotPlayable):
		if _, err := a.Keys.Get(ctx, entry.ID); !errors.Is(err, seal.ErrDestroyed) {
			return err
		}
		entry.State = catalog.AnalysisGone
	default:
		return err
	}
	return a.Catalog.PutAnalysis(ctx, entry)
}
