package recorder_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// A watchedStore lets a test do something right before a version is deleted.
type watchedStore struct {
	storage.Store
	deletes int
	before  func(n int, ref storage.Ref) // n counts from 1
}

func (s *watchedStore) Delete(ctx context.Context, ref storage.Ref) error {
	s.deletes++
	if s.before != nil {
		s.before(s.deletes, ref)
	}
	return s.Store.Delete(ctx, ref)
}

// two gives two archives on one catalog, one store and one log, as two processes have them, and n expired recordings that nobody sweeps
// but they.
func two(t *testing.T, n int) (l later, one, other *recorder.Archive, seen *watchedStore, ids []string) {
	t.Helper()
	l = newLater(t)
	class := training()
	class.Quarantine = policy.Period{}
	for range n {
		ids = append(ids, l.call(class))
	}
	l.stop()
	b := newBenchWith(t, benchParts{dir: l.dir, store: l.store, policyFile: recordAll, ports: media.Config{Addr: loopback}, clock: l.clock.now})
	l.bench = b
	l.clock.set(l.row(ids[0]).RetainUntil.Add(time.Second))
	l.must(b.ExpireDue(t.Context()))
	seen = &watchedStore{Store: l.store}
	a, c := *b.archive, *b.archive
	a.Holder, c.Holder, a.Store = "one", "other", seen
	a.Catalog = b.archive.Catalog.WithClock(l.clock.now)
	c.Catalog = a.Catalog
	return l, &a, &c, seen, ids
}

func (l later) swept(ids []string, want int) {
	l.t.Helper()
	for _, id := range ids {
		l.is(id, catalog.StateExpired)
	}
	if n := l.objects("rec/"); n != want {
		l.t.Errorf("%d versions are there, want %d", n, want)
	}
}

// TestOneSweeps: while one process has the lease no other sweeps; when it dies another does, once the lease has ended.
func TestOneSweeps(t *testing.T) {
	l, one, other, _, ids := two(t, 2)
	l.must(one.BeginSweep(t.Context())) // and dies
	l.must(other.Sweep(t.Context()))
	l.swept(ids, 4)
	l.clock.set(l.clock.now().Add(recorder.LeaseTime - time.Second))
	l.must(other.Sweep(t.Context()))
	l.swept(ids, 4)
	l.clock.set(l.clock.now().Add(time.Second))
	l.must(other.Sweep(t.Context()))
	l.swept(ids, 0)
	for _, id := range ids {
		if n := l.tells(id, recorder.EventSwept, audit.Done); n != 1 {
			t.Errorf("%s was swept %d times", id, n)
		}
	}
	l.must(one.BeginSweep(t.Context())) // it was given back
	l.agree()
}

// TestSweepStopsWithoutItsLease: a process that stood still for too long, and whose lease another has taken, deletes nothing more.
func TestSweepStopsWithoutItsLease(t *testing.T) {
	l, one, other, seen, ids := two(t, 2)
	seen.before = func(n int, _ storage.Ref) {
		if n == 1 { // this deletion takes very long
			l.clock.set(l.clock.now().Add(recorder.LeaseTime))
			l.must(other.BeginSweep(context.Background()))
		}
	}
	l.must(one.Sweep(t.Context()))
	l.swept(ids, 3)
	if seen.deletes != 1 {
		t.Errorf("%d versions were deleted, want the one that was being deleted", seen.deletes)
	}
	l.must(other.Sweep(t.Context()))
	l.swept(ids, 0)
	l.agree()
}

// TestSweepLooksBeforeEachVersion: a lock, or a hold, that comes while others are deleted keeps a version.
func TestSweepLooksBeforeEachVersion(t *testing.T) {
	for name, keep := range map[string]func(l later, ref storage.Ref) error{
		"lock": func(l later, ref storage.Ref) error {
			return l.store.Lock(context.Background(), ref, storage.Retention{Mode: storage.Governance, Until: l.clock.now().Add(time.Hour)})
		},
		"hold": func(l later, ref storage.Ref) error { return l.store.Hold(context.Background(), ref, true) },
	} {
		t.Run(name, func(t *testing.T) {
			l, one, _, seen, ids := two(t, 1)
			var kept storage.Ref
			seen.before = func(n int, ref storage.Ref) {
				for info, err := range l.store.List(context.Background(), "rec/") {
					if l.must(err); info.Ref != ref && n == 1 {
						kept = info.Ref
						l.must(keep(l, kept))
					}
				}
			}
			l.must(one.Sweep(t.Context())) // the strict fake fails the test when it is asked to delete what is locked
			l.swept(ids, 1)
			if _, err := l.store.Stat(t.Context(), kept); err != nil || seen.deletes != 1 {
				t.Errorf("%v, %d versions were deleted", err, seen.deletes)
			}
			if n := l.tells(ids[0], recorder.EventSwept, audit.Done); n != 1 {
				t.Errorf("the sweeping is witnessed %d times", n)
			}
		})
	}
}

// TestSweepGoesOn: what the store could not delete is deleted by the next sweep, whichever process it is.
func TestSweepGoesOn(t *testing.T) {
	l, one, other, _, ids := two(t, 2)
	l.store.Script(storagetest.Fault{Op: storagetest.OpDelete, Effect: storagetest.NotDone})
	if err := one.Sweep(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("swept while the store is away: %v", err)
	}
	l.must(other.Sweep(t.Context())) // the lease was given back
	l.swept(ids, 0)
	l.agree()
}
