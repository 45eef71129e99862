package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/storage"
)

// An Eraser deletes what is locked in GOVERNANCE mode.
type Eraser interface {
	Erase(ctx context.Context, ref storage.Ref) error
}

// OpErase names the method of an eraser.
const OpErase Op = "erase"

// A FakeEraser is the eraser of a Fake. It fails the test when it is asked to break a COMPLIANCE lock or a legal hold.
type FakeEraser struct{ f *Fake }

// Eraser gives that of the store.
func (f *Fake) Eraser() *FakeEraser { return &FakeEraser{f} }

// Erase deletes a version.
func (e *FakeEraser) Erase(ctx context.Context, ref storage.Ref) error {
	f := e.f
	f.t.Helper()
	err := f.write(ctx, OpErase, ref.Key, func() error {
		v, err := f.named(ref)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if r := v.info.Retention; v.info.LegalHold || r.Mode == storage.Compliance && r.Active(f.now()) {
			return f.broken(storage.ErrLocked, "erasure of %s under %v, legal hold %t", ref.Key, r, v.info.LegalHold)
		}
		f.versions[ref.Key] = slices.DeleteFunc(f.versions[ref.Key], func(other *fakeVersion) bool { return other == v })
		f.deleted[ref] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("erase object %s: %w", ref.Key, err)
	}
	return nil
}

// RunEraser tests an eraser of a store without objects. Only o.Now is looked at.
func RunEraser(t *testing.T, store storage.Store, eraser Eraser, o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	s := &suite{T: t, ctx: ctx, store: store, o: o}

	ref := s.put("erase/governance", "content", storage.PutOptions{Retention: s.until(storage.Governance, time.Hour)})
	next := s.put("erase/governance-2", "other", storage.PutOptions{Retention: s.until(storage.Governance, time.Hour)})
	s.deniedDelete(ref, "content")
	s.must(eraser.Erase(ctx, ref))
	s.must(eraser.Erase(ctx, ref)) // again
	if got := s.listed("erase/"); len(got) != 1 || got[0].Ref != next {
		s.Errorf("versions: %+v, want only %v", got, next)
	}
	free := s.put("erase/unlocked", "content", storage.PutOptions{})
	s.must(eraser.Erase(ctx, free))

	mandated := s.put("erase/compliance", "content", storage.PutOptions{Retention: s.until(storage.Compliance, time.Hour)})
	s.wantError("erase under COMPLIANCE", eraser.Erase(ctx, mandated), storage.ErrLocked)
	s.must(store.Hold(ctx, next, true))
	s.wantError("erase under a legal hold", eraser.Erase(ctx, next), storage.ErrLocked)
	for what, ref := range map[string]storage.Ref{"no version": {Key: "erase/governance-2"}, "no key": {VersionID: next.VersionID}} {
		s.wantError("erase with "+what, eraser.Erase(ctx, ref), storage.ErrInvalid)
	}
	if a, b := s.read(mandated), s.read(next); a != "content" || b != "other" {
		s.Errorf("read %q and %q after denied erasures", a, b)
	}
	s.must(store.Hold(ctx, next, false))
	s.must(eraser.Erase(ctx, next))
	if got := s.listed("erase/"); len(got) != 1 || got[0].Ref != mandated {
		s.Errorf("versions: %+v, want only %v", got, mandated)
	}
}
