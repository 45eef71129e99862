package recorder_test

import (
	"errors"
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

// destroyed expects nothing of a recording but a row without names, and an audit log that says why.
func (l later) destroyed(id string, reason recorder.DestroyReason) {
	l.t.Helper()
	l.is(id, catalog.StateDestroyed)
	l.keyIs(id, seal.ErrDestroyed)
	row := l.row(id)
	if row.Gone.Reason != string(reason) || row.Sidecar.Key != "" || row.Class == "" || row.Rule != "made" {
		l.t.Errorf("the row is %+v", row)
	}
	if n := l.objects("rec/"); n != 0 {
		l.t.Errorf("%d objects are left", n)
	}
	if ids, err := l.spool.List(); err != nil || len(ids) != 0 {
		l.t.Errorf("the spool holds %v, %v", ids, err)
	}
	if list, err := l.archive.Catalog.Doomed(l.t.Context()); err != nil || len(list) != 0 {
		l.t.Errorf("still doomed are %v, %v", list, err)
	}
	if l.tells(id, recorder.EventDestroyed, audit.Intended) == 0 || l.tells(id, recorder.EventDestroyed, audit.Done) != 1 {
		l.t.Error("its end is not witnessed, or twice")
	}
	l.namesNobody()
	l.agree()
	l.rebuild()
	l.agree()
}

// TestDoomedIsDestroyed: from the spool before it is sealed, and from the store in its quarantine.
func TestDoomedIsDestroyed(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		if err := l.archive.Catalog.Doom(t.Context(), id, string(recorder.DestroyedQuotaOver)); err != nil {
			t.Fatal(err)
		}
		l.at(callEnd.Add(time.Minute))
		l.destroyed(id, recorder.DestroyedQuotaOver)
	})
	onBoth(t, func(t *testing.T, l later) {
		const id = "01990000-0000-7000-8000-888888888888"
		m := recorder.Made{ID: id, Doomed: recorder.DestroyedObjected, Class: training(), At: callEnd.Add(-time.Second), Length: time.Second, Metadata: []byte(twoParties)}
		if err := l.Make(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		l.settle()
		l.destroyed(id, recorder.DestroyedObjected)
		if n := l.tells(id, recorder.EventStored, audit.Intended); n != 0 {
			t.Error("it was stored before that")
		}
	})
}

// TestDestroyedThoughItFails: whatever call of the store fails, done or not, and wherever the process ends, a doomed recording is
// destroyed in the end.
func TestDestroyedThoughItFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{
		{Op: storagetest.OpList, Effect: storagetest.NotDone},
		{Op: storagetest.OpDelete, Suffix: "recording.wav.age", Effect: storagetest.NotDone},
		{Op: storagetest.OpDelete, Suffix: "recording.wav.age", Effect: storagetest.DoneButLost},
		{Op: storagetest.OpDelete, Suffix: "recording.json.age", Effect: storagetest.NotDone},
		{Op: storagetest.OpDelete, Suffix: "recording.json.age", Effect: storagetest.DoneButLost},
	} {
		t.Run(strings.ReplaceAll(fault.String(), " ", "-"), func(t *testing.T) {
			t.Parallel()
			l := newLater(t)
			id := l.call(training())
			if fault.Op == storagetest.OpList {
				fault.Suffix = id + "/"
			}
			l.store.Script(fault)
			if err := l.DestroyStored(t.Context(), id, "objected"); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("destroyed while the store is away: %v", err)
			}
			l.keyIs(id, seal.ErrDestroyed)
			if _, err := l.archive.Play(t.Context(), id, "test", "", ""); !errors.Is(err, recorder.ErrNotPlayable) {
				t.Errorf("it plays: %v", err)
			}
			if _, side, err := l.archive.Show(t.Context(), id, "test"); err != nil || side != nil {
				t.Errorf("it shows %v, %v", side, err)
			}
			l.agree()
			l.stop() // and the next process does it
			next := newLaterOn(t, l.dir, l.store, l.clock)
			next.at(callEnd.Add(time.Minute))
			next.destroyed(id, recorder.DestroyedObjected)
		})
	}
}

// TestDestroyedFromTheStoreBeforeItsRow: a recording whose objects were put, and whose process died before the catalog knew, is found
// in the store by its sealed sidecar; also when the process that destroys it dies after the key.
func TestDestroyedFromTheStoreBeforeItsRow(t *testing.T) {
	for _, effect := range []storagetest.Effect{storagetest.NotDone, storagetest.DoneButLost} {
		t.Run(strings.ReplaceAll(string(effect), " ", "-"), func(t *testing.T) {
			t.Parallel()
			l := newLater(t)
			l.store.Script(storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: effect})
			id := l.call(training()) // fails after the sidecar
			l.is(id, catalog.StateRecording)
			l.store.Script(storagetest.Fault{Op: storagetest.OpDelete, Effect: storagetest.NotDone})
			if err := l.DestroyStored(t.Context(), id, "no_consent"); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("destroyed while the store is away: %v", err)
			}
			l.keyIs(id, seal.ErrDestroyed)
			l.stop()
			next := newLaterOn(t, l.dir, l.store, l.clock)
			next.at(callEnd.Add(time.Minute))
			next.destroyed(id, recorder.DestroyedNoConsent)
		})
	}
}

// TestLockedIsNotDestroyed: nothing is destroyed of what the store locks, the error says until when, and nobody tries for months.
func TestLockedIsNotDestroyed(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		l.at(callEnd.AddDate(0, 0, 1))
		before := len(l.sound(id))
		err := l.DestroyStored(t.Context(), id, "objected")
		if !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "2028-02-29T16:30:01Z") {
			t.Errorf("destroyed what is locked: %v", err)
		}
		l.at(callEnd.AddDate(0, 0, 2))
		l.at(callEnd.AddDate(0, 0, 3))
		l.is(id, catalog.StateLocked)
		if len(l.sound(id)) != before {
			t.Error("its sound has changed")
		}
		if n := l.tells(id, recorder.EventDestroyed, audit.Failed); n > 2 {
			t.Errorf("it was tried %d times", n)
		}
		l.agree()
	})
}

// TestDestroyWithoutTrace: what never was in catalog, spool or store can be destroyed, and then is never made.
func TestDestroyWithoutTrace(t *testing.T) {
	l := newLater(t)
	const id = "01990000-0000-7000-8000-777777777777"
	for range 2 {
		if err := l.DestroyStored(t.Context(), id, "objected"); err != nil {
			t.Fatal(err)
		}
	}
	l.keyIs(id, seal.ErrDestroyed)
	l.agree()
}

// TestDoomedWhileItIsStored: a recording that loses its place while it is on its way into the store is destroyed, and never locked.
func TestDoomedWhileItIsStored(t *testing.T) {
	l := newLater(t)
	class := training()
	class.Quarantine = policy.Period{}
	wait := make(chan struct{})
	l.store.Script(storagetest.Fault{Op: storagetest.OpPut, Suffix: "recording.wav.age", Effect: storagetest.Slow, Wait: wait})
	const id = "01990000-0000-7000-8000-666666666666"
	m := recorder.Made{ID: id, Class: class, At: callEnd.Add(-time.Second), Length: time.Second, Metadata: []byte(twoParties)}
	if err := l.Make(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	settled := make(chan error)
	go func() { settled <- l.Settle(t.Context()) }()
	for len(l.store.Pending()) > 0 {
		runtime.Gosched()
	}
	if err := l.archive.Catalog.Doom(t.Context(), id, string(recorder.DestroyedQuotaOver)); err != nil {
		t.Fatal(err)
	}
	if err := l.DestroyStored(t.Context(), id, string(recorder.DestroyedQuotaOver)); err != nil { // somebody is at it
		t.Fatal(err)
	}
	l.keyIs(id, nil)
	close(wait)
	if err := <-settled; err != nil {
		t.Fatal(err)
	}
	l.destroyed(id, recorder.DestroyedQuotaOver)
	if n := l.tells(id, recorder.EventLocked, audit.Intended); n != 0 {
		t.Error("it was to be locked")
	}
}

// TestDestroyedAgain: what a crash left between the row's end and the list of the doomed changes nothing.
func TestDestroyedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		if err := l.DestroyStored(t.Context(), id, "objected"); err != nil {
			t.Fatal(err)
		}
		before := l.row(id)
		if err := l.archive.Catalog.Doom(t.Context(), id, "quota_over"); err != nil {
			t.Fatal(err)
		}
		l.at(callEnd.Add(time.Hour))
		if after := l.row(id); after.Gone != before.Gone {
			t.Errorf("it ended %+v, and then %+v", before.Gone, after.Gone)
		}
		if list, err := l.archive.Catalog.Doomed(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("still doomed are %v, %v", list, err)
		}
		l.agree()
	})
}
