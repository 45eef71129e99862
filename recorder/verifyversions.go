package recorder

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/google/uuid"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/spool"
)

// versions goes through every version of every object, current or not, and looks for those that nothing accounts for.
func (v *verification) versions(ctx context.Context) error {
	known, err := v.refs(ctx)
	if err != nil {
		return err
	}
	hidden := "" // key that a delete marker hides
	for ver, err := range v.Store.Versions(ctx, "") {
		if err != nil && ver.Key == "" {
			return fmt.Errorf("list versions: %w", err)
		}
		if err := v.pace(ctx, 0); err != nil {
			return err
		}
		if ver.Marker {
			if ver.Current {
				hidden = ver.Key
			}
			continue
		}
		v.rep.Versions++
		switch {
		case err != nil:
			v.orphan("", ver.Ref, "%s: %v", ver.Key, err)
		case !known[ver.Ref]:
			if err := v.stranger(ctx, ver.Ref); err != nil {
				return err
			}
		case hidden == ver.Key:
			v.rep.notice("%s: %s is hidden by a delete marker; it is there, and is read by its version id", path.Base(path.Dir(ver.Key)), ver.Key)
		}
	}
	return nil
}

// refs are the versions that the catalog names and that have to be there.
func (v *verification) refs(ctx context.Context) (map[storage.Ref]bool, error) {
	out := map[storage.Ref]bool{}
	for row, err := range v.Catalog.All(ctx) {
		if err != nil {
			return nil, err
		}
		if row.State == catalog.StateStored || row.State == catalog.StateLocked {
			out[storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version}] = true
			out[storage.Ref{Key: row.Sidecar.Key, VersionID: row.Sidecar.Version}] = true
		}
	}
	docs, err := v.Catalog.Analyses(ctx, "")
	for _, doc := range docs {
		if doc.State == catalog.AnalysisStored {
			out[storage.Ref{Key: doc.Object.Key, VersionID: doc.Object.Version}] = true
		}
	}
	return out, err
}

// stranger looks at a version that the catalog did not name, and may name now.
func (v *verification) stranger(ctx context.Context, ref storage.Ref) error {
	id := path.Base(path.Dir(ref.Key))
	_, noID := uuid.Parse(id)
	switch {
	case strings.HasPrefix(ref.Key, storage.ProbePrefix): // of the store's own test, which clears up after itself
		return nil
	case strings.HasPrefix(ref.Key, storage.RecordingPrefix) && noID == nil:
		return v.strangeRecording(ctx, id, ref)
	case strings.HasPrefix(ref.Key, storage.DocumentPrefix) && noID == nil:
		return v.strangeDocument(ctx, id, ref)
	}
	v.orphan("", ref, "%s is nothing that Greffier stores", ref.Key)
	return nil
}

func (v *verification) strangeRecording(ctx context.Context, id string, ref storage.Ref) error {
	_, doomed, err := v.Catalog.DoomOf(ctx, id)
	if err != nil {
		return err
	}
	row, err := v.Catalog.Get(ctx, id)
	ours := path.Base(ref.Key) == sidecarName || isAudioName(path.Base(ref.Key))
	switch {
	case doomed || spool.Holds(v.SpoolDir, id): // on its way into the store, or out of it
	case errors.Is(err, catalog.ErrNotFound):
		v.orphan(id, ref, "%s is in the store, and not in the catalog (`greffier catalog rebuild` mends it)", ref.Key)
	case err != nil:
		return err
	case isGone(row) || row.State == catalog.StateNotRecorded && ours: // its row tells of that
	case row.State == catalog.StateRecording || row.State == catalog.StateFinishing:
	case ref == storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version}, ref == storage.Ref{Key: row.Sidecar.Key, VersionID: row.Sidecar.Version}: // just now
	case ref.Key == row.Audio.Key || ref.Key == row.Sidecar.Key:
		v.orphan(id, ref, "%s has another version, which nobody stored", ref.Key)
	default:
		v.orphan(id, ref, "%s is in the store, and does not belong to the recording", ref.Key)
	}
	return nil
}

func (v *verification) strangeDocument(ctx context.Context, id string, ref storage.Ref) error {
	doc, err := v.Catalog.GetAnalysis(ctx, id)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
		v.orphan("", ref, "%s: a document in the store, and not in the catalog (`greffier catalog rebuild` mends it)", ref.Key)
	case err != nil:
		return err
	case doc.State != catalog.AnalysisStored: // being written, or swept
	case ref == storage.Ref{Key: doc.Object.Key, VersionID: doc.Object.Version}: // just now
	default:
		v.orphan(doc.Recording, ref, "document %s: %s is in the store, and is not the document", id, ref.Key)
	}
	return nil
}

// orphan tells of a version that nothing accounts for.
func (v *verification) orphan(id string, ref storage.Ref, format string, args ...any) {
	f := findings{id: id}
	f.addAt(Orphan, ref, format, args...)
	v.rep.Problems = append(v.rep.Problems, f.list...)
}
