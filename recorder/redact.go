package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// workLimit is the longest that work on one recording may take, in which it is not locked.
const workLimit = 30 * time.Minute

// redactedData is the data of EventRedacted. Its subject is the recording that is redacted.
type redactedData struct {
	Recording string `json:"recording"` // the new one, in its place
	FromMS    int64  `json:"from_ms"`
	ToMS      int64  `json:"to_ms"`
	Why       string `json:"why"`
}

// Redact makes a recording of another in which nothing is heard from one time to another, on no channel, and puts it in its
// place: with an id and a key of its own, so that the original is destroyed and not only hidden. It gives the id of the new one, with an
// error too, when the original could not be destroyed at once: then the server does that. A recording that is locked, in
// COMPLIANCE mode, by a mandate or where there is no eraser, is an error that wraps storage.ErrLocked; what is held wraps catalog.ErrHeld;
// what cannot be redacted wraps ErrRefused.
func (a *Archive) Redact(ctx context.Context, id string, from, to time.Duration, actor, why string) (newID string, err error) {
	row, side, err := a.redactable(ctx, id, from, to, why)
	if err != nil {
		return "", fmt.Errorf("redact recording: %w", err)
	}
	done, err := a.unlocked(ctx, row, side.Class.Mandate == "")
	if err != nil {
		return "", fmt.Errorf("redact recording: %w", err)
	}
	defer func() { err = errors.Join(err, done()) }()
	fresh, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("redact recording: %w", err)
	}
	next := redaction{Archive: a, row: row, side: side, id: fresh.String(), from: from, to: to}
	data := redactedData{Recording: next.id, FromMS: from.Milliseconds(), ToMS: to.Milliseconds(), Why: why}
	err = a.do(ctx, EventRedacted, id, actor, data, func() (any, error) {
		limited, cancel := context.WithTimeout(ctx, workLimit)
		defer cancel()
		made, err := next.make(limited)
		if err == nil {
			err = a.Catalog.Supersede(limited, made, catalog.Doom{ID: id, Reason: string(DestroyedRedacted), At: a.now()})
		}
		if err != nil {
			undone := a.destroy(context.WithoutCancel(ctx), grave{id: next.id, reason: destroyedUnfinished})
			return nil, errors.Join(err, undone)
		}
		return data, nil
	})
	if err != nil {
		return "", fmt.Errorf("redact recording: %w", err)
	}
	if err := errors.Join(a.inherit(ctx, id, next.id), a.destroy(ctx, grave{id: id, reason: DestroyedRedacted, actor: actor, why: why})); err != nil {
		return next.id, fmt.Errorf("redact recording: %s is in its place, and the original is not destroyed yet, which the server does: %w", next.id, err)
	}
	return next.id, nil
}

// inherit gives a new recording what the one in whose place it is was under, and lets it be locked: an hour from now at the latest.
func (a *Archive) inherit(ctx context.Context, id, next string) error {
	_, err := a.Catalog.Occupy(ctx, next, a.now(), a.now())
	if err != nil {
		return err
	}
	r, restricted, err := a.Catalog.RestrictionOf(ctx, id)
	if err == nil && restricted {
		err = a.Restrict(ctx, next, r.By, r.Reason)
	}
	return errors.Join(err, a.holdMatching(ctx, next))
}

// redactable finds a recording that can be redacted, and its sidecar.
func (a *Archive) redactable(ctx context.Context, id string, from, to time.Duration, why string) (catalog.Recording, *Sidecar, error) {
	row, err := a.kept(ctx, id, why)
	if err != nil {
		return row, nil, err
	}
	switch length := row.Duration; {
	case from < 0 || to <= from:
		return row, nil, fmt.Errorf("%w: from %v to %v is no span: the end comes after the beginning", ErrRefused, from, to)
	case from >= length:
		return row, nil, fmt.Errorf("%w: the recording is only %v long", ErrRefused, length)
	case formatOf(row.Audio.Key) == policy.Opus:
		return row, nil, fmt.Errorf("%w: it is stored as opus, which loses something each time that it is written, and is never written again: let it expire", ErrRefused)
	}
	side, err := a.sidecar(ctx, row)
	if err != nil {
		return row, nil, err
	}
	return row, side, nil
}

// A redaction is a recording that is being made of another.
type redaction struct {
	*Archive
	row      catalog.Recording // of the original
	side     *Sidecar          // of the original; of the new one when it is made
	id       string
	from, to time.Duration
}

// make makes and stores the new recording, doomed until it is in the other's place: what a crash leaves is destroyed. It gives its row.
func (x *redaction) make(ctx context.Context) (catalog.Recording, error) {
	side := *x.side
	side.ID, side.Redacts = x.id, x.row.ID
	objects := objectData{QuarantineTo: termsOf(&side).quarantine, DurationMS: side.Session.DurationMS}
	objects.Audio.Key, objects.Sidecar.Key = objectKey(&side, side.audioName()), objectKey(&side, sidecarName)
	doom := catalog.Doom{ID: x.id, Reason: string(destroyedUnfinished), At: x.now().Add(2 * workLimit)}
	if err := x.Catalog.DoomFrom(ctx, doom); err != nil {
		return catalog.Recording{}, err
	}
	row := x.words().storedRow(&side, objects)
	row.State = catalog.StateFinishing
	if err := x.Catalog.Put(ctx, row); err != nil {
		return row, err
	}
	key, err := x.Keys.Create(ctx, x.id)
	if err != nil {
		return row, fmt.Errorf("make key: %w", err)
	}
	audio, err := x.sealAudio(ctx, key, &side)
	if err != nil {
		return row, fmt.Errorf("silence the span: %w", err)
	}
	defer audio.Close()
	doc, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		return row, fmt.Errorf("encode sidecar: %w", err)
	}
	sidecar, err := x.sealed(key, func(w io.Writer) error { _, err := w.Write(doc); return err })
	if err != nil {
		return row, fmt.Errorf("seal sidecar: %w", err)
	}
	defer sidecar.Close()
	if err := x.Keys.Settle(ctx, x.id); err != nil {
		return row, err
	}
	if objects, err = x.put(ctx, &side, objects, audio, sidecar); err != nil {
		return row, err
	}
	return x.words().storedRow(&side, objects), nil
}

// sealAudio writes the sound without the span, and describes it in the sidecar.
func (x *redaction) sealAudio(ctx context.Context, key *seal.Key, side *Sidecar) (*sealedFile, error) {
	old, err := x.Keys.Get(ctx, x.row.ID)
	if err != nil {
		return nil, fmt.Errorf("get key: %w", err)
	}
	object, err := x.Store.Open(ctx, storage.Ref{Key: x.row.Audio.Key, VersionID: x.row.Audio.Version})
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	defer object.Close()
	file, err := old.Decrypt(object, object.Info().Size)
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	format := formatOf(x.row.Audio.Key)
	sound, plan, err := openSound(file, format)
	if err != nil {
		return nil, err
	}
	s := spanOf(x.from, x.to, &plan)
	levels := media.NewLevels(plan.Encoding, plan.Rate, plan.Channels)
	plain := newCounter(io.Discard)
	out, err := x.sealed(key, func(w io.Writer) error {
		plain.w = &gate{ctx: ctx, w: w}
		file, err := newSoundFile(plain, format, &plan)
		if err != nil {
			return err
		}
		return errors.Join(copyRedacted(io.MultiWriter(levels, file), sound, &plan, s), file.Close())
	})
	if err != nil {
		return nil, err
	}
	side.Audio.Size, side.Audio.SHA256 = plain.n, plain.sum()
	side.Audio.SealedSize, side.Audio.SealedSHA256 = out.n, out.sum()
	side.Gaps = redactGaps(side.Gaps, s, &plan)
	side.Channels = slices.Clone(side.Channels)
	side.measured(levels.Results())
	return out, nil
}

// put stores the new pair, as a recorder does.
func (x *redaction) put(ctx context.Context, side *Sidecar, objects objectData, audio, sidecar *sealedFile) (objectData, error) {
	objects.PlainSHA256 = side.Audio.SHA256
	objects.Audio.SHA256, objects.Audio.Size = audio.sum(), audio.n
	objects.Sidecar.SHA256, objects.Sidecar.Size = sidecar.sum(), sidecar.n
	err := x.do(ctx, EventStored, side.ID, "", objects, func() (any, error) {
		var err error
		if objects.Sidecar.VersionID, err = x.putFile(ctx, objects.Sidecar, sidecar, objectMeta(side)); err != nil {
			return nil, err
		}
		if objects.Audio.VersionID, err = x.putFile(ctx, objects.Audio, audio, audioMeta(side)); err != nil {
			return nil, err
		}
		return objects, nil
	})
	return objects, err
}

func (x *redaction) putFile(ctx context.Context, ref ObjectRef, file *sealedFile, meta map[string]string) (version string, err error) {
	stored, err := x.Store.Put(ctx, ref.Key, file.file, ref.Size, storage.PutOptions{ContentType: objectContentType, Metadata: meta, SHA256: ref.SHA256})
	if err != nil {
		return "", fmt.Errorf("put %s: %w", ref.Key, err)
	}
	return stored.VersionID, nil
}

// A sealedFile is a sealed file without a name, on the disk of the spool: what a crash leaves of it is nothing.
type sealedFile struct {
	*counter // what was written
	file     *os.File
}

func (f *sealedFile) Close() error { return f.file.Close() }

// sealed writes a sealed file.
func (x *redaction) sealed(key *seal.Key, write func(io.Writer) error) (*sealedFile, error) {
	file, err := os.CreateTemp(x.SpoolDir, "redact-*.tmp")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &sealedFile{counter: newCounter(file), file: file}
	w, err := key.Encrypt(f.counter)
	if err == nil {
		err = errors.Join(write(w), w.Close())
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}
