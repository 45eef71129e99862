package recorder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
)

// A RebuildReport says what a rebuild found.
type RebuildReport struct {
	Recordings  int      `json:"recordings"`
	NotRecorded int      `json:"not_recorded"`
	Gone        int      `json:"gone"`      // expired or destroyed
	Documents   int      `json:"documents"` // about recordings
	Problems    []string `json:"problems"`
}

// pair is the two objects of a recording as they are met in the store.
type pair struct {
	audio, sidecar storage.Info
}

func (p pair) empty() bool { return p.audio.Key == "" && p.sidecar.Key == "" }

// Rebuild makes the catalog again: the recordings from the pairs in the store, and the calls that were not recorded from
// the audit log, which is the only place that they were ever in. Rows that are there already are replaced.
func (a *Archive) Rebuild(ctx context.Context, progress func(done int)) (RebuildReport, error) {
	rep := RebuildReport{Problems: []string{}}
	if err := a.witness(ctx, EventRebuilt, "", "", audit.Intended, nil); err != nil {
		return rep, err
	}
	pairs, problems, err := a.pairs(ctx)
	if err != nil {
		return rep, err
	}
	for _, p := range problems {
		rep.Problems = append(rep.Problems, p.Text)
	}
	lives, err := a.afterlives()
	if err != nil {
		return rep, err
	}
	for id, p := range pairs {
		if l := lives[id]; l != nil && (l.state != "" || l.doomed == destroyedUnfinished) {
			continue // its key is gone, or will be
		}
		row, err := a.rowOf(ctx, id, p)
		if l := lives[id]; err != nil && l != nil && l.doomed != "" {
			continue // what is being destroyed cannot be read any more
		}
		if err == nil {
			err = a.Catalog.Put(ctx, row)
		}
		if err != nil {
			rep.Problems = append(rep.Problems, fmt.Sprintf("%s: %v", id, err))
			continue
		}
		rep.Recordings++
		progress(rep.Recordings)
	}
	if err := a.rebuildUnrecorded(ctx, pairs, &rep); err != nil {
		return rep, err
	}
	if err := errors.Join(a.rebuildGone(ctx, lives, pairs, &rep), a.rebuildAnalyses(ctx, &rep), a.rebuildHolds(ctx, &rep), a.rebuildErasures(ctx)); err != nil {
		return rep, err
	}
	return rep, a.witness(ctx, EventRebuilt, "", "", audit.Done, map[string]int{
		"recordings": rep.Recordings, "not_recorded": rep.NotRecorded, "gone": rep.Gone, "documents": rep.Documents, "problems": len(rep.Problems),
	})
}

// pairs lists the store by recording. An object of ours has one version: a second is an orphan, and the older is taken. An object
// that cannot be read is a problem too, and hides no other.
func (a *Archive) pairs(ctx context.Context) (map[string]pair, []Finding, error) {
	out, problems := map[string]pair{}, findings{}
	for info, err := range a.Store.List(ctx, storage.RecordingPrefix) {
		if err != nil && info.Key != "" {
			problems.addAt(HashMismatch, info.Ref, "%s: %v", info.Key, err)
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list store: %w", err)
		}
		id, name := path.Base(path.Dir(info.Key)), path.Base(info.Key)
		p := out[id]
		at := &p.audio
		switch {
		case name == sidecarName:
			at = &p.sidecar
		case !isAudioName(name):
			continue
		}
		if at.Key != "" {
			newer := info
			if at.Modified.After(info.Modified) {
				newer = *at
			}
			if at.Key != info.Key {
				problems.addAt(Orphan, newer.Ref, "%s: the recording is there in another format too", newer.Key)
			} else {
				problems.addAt(Orphan, newer.Ref, "%s: has more than one version", newer.Key)
			}
			if at.Modified.Before(info.Modified) {
				continue
			}
		}
		*at = info
		out[id] = p
	}
	return out, problems.list, nil
}

// rowOf indexes a pair anew.
func (a *Archive) rowOf(ctx context.Context, id string, p pair) (catalog.Recording, error) {
	if p.audio.Key == "" || p.sidecar.Key == "" {
		return catalog.Recording{}, errors.New("only one of the two objects is in the store")
	}
	side, err := a.openSidecarAt(ctx, id, p.sidecar.Ref)
	if err != nil {
		return catalog.Recording{}, err
	}
	row := a.words().storedRow(side, objectData{Audio: refOf(p.audio), Sidecar: refOf(p.sidecar)})
	if !p.audio.Retention.IsZero() {
		row.State, row.LockedUntil = catalog.StateLocked, p.audio.Retention.Until
	}
	return row, nil
}

func refOf(i storage.Info) ObjectRef {
	return ObjectRef{Key: i.Key, VersionID: i.VersionID, SHA256: i.SHA256, Size: i.Size}
}

// rebuildUnrecorded replays the last decision about each call, and its end, from the audit log. A call that waited, and was recorded in
// the end, is in the store.
func (a *Archive) rebuildUnrecorded(ctx context.Context, stored map[string]pair, rep *RebuildReport) error {
	told := newDecisions()
	for e, err := range audit.Read(a.AuditDir) {
		if err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		if err := told.take(e); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(told.last)) {
		if _, there := stored[id]; there || told.last[id].Record {
			continue
		}
		row := told.row(id)
		if err := a.Catalog.Put(ctx, row); err != nil {
			return fmt.Errorf("index decision: %w", err)
		}
		rep.NotRecorded++
	}
	return nil
}
