package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// An Archive reads what recorders have stored. It works beside a running recorder, in the same process or another.
type Archive struct {
	Store storage.Store
	Keys  *seal.Keys
	// Eraser deletes what is locked in GOVERNANCE mode, for erasures and redactions; nil: its bytes stay until the lock ends.
	Eraser  eraser
	Catalog *catalog.Catalog
	Audit   *audit.Log
	// AuditDir is where Audit is; Verify reads it from the disk.
	AuditDir string
	// SpoolDir is where unfinished recordings wait.
	SpoolDir string
	// PseudonymKey is the recorders' key for keyed hashes.
	PseudonymKey []byte
	// Holder names this process among those that share the catalog, in leases; needed by Round, and by a recorder's sweeping.
	Holder string
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time

	sweeping *tenure // while the archive sweeps: nothing is deleted without it
}

func (a *Archive) words() *words { return &words{a.PseudonymKey} }

// Find lists recordings. A number finds also the calls that were not recorded, of which the catalog has keyed hashes only.
func (a *Archive) Find(ctx context.Context, q catalog.Query) ([]catalog.Recording, error) {
	rows, err := a.Catalog.List(ctx, q)
	number := siprec.Number("tel:" + q.Number)
	if err != nil || number == "" {
		return rows, err
	}
	q.Number = a.words().hash(number)
	hashed, err := a.Catalog.List(ctx, q)
	if err != nil {
		return nil, err
	}
	rows = append(rows, hashed...)
	slices.SortStableFunc(rows, func(x, y catalog.Recording) int { return y.StartedAt.Compare(x.StartedAt) })
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	return rows, nil
}

// ErrNotPlayable is a recording that exists and has no sound to play: it was not recorded, or its key is gone.
var ErrNotPlayable = errors.New("nothing to play")

// ErrNotFinished is a recording that is not in the store yet.
var ErrNotFinished = errors.New("not finished yet")

// A Playback is the plain sound of a recording, with random access. Nothing of it is ever written to disk.
type Playback struct {
	*io.SectionReader // the file
	Recording         catalog.Recording
	Format            policy.Format // of the file
	object            storage.Object
}

// Close lets go of the object.
func (p *Playback) Close() error { return p.object.Close() }

type playedData struct {
	Why     string `json:"why,omitempty"`
	Despite string `json:"despite_restriction,omitempty"`
	SHA256  string `json:"sha256"`
	Range   string `json:"range,omitempty"`
}

// Play opens a recording for listening. The access is in the audit log before the first byte is served: actor is who
// listens, why is the reason that they state, span the bytes of the file that they asked for (RFC 9110 section 14.2; empty: all).
// One whose use is restricted is ErrRestricted.
func (a *Archive) Play(ctx context.Context, id, actor, why, span string) (*Playback, error) {
	return a.PlayDespite(ctx, id, actor, why, span, "")
}

// PlayDespite is Play also of a recording whose use is restricted: despite is the reason, which is witnessed; "" is none.
func (a *Archive) PlayDespite(ctx context.Context, id, actor, why, span, despite string) (*Playback, error) {
	row, err := a.Catalog.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("find recording: %w", err)
	}
	switch row.State {
	case catalog.StateRecording, catalog.StateFinishing:
		return nil, ErrNotFinished
	case catalog.StateStored, catalog.StateLocked:
	default:
		return nil, fmt.Errorf("%w: %s", ErrNotPlayable, whyGone(row))
	}
	if doomed, err := a.isDoomed(ctx, id); err != nil || doomed {
		return nil, cmp.Or(err, fmt.Errorf("%w: it is being destroyed", ErrNotPlayable))
	}
	if err := a.mayUse(ctx, id, despite); err != nil {
		return nil, err
	}
	key, err := a.Keys.Get(ctx, id)
	if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrNotFound) {
		return nil, fmt.Errorf("%w: its key is gone", ErrNotPlayable)
	}
	if err != nil {
		return nil, fmt.Errorf("get key: %w", err)
	}
	if err := a.witness(ctx, EventPlayed, id, actor, "", playedData{Why: why, Despite: despite, SHA256: row.Audio.PlainSHA256, Range: span}); err != nil {
		return nil, err
	}
	object, err := a.Store.Open(ctx, storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version})
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	plain, err := key.Decrypt(object, object.Info().Size)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open recording: %w", err), object.Close())
	}
	return &Playback{SectionReader: plain, Recording: row, Format: formatOf(row.Audio.Key), object: object}, nil
}

// Waveform gives the course of a recording's channels, without which a player can only be listened through. The access is witnessed
// as a view. It is nil for a recording of an older version.
func (a *Archive) Waveform(ctx context.Context, id, actor string) (*media.Waveform, error) {
	if err := a.mayUse(ctx, id, ""); err != nil {
		return nil, err
	}
	row, side, err := a.Show(ctx, id, actor)
	switch {
	case errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrNotFound):
		return nil, fmt.Errorf("%w: its key is gone", ErrNotPlayable)
	case err != nil:
		return nil, err
	case row.State == catalog.StateRecording || row.State == catalog.StateFinishing:
		return nil, ErrNotFinished
	case side == nil:
		return nil, fmt.Errorf("%w: %s", ErrNotPlayable, whyGone(row))
	}
	return side.Waveform, nil
}

// sidecar opens a recording's sidecar. The caller has witnessed the access, or shows it to nobody.
func (a *Archive) sidecar(ctx context.Context, row catalog.Recording) (*Sidecar, error) {
	return a.openSidecarAt(ctx, row.ID, storage.Ref{Key: row.Sidecar.Key, VersionID: row.Sidecar.Version})
}

func (a *Archive) openSidecarAt(ctx context.Context, id string, ref storage.Ref) (*Sidecar, error) {
	key, err := a.Keys.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("get key: %w", err)
	}
	object, err := a.Store.Open(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("open sidecar: %w", err)
	}
	defer object.Close()
	return openSidecar(object, object.Info().Size, key)
}

// Show gives everything that is known of a recording, witnessed as an access.
func (a *Archive) Show(ctx context.Context, id, actor string) (catalog.Recording, *Sidecar, error) {
	row, err := a.Catalog.Get(ctx, id)
	if err != nil {
		return row, nil, fmt.Errorf("find recording: %w", err)
	}
	if err := a.witness(ctx, EventViewed, id, actor, "", nil); err != nil {
		return catalog.Recording{}, nil, err
	}
	if row.Sidecar.Key == "" || isGone(row) {
		return row, nil, nil
	}
	if doomed, err := a.isDoomed(ctx, id); err != nil || doomed {
		return row, nil, err
	}
	side, err := a.sidecar(ctx, row)
	return row, side, err
}

func (a *Archive) now() time.Time {
	if a.Clock == nil {
		return time.Now()
	}
	return a.Clock()
}

func (a *Archive) witness(ctx context.Context, typ, id, actor string, outcome audit.Outcome, data any) error {
	_, err := a.Audit.Append(ctx, audit.Event{Time: a.now(), Type: typ, Subject: id, Outcome: outcome, Actor: actor, Data: data})
	if err != nil {
		return fmt.Errorf("witness %s: %w", typ, err)
	}
	return nil
}
