package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
)

// objectKey is where an object of a recording lives: one prefix per class, so that lifecycle is one rule per class.
func objectKey(s *Sidecar, name string) string {
	return fmt.Sprintf("%s%s/%s/%s/%s", storage.RecordingPrefix, s.Class.Name, s.Session.StartedAt.UTC().Format("2006/01/02"), s.ID, name)
}

// Object metadata in clear: id, class, term, hashes and format version, nothing else.
const (
	metaID         = "recording-id"
	metaClass      = "class"
	metaFormat     = "format"
	metaQuarantine = "quarantine-until"
	metaRetain     = "retain-until"
	metaMode       = "lock-mode"
	metaPlain      = "plain-sha256"
	metaPlainSize  = "plain-size"
)

// objectMeta is what stands in clear with both objects of a recording. The audio has its plain hash and size, too.
func objectMeta(side *Sidecar) map[string]string {
	terms := termsOf(side)
	return map[string]string{
		metaID: side.ID, metaClass: side.Class.Name, metaFormat: SidecarFormat, metaMode: string(side.Class.Lock),
		metaQuarantine: terms.quarantine.Format(time.RFC3339Nano), metaRetain: terms.retain.Format(time.RFC3339),
	}
}

// audioMeta is what stands in clear with the audio.
func audioMeta(side *Sidecar) map[string]string {
	meta := objectMeta(side)
	meta[metaPlain], meta[metaPlainSize] = side.Audio.SHA256, strconv.FormatInt(side.Audio.Size, 10)
	return meta
}

// store puts both sealed files, unlocked, and indexes them. The row it returns is Stored.
func (r *Recorder) store(ctx context.Context, side *Sidecar) (row catalog.Recording, err error) {
	if r.gate.shut(r.cfg.Clock()) {
		return row, errStoreAway // nothing is read for nothing
	}
	terms := termsOf(side)
	objects := objectData{PlainSHA256: side.Audio.SHA256, QuarantineTo: terms.quarantine, DurationMS: side.Session.DurationMS}
	if objects.Audio, err = r.staged(side, side.audioName()); err != nil {
		return row, err
	}
	if objects.Audio.SHA256 != side.Audio.SealedSHA256 {
		return row, errors.New("the staged audio is not the one that the sidecar describes")
	}
	if objects.Sidecar, err = r.staged(side, sidecarName); err != nil {
		return row, err
	}
	err = r.doInStore(ctx, EventStored, side.ID, objects, func() (_ any, err error) {
		if err := r.cfg.Keys.Settle(ctx, side.ID); err != nil {
			return nil, err // what nobody else could open must not leave this machine
		}
		if objects.Sidecar.VersionID, err = r.put(ctx, side.ID, sidecarName, objects.Sidecar, objectMeta(side)); err != nil {
			return nil, err
		}
		if objects.Audio.VersionID, err = r.put(ctx, side.ID, side.audioName(), objects.Audio, audioMeta(side)); err != nil {
			return nil, err
		}
		return objects, nil
	})
	if err != nil {
		return row, err
	}
	r.cfg.Observe(Observation{Event: EventStored, Class: side.Class.Name, Outcome: string(audit.Done)})
	row = r.words.storedRow(side, objects)
	if err := r.cfg.Catalog.Put(context.WithoutCancel(ctx), row); err != nil {
		return row, err
	}
	r.noteTerm(row.RetainUntil)
	return row, nil
}

// staged describes a sealed file in the spool as the object that it will be.
func (r *Recorder) staged(side *Sidecar, name string) (ObjectRef, error) {
	file, err := r.openStaged(side.ID, name)
	if err != nil {
		return ObjectRef{}, err
	}
	defer file.Close()
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, file); err != nil {
		return ObjectRef{}, fmt.Errorf("hash %s: %w", name, err)
	}
	return ObjectRef{Key: objectKey(side, name), SHA256: sum.sum(), Size: sum.n}, nil
}

func (r *Recorder) openStaged(id, name string) (*os.File, error) {
	path, ok := r.cfg.Spool.Staged(id, name)
	if !ok {
		return nil, fmt.Errorf("open staged %s: it is not in the spool", name)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open staged %s: %w", name, err)
	}
	return file, nil
}

// put uploads one staged file. The store checks that its bytes are those of ref, and finds it again when it has it already.
func (r *Recorder) put(ctx context.Context, id, name string, ref ObjectRef, meta map[string]string) (version string, err error) {
	file, err := r.openStaged(id, name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	stored, err := r.cfg.Store.Put(ctx, ref.Key, file, ref.Size, storage.PutOptions{ContentType: objectContentType, Metadata: meta, SHA256: ref.SHA256})
	if err != nil {
		return "", fmt.Errorf("put %s: %w", name, err)
	}
	return stored.VersionID, nil
}

// lockIfMay locks a recording, unless something stands between it and its lock. Then it is looked at again later.
func (r *Recorder) lockIfMay(ctx context.Context, row catalog.Recording) error {
	if may, err := r.mayLock(ctx, row); err != nil || !may {
		return err
	}
	return r.lock(ctx, row)
}

// lock sets the retention of both objects, reads it back, and says so.
func (r *Recorder) lock(ctx context.Context, row catalog.Recording) error {
	until := row.RetainUntil
	objects := objectData{
		Audio:   ObjectRef{Key: row.Audio.Key, VersionID: row.Audio.Version, SHA256: row.Audio.SHA256, Size: row.Audio.Size},
		Sidecar: ObjectRef{Key: row.Sidecar.Key, VersionID: row.Sidecar.Version, SHA256: row.Sidecar.SHA256, Size: row.Sidecar.Size},
		Mode:    row.LockMode, Until: until,
	}
	if row.LockMode == string(policy.NoLock) {
		return nil // stored is all that it will be
	}
	if !until.After(r.cfg.Clock()) { // the store was away for longer than the term: no lock can be set any more
		r.cfg.Log.Error("the term ended before the recording could be locked", zap.String("recording_id", row.ID))
		return r.witness(ctx, EventLocked, row.ID, audit.Failed, objects)
	}
	want := storage.Retention{Mode: storage.Mode(row.LockMode), Until: until}
	err := r.doInStore(ctx, EventLocked, row.ID, objects, func() (any, error) {
		for _, o := range []ObjectRef{objects.Sidecar, objects.Audio} {
			ref := storage.Ref{Key: o.Key, VersionID: o.VersionID}
			if err := r.cfg.Store.Lock(ctx, ref, want); err != nil {
				return nil, fmt.Errorf("lock %s: %w", o.Key, err)
			}
			got, err := r.cfg.Store.Stat(ctx, ref)
			if err != nil {
				return nil, fmt.Errorf("read back lock of %s: %w", o.Key, err)
			}
			if got.Retention.Mode != want.Mode || got.Retention.Until.Before(want.Until) {
				return nil, fmt.Errorf("lock %s: the store says %v, not %v", o.Key, got.Retention, want)
			}
		}
		return objects, nil
	})
	if err != nil {
		return err
	}
	r.cfg.Observe(Observation{Event: EventLocked, Class: row.Class, Outcome: string(audit.Done)})
	row.State, row.LockedUntil = catalog.StateLocked, until
	return r.cfg.Catalog.Put(context.WithoutCancel(ctx), row)
}
