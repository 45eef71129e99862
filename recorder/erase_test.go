package recorder_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

const (
	request12   = "GDPR Art. 17 request 12"
	mandateText = "Del. Reg. (EU) 2017/565 Art. 76"
)

// obliged is a class that a text obliges to keep.
func obliged() policy.Class {
	class := training()
	class.Name, class.Lock, class.Mandate, class.Retention = "orders", policy.Compliance, mandateText, policy.Period{Years: 5}
	return class
}

// ask asks for an erasure.
func (l later) ask(id string) {
	l.t.Helper()
	l.must(l.archive.RequestErasure(l.t.Context(), id, "eve", request12))
}

// approve is done by somebody else.
func (l later) approve(id string) (catalog.Recording, error) {
	return l.archive.ApproveErasure(l.t.Context(), id, "bob")
}

// erased expects nothing of a recording, in the store, in the keys and of its parties, but a row that says so.
func (l later) erased(id string) {
	l.t.Helper()
	l.is(id, catalog.StateErased)
	l.keyIs(id, seal.ErrDestroyed)
	row := l.row(id)
	if row.Gone.Reason != string(recorder.DestroyedErased) || row.Audio.Key != "" || row.Sidecar.Key != "" {
		l.t.Errorf("the row is %+v", row)
	}
	if n := l.objects("rec/") + l.objects("ana/"); n != 0 {
		l.t.Errorf("%d objects are left", n)
	}
	if e, err := l.archive.Catalog.ErasureOf(l.t.Context(), id); err != nil || e.State != catalog.ErasureDone || e.AskedBy != "eve" || e.DecidedBy != "bob" {
		l.t.Errorf("the request is %+v, %v", e, err)
	}
	for _, typ := range []string{recorder.EventShredded, recorder.EventErased} {
		if l.tells(id, typ, audit.Intended) == 0 || l.tells(id, typ, audit.Done) != 1 {
			l.t.Errorf("%s is not witnessed, or twice", typ)
		}
	}
	l.namesNobody()
	l.agree()
	l.rebuild()
	l.agree()
	if e, err := l.archive.Catalog.ErasureOf(l.t.Context(), id); err != nil || e.State != catalog.ErasureDone {
		l.t.Errorf("the rebuilt request is %+v, %v", e, err)
	}
}

// TestErase: what two persons want erased is gone, locked in GOVERNANCE mode or not: no key, no version, no document.
func TestErase(t *testing.T) {
	for _, locked := range []bool{true, false} {
		erasing(t, func(t *testing.T, l later) {
			id := l.call(training())
			doc, err := l.archive.Annotate(t.Context(), id, recorder.Analysis{Kind: recorder.Note, Text: "calm"}, "eve")
			l.must(err)
			if locked {
				l.at(callEnd.AddDate(0, 0, 1))
				l.is(id, catalog.StateLocked)
			}
			l.ask(id)
			if _, err := l.archive.ApproveErasure(t.Context(), id, "eve"); !errors.Is(err, recorder.ErrRefused) || !strings.Contains(err.Error(), "another person") {
				t.Errorf("approved by who asked: %v", err)
			}
			l.keyIs(id, nil)
			if n := l.tells(id, recorder.EventErasureApproved, audit.Failed); n != 1 {
				t.Errorf("the attempt is witnessed %d times", n)
			}
			l.agree()
			row, err := l.approve(id)
			if err != nil || row.State != catalog.StateErased {
				t.Fatalf("it is %s, %v", row.State, err)
			}
			l.keyIs(doc, seal.ErrDestroyed)
			l.erased(id)
			if _, err := l.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) || !strings.Contains(err.Error(), "erased on request") {
				t.Errorf("it plays: %v", err)
			}
			if _, err := l.approve(id); !errors.Is(err, recorder.ErrRefused) {
				t.Errorf("approved again: %v", err)
			}
		})
	}
}

// TestEraseOfAMandateIsRefused: with the text that obliges, by who asks and by who approves, and its key stays. Restriction is what is left.
func TestEraseOfAMandateIsRefused(t *testing.T) {
	erasing(t, func(t *testing.T, l later) {
		id := l.call(obliged())
		l.at(callEnd.AddDate(0, 0, 1))
		before := len(l.sound(id))
		err := l.archive.RequestErasure(t.Context(), id, "eve", request12)
		if !errors.Is(err, recorder.ErrRefused) || !strings.Contains(err.Error(), mandateText) || !strings.Contains(err.Error(), "restrict "+id) {
			t.Errorf("asked: %v", err)
		}
		if n := l.tells(id, recorder.EventErasureRefused, audit.Done); n != 1 {
			t.Errorf("the refusal is witnessed %d times", n)
		}
		if _, err := l.approve(id); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("approved: %v", err)
		}
		l.is(id, catalog.StateLocked)
		l.keyIs(id, nil)
		if len(l.sound(id)) != before {
			t.Error("its sound has changed")
		}
		l.agree()
		l.rebuild()
		if e, err := l.archive.Catalog.ErasureOf(t.Context(), id); err != nil || e.State != catalog.ErasureRefused {
			t.Errorf("the request is %+v, %v", e, err)
		}
	})
}

// TestEraseOfTheHeldIsRefused: with the reference of the hold; when that is released, somebody may ask again.
func TestEraseOfTheHeldIsRefused(t *testing.T) {
	erasing(t, func(t *testing.T, l later) {
		id, other := l.call(training()), l.call(training())
		l.must(l.hold("a", id))
		if err := l.archive.RequestErasure(t.Context(), id, "eve", request12); !errors.Is(err, catalog.ErrHeld) || !strings.Contains(err.Error(), "Case 2026/17") {
			t.Errorf("asked: %v", err)
		}
		l.ask(other)
		l.must(l.hold("a", other))
		if _, err := l.approve(other); !errors.Is(err, catalog.ErrHeld) || !strings.Contains(err.Error(), "Case 2026/17") {
			t.Errorf("approved: %v", err)
		}
		for _, id := range []string{id, other} {
			l.keyIs(id, nil)
			if n := l.tells(id, recorder.EventErasureRefused, audit.Done); n != 1 {
				t.Errorf("the refusal is witnessed %d times", n)
			}
		}
		l.agree()
		l.must(l.release("a", ""))
		for _, id := range []string{id, other} {
			l.ask(id)
			if _, err := l.approve(id); err != nil {
				t.Error(err)
			}
		}
		l.erased(id)
	})
}

// TestEraseIsRefused: by whoever decides, with a reason.
func TestEraseIsRefused(t *testing.T) {
	l := newLater(t)
	ctx := t.Context()
	id := l.call(training())
	for what, err := range map[string]error{
		"without a reason":     l.archive.RequestErasure(ctx, id, "eve", " "),
		"before it was asked":  l.archive.RefuseErasure(ctx, id, "bob", "no"),
		"approved before that": func() error { _, err := l.approve(id); return err }(),
	} {
		if !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := l.archive.RequestErasure(ctx, "nobody", "eve", request12); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("asked for what is not there: %v", err)
	}
	l.ask(id)
	if err := l.archive.RequestErasure(ctx, id, "eve", request12); !errors.Is(err, recorder.ErrRefused) {
		t.Errorf("asked twice: %v", err)
	}
	l.must(l.archive.RefuseErasure(ctx, id, "bob", "it is the only proof of a claim"))
	if _, err := l.approve(id); !errors.Is(err, recorder.ErrRefused) {
		t.Errorf("approved what was refused: %v", err)
	}
	list, err := l.archive.Erasures(ctx)
	if err != nil || len(list) != 1 || list[0].State != catalog.ErasureRefused || list[0].DecidedBy != "bob" {
		t.Errorf("the requests are %+v, %v", list, err)
	}
	l.keyIs(id, nil)
	l.agree()
}

// TestShredded: without an eraser the key is destroyed at once, the bytes when their lock ends, and the two are told apart.
func TestShredded(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		l.at(callEnd.AddDate(0, 0, 1))
		until := l.row(id).LockedUntil
		l.ask(id)
		row, err := l.approve(id)
		if err != nil || row.State != catalog.StateShredded || !row.LockedUntil.Equal(until) {
			t.Fatalf("it is %s until %v, %v", row.State, row.LockedUntil, err)
		}
		l.keyIs(id, seal.ErrDestroyed)
		if n := l.objects("rec/"); n != 2 {
			t.Errorf("%d objects are there", n)
		}
		if _, err := l.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) || !strings.Contains(err.Error(), until.Format(time.RFC3339)) {
			t.Errorf("it plays: %v", err)
		}
		l.namesNobody()
		l.agree()
		l.rebuild()
		l.at(callEnd.AddDate(0, 3, 0))
		l.is(id, catalog.StateShredded)
		l.agree()
		l.at(until)
		l.is(id, catalog.StateErased)
		if n := l.objects("rec/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		l.agree()
		l.rebuild()
		l.is(id, catalog.StateErased)
	})
}

// TestErasedThoughItFails: whatever call of the store fails, done or not, and wherever the process ends, what was approved is erased.
func TestErasedThoughItFails(t *testing.T) {
	faults := []storagetest.Fault{{Op: storagetest.OpList, Effect: storagetest.NotDone}}
	for _, object := range []string{"recording.wav.age", "recording.json.age"} {
		for _, effect := range []storagetest.Effect{storagetest.NotDone, storagetest.DoneButLost} {
			faults = append(faults, storagetest.Fault{Op: storagetest.OpErase, Suffix: object, Effect: effect})
		}
	}
	for _, fault := range faults {
		t.Run(strings.ReplaceAll(fault.String(), " ", "-"), func(t *testing.T) {
			t.Parallel()
			l := newLater(t)
			l.stop()
			l = newEraserOn(t, l.dir, l.store, l.clock)
			id := l.call(training())
			l.at(callEnd.AddDate(0, 0, 1))
			l.ask(id)
			if fault.Op == storagetest.OpList {
				// The first look is that of the decision, the second that of the erasure.
				wait := make(chan struct{})
				close(wait)
				l.store.Script(storagetest.Fault{Op: storagetest.OpList, Suffix: id + "/", Effect: storagetest.Slow, Wait: wait})
				fault.Suffix = id + "/"
			}
			l.store.Script(fault)
			if _, err := l.approve(id); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("erased while the store is away: %v", err)
			}
			l.keyIs(id, seal.ErrDestroyed)
			l.is(id, catalog.StateShredded)
			l.agree()
			l.stop() // and the next process does it
			next := newEraserOn(t, l.dir, l.store, l.clock)
			next.at(callEnd.AddDate(0, 0, 1).Add(time.Minute))
			next.erased(id)
		})
	}
}

// TestApprovedThenKilled: a process that ends after the approval, or after the key, leaves the rest to the next one.
func TestApprovedThenKilled(t *testing.T) {
	for _, keyToo := range []bool{false, true} {
		erasing(t, func(t *testing.T, l later) {
			ctx := t.Context()
			id := l.call(training())
			l.at(callEnd.AddDate(0, 0, 1))
			l.ask(id)
			e, err := l.archive.Catalog.ErasureOf(ctx, id)
			l.must(err)
			e.State, e.DecidedBy, e.DecidedAt = catalog.ErasureApproved, "bob", l.clock.now()
			_, err = l.archive.Audit.Append(ctx, audit.Event{Time: l.clock.now(), Type: recorder.EventErasureApproved, Subject: id, Outcome: audit.Done, Actor: "bob",
				Data: map[string]string{"reason": e.Reason, "asked_by": e.AskedBy}})
			l.must(errors.Join(err, l.archive.Catalog.PutErasure(ctx, e)))
			if keyToo {
				_, err := l.archive.Audit.Append(ctx, audit.Event{Time: l.clock.now(), Type: recorder.EventShredded, Subject: id, Outcome: audit.Intended, Actor: "bob",
					Data: map[string]string{"reason": e.Reason}})
				l.must(errors.Join(err, l.archive.Catalog.Condemn(ctx, catalog.Doom{ID: id, Reason: string(recorder.DestroyedErased), At: l.clock.now()}),
					l.archive.Keys.Destroy(ctx, id)))
				l.rebuildNow()
			}
			l.agree()
			l.at(callEnd.AddDate(0, 0, 1).Add(time.Minute))
			l.erased(id)
		})
	}
}

// rebuildNow makes the catalog again in the middle of a deed, when rows may not stay as they were.
func (l later) rebuildNow() {
	l.t.Helper()
	if rep, err := l.archive.Rebuild(l.t.Context(), func(int) {}); err != nil || len(rep.Problems) > 0 {
		l.t.Errorf("rebuild: %+v, %v", rep, err)
	}
}

// TestRestoredKeysBringNothingBack: a directory of keys from a backup that is older than an erasure opens nothing, because the server destroys
// again what is gone; and the tombstones alone do the same when only key files come back.
func TestRestoredKeysBringNothingBack(t *testing.T) {
	for _, whole := range []bool{true, false} {
		erasing(t, func(t *testing.T, l later) {
			id, expired := l.call(training()), l.call(training())
			keys, backup := filepath.Join(l.dir, "keys"), filepath.Join(t.TempDir(), "keys")
			l.must(os.CopyFS(backup, os.DirFS(keys)))
			l.ask(id)
			if _, err := l.approve(id); err != nil {
				t.Fatal(err)
			}
			l.at(callEnd.AddDate(0, 0, 1))
			l.at(callEnd.AddDate(0, 7, 0))
			l.keyIs(expired, seal.ErrDestroyed)
			l.stop()
			if whole {
				l.must(os.RemoveAll(keys))
			}
			l.must(restore(keys, backup))
			next := newEraserOn(t, l.dir, l.archive.Store, l.clock)
			next.at(callEnd.AddDate(0, 7, 1))
			for _, id := range []string{id, expired} {
				next.keyIs(id, seal.ErrDestroyed)
				if _, err := next.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) {
					t.Errorf("it plays: %v", err)
				}
			}
			found, err := filepath.Glob(filepath.Join(keys, "*", "0199*.age"))
			if err != nil || len(found) != 0 {
				t.Errorf("key files are back: %v, %v", found, err)
			}
			next.agree()
		})
	}
}

// restore copies a backup over what is there.
func restore(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), b, 0o600)
	})
}

// TestRestrict: what is restricted is neither heard nor read nor drawn, but with a reason of its own that is witnessed.
func TestRestrict(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		ctx := t.Context()
		id := l.call(obliged())
		doc, err := l.archive.Annotate(ctx, id, recorder.Analysis{Kind: recorder.Note, Text: "calm"}, "eve")
		l.must(err)
		l.must(l.archive.Restrict(ctx, id, "eve", "accuracy is contested"))
		l.must(l.archive.Restrict(ctx, id, "eve", "another reason"))
		refused := func() {
			t.Helper()
			_, playErr := l.archive.Play(ctx, id, "eve", "curious", "")
			_, waveErr := l.archive.Waveform(ctx, id, "eve")
			_, docErr := l.archive.Analysis(ctx, doc, "eve")
			for what, err := range map[string]error{"played": playErr, "drawn": waveErr, "read": docErr} {
				if !errors.Is(err, recorder.ErrRestricted) || !strings.Contains(err.Error(), "accuracy is contested") {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
		refused()
		if n := l.tells(id, recorder.EventPlayed, ""); n != 0 {
			t.Errorf("%d accesses are witnessed", n)
		}
		sound, err := l.archive.PlayDespite(ctx, id, "eve", "", "", "defence of a claim")
		l.must(err)
		l.must(sound.Close())
		if l.tells(id, recorder.EventPlayed, "") != 1 || !l.logHas("defence of a claim") {
			t.Error("the access is not witnessed with its reason")
		}
		l.agree()
		l.rebuild()
		l.must(l.archive.Catalog.Unrestrict(ctx, id)) // a lost catalog
		l.rebuild()
		refused()
		if err := l.archive.Unrestrict(ctx, id, "eve", ""); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("ended without a reason: %v", err)
		}
		l.must(l.archive.Unrestrict(ctx, id, "eve", "it was accurate"))
		if err := l.archive.Unrestrict(ctx, id, "eve", "again"); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("ended what is not: %v", err)
		}
		if len(l.sound(id)) == 0 {
			t.Error("nothing is heard")
		}
		l.rebuild()
		if len(l.sound(id)) == 0 {
			t.Error("nothing is heard")
		}
		l.agree()
	})
}

// logHas tells whether the audit log says something.
func (l later) logHas(text string) bool {
	l.t.Helper()
	for e, err := range audit.Read(l.archive.AuditDir) {
		l.must(err)
		if strings.Contains(string(e.Line), text) {
			return true
		}
	}
	return false
}

// TestRedactLocked: with an eraser what is locked in GOVERNANCE mode is redacted too: the original's key and bytes are gone, and the new
// recording is locked as the old one was. What a text obliges to keep is not.
func TestRedactLocked(t *testing.T) {
	erasing(t, func(t *testing.T, l later) {
		id, kept := l.call(training()), l.call(obliged())
		l.at(callEnd.AddDate(0, 0, 3))
		l.is(id, catalog.StateLocked)
		l.must(l.archive.Restrict(t.Context(), id, "eve", "contested"))
		next, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "a card's number is said")
		l.must(err)
		l.keyIs(id, seal.ErrDestroyed)
		l.is(id, catalog.StateDestroyed)
		if n := l.objects("rec/training/"); n != 2 {
			t.Errorf("%d objects are there", n)
		}
		l.agree()
		l.at(callEnd.AddDate(0, 0, 3).Add(time.Minute))
		row := l.row(next)
		if row.State != catalog.StateLocked || !row.LockedUntil.Equal(row.RetainUntil) || row.LockMode != string(policy.Governance) {
			t.Errorf("the new one is %s until %v", row.State, row.LockedUntil)
		}
		if _, err := l.archive.Play(t.Context(), next, "eve", "", ""); !errors.Is(err, recorder.ErrRestricted) {
			t.Errorf("the new one plays: %v", err)
		}
		l.must(l.archive.Unrestrict(t.Context(), next, "eve", "settled"))
		if sound := linear(t, policy.WAV, l.sound(next)); sound[0][firstOut] != 0 || sound[0][lastOut] == 0 || sound[1][firstOut-1] == 0 {
			t.Error("the span is heard, or more is silent")
		}
		if _, err := l.archive.Redact(t.Context(), kept, redactFrom, redactTo, "eve", "x"); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("redacted what is locked in COMPLIANCE mode: %v", err)
		}
		l.agree()
		l.rebuild()
		l.agree()
	})
}

// TestRedactLockedThoughItFails: the eraser fails, the process ends, and the next one destroys the original, with an eraser or without.
func TestRedactLockedThoughItFails(t *testing.T) {
	for _, erases := range []bool{true, false} {
		l := newLater(t)
		l.stop()
		l = newEraserOn(t, l.dir, l.store, l.clock)
		id := l.call(training())
		l.at(callEnd.AddDate(0, 0, 1))
		l.store.Script(storagetest.Fault{Op: storagetest.OpErase, Effect: storagetest.NotDone})
		next, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "a card's number is said")
		if next == "" || !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("redacted %q, %v", next, err)
		}
		l.keyIs(id, seal.ErrDestroyed)
		l.stop()
		open := newLaterOn
		if erases {
			open = newEraserOn
		}
		l = open(t, l.dir, l.store, l.clock)
		l.at(callEnd.AddDate(0, 0, 1).Add(time.Minute))
		l.is(id, catalog.StateDestroyed)
		want := 2
		if !erases {
			want = 3 // one until its lock ends: the other was erased before the process ended
		}
		if n := l.objects("rec/"); n != want {
			t.Errorf("with an eraser %v: %d objects are there", erases, n)
		}
		l.agree()
	}
}
