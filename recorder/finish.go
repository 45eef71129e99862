package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// Names of the two objects of a recording, in the spool and at the end of their keys in the store.
const (
	audioName   = "recording.wav.age"
	sidecarName = "recording.json.age"
)

// finish brings one recording from the spool into the store: assemble, seal, put, lock, index, and only then remove the
// spool. Every step may be repeated: what is staged is used again, what is stored already is recognised by its hash.
func (r *Recorder) finish(ctx context.Context, id string) error {
	key, err := r.cfg.Keys.Get(ctx, id)
	if errors.Is(err, seal.ErrDestroyed) {
		return r.discard(ctx, id) // nobody can read it any more, by somebody's will
	}
	if err != nil {
		return fmt.Errorf("get key: %w", err) // a key that is missing may come back from a backup: keep the spool
	}
	side, err := r.seal(ctx, id, key)
	if errors.Is(err, errNoBegin) {
		return r.discard(ctx, id)
	}
	if err != nil {
		return err
	}
	row, err := r.store(ctx, side)
	if err != nil {
		return err
	}
	if row.State == catalog.StateStored && !row.QuarantineUntil.After(r.cfg.Clock()) {
		if err := r.lock(ctx, row); err != nil {
			return err
		}
	}
	if err := r.cfg.Spool.Remove(id); err != nil {
		return fmt.Errorf("remove spool: %w", err)
	}
	return nil
}

// discard removes what is left of a session that was never answered.
func (r *Recorder) discard(ctx context.Context, id string) error {
	return r.do(ctx, EventAbandoned, id, nil, func() (any, error) {
		return nil, errors.Join(r.cfg.Keys.Destroy(ctx, id), r.cfg.Spool.Remove(id))
	})
}

// seal makes the two sealed files of a recording in the spool, unless they are there already: the sidecar is written last,
// so where it is, the audio is whole.
func (r *Recorder) seal(ctx context.Context, id string, key *seal.Key) (*Sidecar, error) {
	if path, ok := r.cfg.Spool.Staged(id, sidecarName); ok {
		return readSidecar(path, key)
	}
	h, err := readHistory(r.cfg.Spool.Read(id, key.SpoolKey()))
	if err != nil {
		return nil, err
	}
	plan := h.plan()
	side := h.sidecar(plan)
	if err := r.sealAudio(ctx, id, key, &plan, &side); err != nil {
		return nil, fmt.Errorf("seal audio: %w", err)
	}
	doc, err := json.MarshalIndent(side, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode sidecar: %w", err)
	}
	if _, err := r.stage(id, sidecarName, key, func(w io.Writer) error { _, err := w.Write(doc); return err }); err != nil {
		return nil, fmt.Errorf("seal sidecar: %w", err)
	}
	return &side, nil
}

func (r *Recorder) sealAudio(ctx context.Context, id string, key *seal.Key, plan *media.Plan, side *Sidecar) error {
	format := wavFormat(plan.Encoding, plan.Rate, plan.Channels)
	size := plan.DataBytes()
	plain := newCounter(io.Discard)
	sealed, err := r.stage(id, audioName, key, func(w io.Writer) error {
		plain.w = w
		if _, err := plain.Write(wav.Header(format, size)); err != nil {
			return err
		}
		if err := plan.Write(plain, blocks(r.cfg.Spool.Read(id, key.SpoolKey()))); err != nil {
			return err
		}
		if pad := wav.Padding(size); pad > 0 {
			if _, err := plain.Write(make([]byte, pad)); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	side.Audio.Size, side.Audio.SHA256 = plain.n, plain.sum()
	side.Audio.SealedSize, side.Audio.SealedSHA256 = sealed.n, sealed.sum()
	return nil
}

// stage writes one sealed file into the spool, durably, and tells what it came to.
func (r *Recorder) stage(id, name string, key *seal.Key, write func(io.Writer) error) (*counter, error) {
	file, err := r.cfg.Spool.Stage(id, name)
	if err != nil {
		return nil, err
	}
	sealed := newCounter(file)
	err = func() error {
		w, err := key.Encrypt(sealed)
		if err != nil {
			return err
		}
		if err := write(w); err != nil {
			return err
		}
		return w.Close()
	}()
	if err != nil {
		return nil, errors.Join(err, file.Abort())
	}
	return sealed, file.Commit()
}

// A counter passes bytes on, counts and hashes them.
type counter struct {
	w io.Writer
	n int64
	h hash.Hash
}

func newCounter(w io.Writer) *counter { return &counter{w: w, h: sha256.New()} }

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.h.Write(p[:n])
	return n, err
}

func (c *counter) sum() string { return hex.EncodeToString(c.h.Sum(nil)) }

func wavFormat(e codec.Encoding, rate, channels int) wav.Format {
	f := wav.Format{Tag: wav.PCM, SampleRate: rate, Channels: channels, BitsPerSample: 8 * e.BytesPerSample()}
	switch e {
	case codec.PCMU:
		f.Tag = wav.MuLaw
	case codec.PCMA:
		f.Tag = wav.ALaw
	}
	return f
}

// readSidecar opens a sealed sidecar from a file.
func readSidecar(path string, key *seal.Key) (*Sidecar, error) {
	sealed, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	return openSidecar(bytes.NewReader(sealed), int64(len(sealed)), key)
}

// maxSidecar bounds what is read of a sidecar, in bytes: some thousand metadata updates.
const maxSidecar = 64 << 20

func openSidecar(sealed io.ReaderAt, size int64, key *seal.Key) (*Sidecar, error) {
	plain, err := key.Decrypt(sealed, size)
	if err != nil {
		return nil, fmt.Errorf("open sidecar: %w", err)
	}
	var s Sidecar
	if err := json.NewDecoder(io.LimitReader(plain, maxSidecar)).Decode(&s); err != nil {
		return nil, fmt.Errorf("decode sidecar: %w", err)
	}
	if s.Format != SidecarFormat {
		return nil, fmt.Errorf("sidecar has format %q; this program reads %q: use the version that wrote it", s.Format, SidecarFormat)
	}
	return &s, nil
}

// objectKey is where an object of a recording lives: one prefix per class, so that lifecycle is one rule per class.
func objectKey(s *Sidecar, name string) string {
	return fmt.Sprintf("rec/%s/%s/%s/%s", s.Class.Name, s.Session.StartedAt.UTC().Format("2006/01/02"), s.ID, name)
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

// store puts both sealed files, unlocked, and indexes them. The row it returns is Stored.
func (r *Recorder) store(ctx context.Context, side *Sidecar) (catalog.Recording, error) {
	terms := termsOf(side)
	objects := objectData{
		Audio:       ObjectRef{Key: objectKey(side, audioName), SHA256: side.Audio.SealedSHA256, Size: side.Audio.SealedSize},
		Sidecar:     ObjectRef{Key: objectKey(side, sidecarName)},
		PlainSHA256: side.Audio.SHA256, QuarantineTo: terms.quarantine, DurationMS: side.Session.DurationMS,
	}
	meta := map[string]string{
		metaID: side.ID, metaClass: side.Class.Name, metaFormat: SidecarFormat, metaMode: string(side.Class.Lock),
		metaQuarantine: terms.quarantine.Format(time.RFC3339Nano), metaRetain: terms.retain.Format(time.RFC3339),
	}
	var row catalog.Recording
	err := r.do(ctx, EventStored, side.ID, objects, func() (_ any, err error) {
		if objects.Sidecar, err = r.put(ctx, side.ID, sidecarName, objects.Sidecar, meta); err != nil {
			return nil, err
		}
		meta[metaPlain], meta[metaPlainSize] = side.Audio.SHA256, strconv.FormatInt(side.Audio.Size, 10)
		if objects.Audio, err = r.put(ctx, side.ID, audioName, objects.Audio, meta); err != nil {
			return nil, err
		}
		row = r.words.storedRow(side, objects)
		return objects, r.cfg.Catalog.Put(ctx, row)
	})
	if err == nil {
		r.cfg.Observe(Observation{Event: EventStored, Class: side.Class.Name, Outcome: string(audit.Done)})
	}
	return row, err
}

// put uploads one staged file and checks that the store has it.
func (r *Recorder) put(ctx context.Context, id, name string, ref ObjectRef, meta map[string]string) (ObjectRef, error) {
	path, ok := r.cfg.Spool.Staged(id, name)
	if !ok {
		return ref, fmt.Errorf("put %s: it is not in the spool", name)
	}
	file, err := os.Open(path)
	if err != nil {
		return ref, fmt.Errorf("put %s: %w", name, err)
	}
	defer file.Close()
	sum := newCounter(io.Discard)
	if _, err := io.Copy(sum, file); err != nil {
		return ref, fmt.Errorf("hash %s: %w", name, err)
	}
	if ref.SHA256 != "" && ref.SHA256 != sum.sum() {
		return ref, fmt.Errorf("put %s: the staged file is not the one that was sealed", name)
	}
	ref.SHA256, ref.Size = sum.sum(), sum.n
	stored, err := r.cfg.Store.Put(ctx, ref.Key, file, sum.n, storage.PutOptions{
		ContentType: "application/age", Metadata: meta, SHA256: ref.SHA256,
	})
	if err != nil {
		return ref, fmt.Errorf("put %s: %w", name, err)
	}
	ref.VersionID = stored.VersionID
	return ref, nil
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
	want := storage.Retention{Mode: storage.Mode(row.LockMode), Until: until}
	return r.do(ctx, EventLocked, row.ID, objects, func() (any, error) {
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
		row.State, row.LockedUntil = catalog.StateLocked, until
		r.cfg.Observe(Observation{Event: EventLocked, Class: row.Class, Outcome: string(audit.Done)})
		return objects, r.cfg.Catalog.Put(ctx, row)
	})
}
