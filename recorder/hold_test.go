package recorder_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

// hold places one, of recordings.
func (l later) hold(name string, ids ...string) error {
	_, err := l.archive.Hold(l.t.Context(), recorder.HoldOrder{Name: name, IDs: ids, Reason: "Case 2026/17", Actor: "eve"})
	return err
}

// rule places one, of what a query finds.
func (l later) rule(name string, q catalog.Query) error {
	_, err := l.archive.Hold(l.t.Context(), recorder.HoldOrder{Name: name, Query: &q, Reason: "Case 2026/17", Actor: "eve"})
	return err
}

func (l later) release(name, id string) error {
	_, err := l.archive.ReleaseHold(l.t.Context(), recorder.HoldRelease{Hold: name, ID: id, Reason: "settled", Actor: "bob"})
	return err
}

func (l later) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// isHeld expects the store to hold every version of a recording and its documents, or none.
func (l later) isHeld(id string, want bool) {
	l.t.Helper()
	n := 0
	for _, prefix := range []string{"rec/", "ana/"} {
		for info, err := range l.archive.Store.List(l.t.Context(), prefix) {
			l.must(err)
			if !strings.Contains(info.Key, "/"+id+"/") {
				continue
			}
			n++
			if info.LegalHold != want {
				l.t.Errorf("%s: legal hold %v, want %v", info.Key, info.LegalHold, want)
			}
		}
	}
	if n < 2 {
		l.t.Errorf("%s has %d objects", id, n)
	}
}

// TestHoldKeeps: what is held outlives its term, and nothing destroys it; when it is released, what was due is done at once.
func TestHoldKeeps(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id, other := l.call(training()), l.call(training())
		doc, err := l.archive.Annotate(t.Context(), id, recorder.Analysis{Kind: recorder.Note, Text: "calm"}, "eve")
		l.must(err)
		l.must(l.hold("case-17", id))
		l.must(l.hold("case-17", id)) // again
		later, err := l.archive.Annotate(t.Context(), id, recorder.Analysis{Kind: recorder.Note, Text: "written under the hold"}, "eve")
		l.must(err)
		l.isHeld(id, true)
		if _, err := l.archive.Redact(t.Context(), id, redactFrom, redactTo, "eve", "x"); !errors.Is(err, catalog.ErrHeld) || !strings.Contains(err.Error(), "Case 2026/17") {
			t.Errorf("redacted under a hold: %v", err)
		}
		if err := l.DestroyStored(t.Context(), id, "quota_over"); !errors.Is(err, catalog.ErrHeld) {
			t.Errorf("destroyed under a hold: %v", err)
		}
		l.must(l.archive.Catalog.Undoom(t.Context(), id))
		l.agree()
		l.at(callEnd.AddDate(0, 0, 1)) // the quarantine ends: it is locked and held
		l.is(id, catalog.StateLocked)
		l.at(callEnd.AddDate(0, 7, 0)) // the term ends
		l.is(id, catalog.StateLocked)
		l.is(other, catalog.StateExpired)
		l.at(callEnd.AddDate(2, 0, 0)) // and that of the documents
		for _, d := range []string{doc, later} {
			l.keyIs(d, nil)
		}
		l.keyIs(id, nil)
		if n := len(l.sound(id)); n == 0 {
			t.Error("nothing is heard")
		}
		l.isHeld(id, true)
		if n := l.tells(id, recorder.EventExpired, audit.Intended); n != 0 {
			t.Errorf("its expiry was begun %d times", n)
		}
		l.agree()
		l.rebuild()
		l.agree()

		l.must(l.release("case-17", ""))
		l.is(id, catalog.StateExpired)
		l.keyIs(id, seal.ErrDestroyed)
		l.at(callEnd.AddDate(2, 0, 0).Add(time.Minute)) // the keys of the documents, and then their bytes
		l.at(callEnd.AddDate(2, 0, 0).Add(2 * time.Minute))
		for _, d := range []string{doc, later} {
			l.keyIs(d, seal.ErrDestroyed)
		}
		if n := l.objects("rec/") + l.objects("ana/"); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		if l.tells(id, recorder.EventHoldPlaced, audit.Done) != 1 || l.tells(id, recorder.EventHoldReleased, audit.Done) != 1 {
			t.Error("the hold is not witnessed, or twice")
		}
		l.namesNobody()
		l.agree()
		l.rebuild()
		l.agree()
	})
}

// TestHeldIsDestroyedWhenReleased: what loses its place while it is held waits, locked or not, and is destroyed when it is let go.
func TestHeldIsDestroyedWhenReleased(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		l.must(l.hold("a", id))
		l.must(l.archive.Catalog.Doom(t.Context(), id, string(recorder.DestroyedQuotaOver)))
		l.at(callEnd.AddDate(0, 0, 3))
		l.is(id, catalog.StateStored)
		l.keyIs(id, nil)
		if n := l.tells(id, recorder.EventDestroyed, audit.Intended) + l.tells(id, recorder.EventDestroyed, audit.Failed); n != 0 {
			t.Errorf("it was tried %d times", n)
		}
		l.agree()
		l.must(l.release("", id))
		l.destroyed(id, recorder.DestroyedQuotaOver)
	})
}

// TestHoldRule: what a rule finds is held, what is stored later and fits too, and what it has let go it leaves alone.
func TestHoldRule(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		before, other := l.call(training()), training()
		other.Name = "orders"
		l.must(l.rule("ada", catalog.Query{Number: "+33611223344", Class: "training"}))
		after, unlike := l.call(training()), l.call(other)
		for id, want := range map[string]bool{before: true, after: true, unlike: false} {
			l.isHeld(id, want)
		}
		l.must(l.release("", before))
		l.isHeld(before, false)
		l.must(l.rule("ada", catalog.Query{Number: "+33611223344", Class: "training"})) // again
		l.isHeld(before, false)
		l.must(l.hold("ada", before)) // but who names it
		l.isHeld(before, true)
		l.logNamesNobody()
		l.agree()
		l.must(l.release("ada", ""))
		l.isHeld(after, false)
		l.isHeld(l.call(training()), false)
		if err := l.hold("ada", after); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("a hold that has ended holds again: %v", err)
		}
		list, err := l.archive.Holds(t.Context())
		if err != nil || len(list) != 1 || list[0].Ended.IsZero() || len(list[0].Recordings) != 2 || list[0].By != "eve" {
			t.Errorf("the holds are %+v, %v", list, err)
		}
		l.agree()
	})
}

// logNamesNobody expects no number of a rule in the audit log.
func (l later) logNamesNobody() {
	l.t.Helper()
	for e, err := range audit.Read(l.archive.AuditDir) {
		l.must(err)
		if strings.Contains(string(e.Line), "33611223344") {
			l.t.Errorf("the log names somebody: %s", e.Line)
		}
	}
}

// TestHoldWhileItIsStored: a recording that is on its way into the store, and one whose rule was placed then, is held when it is there.
func TestHoldWhileItIsStored(t *testing.T) {
	for _, byRule := range []bool{false, true} {
		l := newLater(t)
		wait := make(chan struct{})
		l.store.Script(storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: storagetest.Slow, Wait: wait})
		const id = "01990000-0000-7000-8000-555555555555"
		class := training()
		class.Quarantine = policy.Period{}
		l.must(l.Make(t.Context(), recorder.Made{ID: id, Class: class, At: callEnd.Add(-time.Second), Length: time.Second, Metadata: []byte(twoParties)}))
		settled := make(chan error)
		go func() { settled <- l.Settle(t.Context()) }()
		for len(l.store.Pending()) > 0 {
			runtime.Gosched()
		}
		if byRule {
			l.must(l.rule("a", catalog.Query{Class: "training"}))
		} else {
			l.must(l.hold("a", id))
		}
		close(wait)
		l.must(<-settled)
		l.isHeld(id, true)
		l.is(id, catalog.StateLocked)
		l.agree()
		l.rebuild()
		l.agree()
	}
}

// TestHoldThoughItFails: whatever call of the store fails, done or not, and wherever the process ends, a hold is placed and released in the
// end; and until then nothing is destroyed.
func TestHoldThoughItFails(t *testing.T) {
	for _, object := range []string{"recording.wav.age", "recording.json.age"} {
		for _, effect := range []storagetest.Effect{storagetest.NotDone, storagetest.DoneButLost} {
			fault := storagetest.Fault{Op: storagetest.OpHold, Suffix: object, Effect: effect}
			t.Run(strings.ReplaceAll(fault.String(), " ", "-"), func(t *testing.T) {
				t.Parallel()
				l := newLater(t)
				id := l.call(training())
				l.store.Script(fault)
				if err := l.hold("a", id); !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("held while the store is away: %v", err)
				}
				if err := l.DestroyStored(t.Context(), id, "objected"); !errors.Is(err, catalog.ErrHeld) {
					t.Errorf("destroyed though it is held: %v", err)
				}
				l.must(l.archive.Catalog.Undoom(t.Context(), id))
				l.agree()
				l.stop() // and the next process does it
				l = newLaterOn(t, l.dir, l.store, l.clock)
				l.at(callEnd.AddDate(1, 0, 0)) // its term is over
				l.isHeld(id, true)
				l.agree()

				l.store.Script(fault)
				if err := l.release("a", ""); !errors.Is(err, storage.ErrUnavailable) {
					t.Errorf("released while the store is away: %v", err)
				}
				l.keyIs(id, nil)
				l.agree()
				l.stop()
				l = newLaterOn(t, l.dir, l.store, l.clock)
				l.at(callEnd.AddDate(1, 0, 0).Add(time.Minute))
				l.is(id, catalog.StateExpired)
				l.keyIs(id, seal.ErrDestroyed)
				l.agree()
				l.rebuild()
				l.agree()
			})
		}
	}
}

// TestTwoHolds: a recording that two hold is held until both are released.
func TestTwoHolds(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		l.must(l.hold("a", id))
		l.must(l.hold("b", id))
		if err := l.release("", id); !errors.Is(err, recorder.ErrRefused) || !strings.Contains(err.Error(), "a, b") {
			t.Errorf("released without a name: %v", err)
		}
		l.must(l.release("a", ""))
		l.isHeld(id, true)
		l.agree()
		l.must(l.release("b", id))
		l.isHeld(id, false)
		if err := l.release("", id); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("released what nothing holds: %v", err)
		}
		l.agree()
		l.rebuild()
		l.isHeld(id, false)
	})
}

// TestHoldIsRefused: what cannot be held is said before anything is done.
func TestHoldIsRefused(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	ctx := t.Context()
	for what, o := range map[string]recorder.HoldOrder{
		"without a reason":   {IDs: []string{id}},
		"of nothing":         {Reason: "x"},
		"of everything":      {Reason: "x", Query: &catalog.Query{}},
		"of a state":         {Reason: "x", Query: &catalog.Query{State: catalog.StateStored}},
		"of both":            {Reason: "x", Query: &catalog.Query{Class: "training"}, IDs: []string{id}},
		"with a longer name": {Reason: "x", IDs: []string{id}, Name: strings.Repeat("n", 101)},
	} {
		if _, err := l.archive.Hold(ctx, o); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("held %s: %v", what, err)
		}
	}
	if err := l.hold("a", id, "nobody"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("held what is not there: %v", err)
	}
	l.must(l.archive.Catalog.Doom(ctx, id, "objected"))
	if err := l.hold("a", id); !errors.Is(err, catalog.ErrDoomed) {
		t.Errorf("held what is being destroyed: %v", err)
	}
	l.at(callEnd.Add(time.Minute))
	if err := l.hold("a", id); !errors.Is(err, recorder.ErrNotPlayable) {
		t.Errorf("held what is destroyed: %v", err)
	}
	if err := l.release("b", ""); !errors.Is(err, recorder.ErrRefused) {
		t.Errorf("released a hold that is not there: %v", err)
	}
	if list, err := l.archive.Holds(ctx); err != nil || len(list) != 0 {
		t.Errorf("the holds are %+v, %v", list, err)
	}
}

// TestVerifyKnowsHolds: a legal hold that somebody lifts in the store, or takes out of the catalog, is found.
func TestVerifyKnowsHolds(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	l.must(l.hold("a", id))
	problems := func() string {
		rep, err := l.archive.Verify(t.Context(), func(int) {})
		l.must(err)
		return fmt.Sprint(rep.Problems)
	}
	row := l.row(id)
	ref := storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version}
	l.must(l.store.Hold(t.Context(), ref, false))
	if got := problems(); !strings.Contains(got, "no legal hold") {
		t.Errorf("the problems are %q", got)
	}
	l.must(l.store.Hold(t.Context(), ref, true))
	l.must(l.archive.Catalog.SetHeld(t.Context(), catalog.Held{Recording: id, Hold: "a", State: catalog.HoldLifted, Since: callEnd}))
	if got := problems(); !strings.Contains(got, "the audit log tells that hold a holds it") {
		t.Errorf("the problems are %q", got)
	}
	l.rebuild()
	l.agree()
}

// TestHoldsAreRebuilt: from the audit log alone; of a rule that names somebody only what it holds already.
func TestHoldsAreRebuilt(t *testing.T) {
	l := newLater(t)
	id := l.call(training())
	l.must(l.rule("by-class", catalog.Query{Class: "training"}))
	l.must(l.rule("by-number", catalog.Query{Number: "+33611223344"}))
	before, err := l.archive.Holds(t.Context())
	l.must(err)
	l.stop()
	l.lose("catalog.sqlite")
	l = newLaterOn(t, l.dir, l.store, l.clock)
	rep, err := l.archive.Rebuild(t.Context(), func(int) {})
	if err != nil || len(rep.Problems) != 1 || !strings.Contains(rep.Problems[0], "by-number") {
		t.Errorf("rebuilt %+v, %v", rep, err)
	}
	after, err := l.archive.Holds(t.Context())
	l.must(err)
	if len(after) != 2 || *after[0].Query != *before[0].Query || after[1].Query != nil || len(after[1].Recordings) != 1 || after[0].Recordings[0].State != catalog.HoldPlaced {
		t.Errorf("the holds are %+v, were %+v", after, before)
	}
	l.agree()
	l.isHeld(id, true)
	l.isHeld(l.call(training()), true)
}

// lose deletes what begins with a name.
func (l later) lose(name string) {
	l.t.Helper()
	files, err := filepath.Glob(filepath.Join(l.dir, name+"*"))
	l.must(err)
	for _, f := range files {
		l.must(os.Remove(f))
	}
}
