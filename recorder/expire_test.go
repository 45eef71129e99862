package recorder_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestR14Expiry: six calendar months after a call of 31 August its key is destroyed, not a second earlier; the bytes go when the store
// lets go of them; nothing names anybody any more.
func TestR14Expiry(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		l.is(id, catalog.StateStored)
		l.at(callEnd.AddDate(0, 0, 1))
		l.is(id, catalog.StateLocked)
		term := time.Date(2028, 2, 29, 16, 30, 1, 0, time.UTC) // rounded up to a second that a store can lock until
		if got := l.row(id).RetainUntil; !got.Equal(term) {
			t.Fatalf("the term ends at %v, want %v", got, term)
		}
		l.at(term.Add(-time.Second))
		l.is(id, catalog.StateLocked)
		l.keyIs(id, nil)
		if len(l.sound(id)) == 0 {
			t.Error("nothing is heard a second before the term ends")
		}
		l.at(term)
		l.keyIs(id, seal.ErrDestroyed)
		l.is(id, catalog.StateExpired)
		l.at(term.Add(10 * time.Second))
		if n := l.objects("rec/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		for _, typ := range []string{recorder.EventExpired, recorder.EventSwept} {
			if a, b := l.tells(id, typ, audit.Intended), l.tells(id, typ, audit.Done); a != 1 || b != 1 {
				t.Errorf("%s: intended %d times, done %d times", typ, a, b)
			}
		}
		if row := l.row(id); row.Gone.Reason != "expired" || !row.Gone.At.Equal(term) || row.Class != "training" || row.Sidecar.Key != "" || len(row.Participants) != 2 {
			t.Errorf("the row is %+v", row)
		}
		l.namesNobody()
		if _, err := l.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("played: %v", err)
		}
		if _, side, err := l.archive.Show(t.Context(), id, "test"); err != nil || side != nil {
			t.Errorf("shown: %v, %v", side, err)
		}
		if rows, err := l.archive.Find(t.Context(), catalog.Query{Number: "+33611223344"}); err != nil || len(rows) != 1 {
			t.Errorf("by its number %d are found, %v", len(rows), err)
		}
		l.agree()
		l.rebuild()
		l.agree()
	})
}

// TestR16NoLock: what was never locked has a term, too.
func TestR16NoLock(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		class := training()
		class.Lock, class.Retention = policy.NoLock, policy.Period{Months: 12}
		id := l.call(class)
		term := l.row(id).RetainUntil
		if want := callEnd.AddDate(1, 0, 0).Truncate(time.Second).Add(time.Second); !term.Equal(want) {
			t.Errorf("the term ends at %v, want %v", term, want)
		}
		l.at(term)
		l.keyIs(id, seal.ErrDestroyed)
		l.at(term.Add(10 * time.Second))
		if n := l.objects("rec/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		l.agree()
	})
}

// TestR13ExpiryWithoutStore: a store that is away, or that goes by another clock, keeps bytes and no key.
func TestR13ExpiryWithoutStore(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	l.at(callEnd.AddDate(0, 0, 1))
	term := l.row(id).RetainUntil
	l.store.Script(
		storagetest.Fault{Op: storagetest.OpList, Suffix: id + "/", Effect: storagetest.NotDone},
		storagetest.Fault{Op: storagetest.OpDelete, Suffix: "recording.wav.age", Effect: storagetest.NotDone},
		storagetest.Fault{Op: storagetest.OpDelete, Suffix: "recording.wav.age", Effect: storagetest.DoneButLost},
	)
	l.at(term)
	l.keyIs(id, seal.ErrDestroyed)
	l.is(id, catalog.StateExpired)
	for i := 1; l.row(id).Sidecar.Key != "" && i < 100; i++ {
		l.agree()
		l.at(term.Add(time.Duration(i) * 10 * time.Second))
	}
	if n := l.objects("rec/"); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	if n := l.tells(id, recorder.EventExpired, audit.Done); n != 1 {
		t.Errorf("it expired %d times", n)
	}
	l.agree()
}

// TestRunExpiresInTime: by the real clock, a key is destroyed within a second of its instant, though nobody looks for minutes.
func TestRunExpiresInTime(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, true)
	class := training()
	class.Lock, class.Quarantine, class.Retention = policy.NoLock, policy.Period{}, policy.Period{Time: 2 * time.Second}
	const id = "01990000-0000-7000-8000-999999999999"
	now := time.Now()
	if err := b.Make(t.Context(), recorder.Made{ID: id, Class: class, At: now.Add(-time.Second), Length: time.Second}); err != nil {
		t.Fatal(err)
	}
	if err := b.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := b.archive.Catalog.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for at := range tick.C {
		_, err := b.archive.Keys.Get(t.Context(), id)
		if errors.Is(err, seal.ErrDestroyed) {
			if early := row.RetainUntil.Sub(at); early > 5*time.Millisecond {
				t.Errorf("the key went %v early", early)
			}
			break
		}
		if late := at.Sub(row.RetainUntil); late > 2*time.Second {
			t.Fatalf("the key is there %v late", late)
		}
	}
	b.agree()
}

// TestExpiryIsFinished: a process that died between the key and the row, and one that was away when the term ended, are made up for.
func TestExpiryIsFinished(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id, away := l.call(training()), l.call(training())
		l.at(callEnd.AddDate(0, 0, 1))
		term := l.row(id).RetainUntil
		if err := l.archive.Keys.Destroy(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		l.stop()
		l.clock.set(term.AddDate(0, 1, 0))
		next := newLaterOn(t, l.dir, l.archive.Store, l.clock)
		next.at(term.AddDate(0, 1, 0))
		next.at(term.AddDate(0, 1, 0).Add(10 * time.Second))
		for _, id := range []string{id, away} {
			next.is(id, catalog.StateExpired)
			next.keyIs(id, seal.ErrDestroyed)
		}
		if n := next.objects("rec/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		next.agree()
		next.rebuild()
		next.agree()
	})
}

// TestOverdueIsAProblem: verification tells of a key that outlives its term, as when no server runs.
func TestOverdueIsAProblem(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	l.at(callEnd.AddDate(0, 0, 1))
	a := *l.archive
	late := l.row(id).RetainUntil.Add(2 * time.Hour)
	a.Clock = func() time.Time { return late } // the recorder's goes on to stand still
	rep, err := a.Verify(t.Context(), func(int) {})
	if err != nil || len(rep.Problems) != 1 || rep.Problems[0].Kind != recorder.RetentionOverdue || !strings.Contains(rep.Problems[0].Text, "its term ended 2h0m0s ago") {
		t.Errorf("verify says %v, %v", rep.Problems, err)
	}
}
