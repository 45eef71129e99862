package recorder_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// An awayStore is a store that is away while it is told to be.
type awayStore struct {
	storage.Store
	away  atomic.Bool
	asked atomic.Int64 // while it was away
}

func (s *awayStore) Put(ctx context.Context, key string, r io.ReaderAt, size int64, o storage.PutOptions) (storage.Ref, error) {
	if s.away.Load() {
		s.asked.Add(1)
		return storage.Ref{}, fmt.Errorf("%w: nobody answers", storage.ErrUnavailable)
	}
	return s.Store.Put(ctx, key, r, size, o)
}

// TestSixHoursWithoutStore: a store that is away for a night is tried by one recording from time to time, and not by all of them again and
// again; when it is back everything is stored at once, and nothing is lost.
func TestSixHoursWithoutStore(t *testing.T) {
	const calls, step = 40, time.Minute
	clock := &stoppedClock{at: callEnd}
	store := &awayStore{Store: storagetest.NewFake(t, storagetest.FakeOptions{Now: clock.now})}
	l := newLaterOn(t, t.TempDir(), store, clock)
	store.away.Store(true)
	ids := make([]string, calls)
	for i := range ids {
		ids[i] = l.call(training())
	}
	for at := callEnd; at.Before(callEnd.Add(6 * time.Hour)); at = at.Add(step) {
		l.at(at)
	}
	if !l.StoreAway() {
		t.Error("it is not known that the store is away")
	}
	// A try every two minutes and a bit, and a few at first: not one for each of the calls.
	if n := store.asked.Load(); n < 100 || n > 6*60/2+20 {
		t.Errorf("the store was asked %d times in six hours", n)
	}
	tries := 0
	for _, id := range ids {
		tries += l.tells(id, recorder.EventStored, audit.Intended)
		l.keyIs(id, nil)
	}
	t.Logf("%d attempts for %d calls in six hours", tries, calls)
	store.away.Store(false)
	l.at(callEnd.Add(6*time.Hour + 3*time.Minute)) // the next attempt is due
	l.settle()
	for _, id := range ids {
		l.is(id, catalog.StateStored)
		if len(l.sound(id)) == 0 {
			t.Errorf("%s has no sound", id)
		}
	}
	if l.StoreAway() {
		t.Error("it is not known that the store is back")
	}
	l.agree()
}
