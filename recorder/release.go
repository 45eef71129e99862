package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage/spool"
)

// ErrUnderReview is what may not be done with a recording before somebody has looked at it and released it.
var ErrUnderReview = errors.New("not released")

// ErrRefused is a deed that does not fit the recording as it is. The error's text says what would.
var ErrRefused = errors.New("refused")

// suspected tells a recording that may hold a card's number, and that nobody has released.
func suspected(row catalog.Recording, review catalog.Review) bool {
	return slices.Contains(row.Warnings, paymentSuspected) && review.ReleasedAt.IsZero()
}

// whyData is the data of EventReleased.
type whyData struct {
	Why string `json:"why"`
}

// Release lets a recording go on in which a card's number was suspected (R09): somebody has listened, and says why it may be kept as it
// is. From then on it is locked as any other, and may be analysed. Once is enough: again is no error.
func (a *Archive) Release(ctx context.Context, id, actor, why string) error {
	row, err := a.kept(ctx, id, why)
	if err != nil {
		return fmt.Errorf("release recording: %w", err)
	}
	review, err := a.Catalog.ReviewOf(ctx, id)
	if err != nil {
		return fmt.Errorf("release recording: %w", err)
	}
	if !slices.Contains(row.Warnings, paymentSuspected) {
		return fmt.Errorf("release recording: %w: nothing keeps %s from being locked", ErrRefused, id)
	}
	if !review.ReleasedAt.IsZero() {
		return nil
	}
	return a.do(ctx, EventReleased, id, actor, whyData{why}, func() (any, error) {
		return whyData{why}, a.Catalog.Release(ctx, id, a.now())
	})
}

// kept finds a recording that is in the store, whole and not doomed, for a deed that has a reason.
func (a *Archive) kept(ctx context.Context, id, why string) (catalog.Recording, error) {
	if strings.TrimSpace(why) == "" {
		return catalog.Recording{}, fmt.Errorf("%w: say why", ErrRefused)
	}
	row, err := a.Catalog.Get(ctx, id)
	if err != nil {
		return row, err
	}
	switch row.State {
	case catalog.StateStored, catalog.StateLocked:
	case catalog.StateRecording, catalog.StateFinishing:
		return row, ErrNotFinished
	default:
		return row, fmt.Errorf("%w: %s", ErrNotPlayable, whyGone(row))
	}
	if d, doomed, err := a.Catalog.DoomOf(ctx, id); err != nil {
		return row, err
	} else if doomed {
		return row, fmt.Errorf("%w: it is being destroyed: %s", ErrNotPlayable, d.Reason)
	}
	if !row.RetainUntil.IsZero() && !row.RetainUntil.After(a.now()) {
		return row, fmt.Errorf("%w: its term has ended", ErrNotPlayable)
	}
	return row, nil
}

// unlocked occupies a recording that is kept and that no lock protects, so that it can be changed or destroyed. done ends that. With an
// eraser a GOVERNANCE lock is none, if bypass says so.
func (a *Archive) unlocked(ctx context.Context, row catalog.Recording, bypass bool) (done func() error, err error) {
	bypass = bypass && a.Eraser != nil && row.LockMode == string(policy.Governance)
	if a.SpoolDir != "" && spool.Holds(a.SpoolDir, row.ID) {
		return nil, ErrNotFinished
	}
	if row.State == catalog.StateLocked && !bypass {
		return nil, lockedUntil(row, row.LockedUntil)
	}
	if err := a.heldError(ctx, row); err != nil {
		return nil, err
	}
	now := a.now()
	switch free, err := a.Catalog.Occupy(ctx, row.ID, now, now.Add(workLimit)); {
	case err != nil:
		return nil, err
	case !free:
		return nil, fmt.Errorf("%w: somebody works on it now; try again later", ErrRefused)
	}
	done = func() error { return a.Catalog.Vacate(context.WithoutCancel(ctx), row.ID) }
	there, err := a.remains(ctx, row.Sidecar.Key)
	if err == nil && !there.locked.IsZero() && (!bypass || there.held()) {
		err = lockedUntil(row, there.locked)
	}
	if err != nil {
		return nil, errors.Join(err, done())
	}
	return done, nil
}

// Proven destroys a recording of a contract that is proven otherwise (R36): of a class of kind evidence, within the time that the class
// gives, and before the lock.
func (a *Archive) Proven(ctx context.Context, id, actor, why string) error {
	row, err := a.kept(ctx, id, why)
	if err != nil {
		return fmt.Errorf("take other proof: %w", err)
	}
	side, err := a.sidecar(ctx, row)
	if err != nil {
		return fmt.Errorf("take other proof: %w", err)
	}
	if err := mayBeProven(side, a.now()); err != nil {
		return fmt.Errorf("take other proof: %w", err)
	}
	done, err := a.unlocked(ctx, row, false)
	if err == nil {
		err = errors.Join(a.destroy(ctx, grave{id: id, reason: DestroyedProof, actor: actor, why: why}), done())
	}
	if err != nil {
		return fmt.Errorf("take other proof: %w", err)
	}
	return nil
}

// mayBeProven tells whether another proof makes a recording needless.
func mayBeProven(s *Sidecar, now time.Time) error {
	switch within := s.Class.ProofWithin; {
	case s.Class.Kind != policy.Evidence:
		return fmt.Errorf("%w: class %q is not of kind evidence, and another proof changes nothing", ErrRefused, s.Class.Name)
	case within.IsZero():
		return fmt.Errorf("%w: class %q gives no time for another proof (proof_within)", ErrRefused, s.Class.Name)
	case now.After(within.After(s.Session.EndedAt)):
		return fmt.Errorf("%w: another proof had to come before %s", ErrRefused, within.After(s.Session.EndedAt).Format(time.RFC3339))
	}
	return nil
}
