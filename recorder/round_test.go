package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
)

func atOnce(ctx context.Context, _ int64) error { return ctx.Err() }

// counted gives how many entries of each type there are.
func counted(events []audit.Entry) map[string]int {
	out := map[string]int{}
	for _, e := range events {
		out[e.Type]++
	}
	return out
}

// TestFindingsAreToldOnceADay: not again by a second round of the day, of whichever process, and again the next day.
func TestFindingsAreToldOnceADay(t *testing.T) {
	l := onDir(t)
	id := l.lockedCall()
	l.must(os.RemoveAll(l.version(l.audioOf(id))))
	l.clock.set(callEnd.Add(time.Hour))
	for i, want := range []int{1, 0, 1} {
		if i == 2 {
			l.clock.set(l.clock.now().AddDate(0, 0, 1))
		}
		found, events := l.round(*l.archive)
		if got := counted(events); got[string(recorder.RetentionEarlyLoss)] != want || got[recorder.EventVerified] != 1 || len(found) == 0 {
			t.Errorf("round %d: %v, found %v", i, got, found)
		}
		l.clock.set(l.clock.now().Add(time.Minute))
	}
	last, made, err := l.archive.LastRound(t.Context())
	if err != nil || !made || last.Findings[recorder.RetentionEarlyLoss] == 0 || last.At.Before(callEnd.AddDate(0, 0, 1)) {
		t.Errorf("the last round is %+v, %t, %v", last, made, err)
	}
}

// TestFindingsAreBounded: of very many a round tells some, and counts the rest.
func TestFindingsAreBounded(t *testing.T) {
	l := newLater(t)
	for i := range recorder.MaxTold + 7 {
		_, err := l.archive.Store.Put(t.Context(), fmt.Sprintf("strange/%d", i), strings.NewReader("x"), 1, storage.PutOptions{})
		l.must(err)
	}
	found, events := l.round(*l.archive)
	if got := counted(events); got[string(recorder.Orphan)] != recorder.MaxTold || len(found) != recorder.MaxTold+7 {
		t.Errorf("%v are told of %d", got, len(found))
	}
	if last, _, err := l.archive.LastRound(t.Context()); err != nil || last.Untold != 7 {
		t.Errorf("%+v, %v", last, err)
	}
}

// TestOneMakesTheRound: of two processes one, and the other only when the first has died, or the next day.
func TestOneMakesTheRound(t *testing.T) {
	l := newLater(t)
	id := l.lockedCall()
	one, other := *l.archive, *l.archive
	one.Holder, other.Holder = "one", "other"
	one.Catalog = one.Catalog.WithClock(l.clock.now)
	other.Catalog = one.Catalog
	stopped := errors.New("stopped")
	refused := func(ctx context.Context, _ int64) error {
		if _, err := other.Round(ctx, atOnce); !errors.Is(err, recorder.ErrNotOurs) {
			t.Errorf("both: %v", err)
		}
		return stopped
	}
	if _, err := one.Round(t.Context(), refused); !errors.Is(err, stopped) {
		t.Errorf("stopped: %v", err)
	}
	rep, err := other.Round(t.Context(), atOnce) // it was given back
	if err != nil || rep.Recordings != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := one.Round(t.Context(), atOnce); !errors.Is(err, recorder.ErrNotOurs) {
		t.Errorf("again the same day: %v", err)
	}
	l.clock.set(l.clock.now().Add(21 * time.Hour))
	taken := func(ctx context.Context, _ int64) error {
		l.clock.set(l.clock.now().Add(2 * recorder.LeaseTime)) // this one stands still
		_, err := other.Round(ctx, atOnce)
		l.must(err)
		return nil
	}
	_, err = one.Round(t.Context(), func(ctx context.Context, n int64) error {
		defer func() { taken = func(context.Context, int64) error { return nil } }()
		return taken(ctx, n)
	})
	if !errors.Is(err, recorder.ErrNotOurs) {
		t.Errorf("a round whose lease was taken over: %v", err)
	}
	if n := l.tells("", recorder.EventVerified, ""); n != 2 {
		t.Errorf("%d rounds are witnessed", n)
	}
	l.is(id, "locked")
}

// TestRoundStops: at once, and witnesses nothing.
func TestRoundStops(t *testing.T) {
	l := newLater(t)
	l.lockedCall()
	a := *l.archive
	a.Holder = "test"
	ctx, cancel := context.WithCancel(t.Context())
	var read []int64
	_, err := a.Round(ctx, func(ctx context.Context, n int64) error {
		if read = append(read, n); n > 0 {
			cancel()
		}
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || l.tells("", recorder.EventVerified, "") != 0 {
		t.Errorf("%v", err)
	}
	if n := len(slices.DeleteFunc(read, func(n int64) bool { return n == 0 })); n != 1 {
		t.Errorf("%d pieces were read", n)
	}
}

// TestAwayIsNoFinding: a store that cannot be reached ends a verification, and nothing is said to be lost.
func TestAwayIsNoFinding(t *testing.T) {
	l := newLater(t)
	l.lockedCall()
	a := *l.archive
	a.Store = listedStore{a.Store}
	if rep, err := a.Verify(t.Context(), func(int) {}); !errors.Is(err, storage.ErrUnavailable) || len(rep.Problems) > 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// A listedStore can be listed, and is gone then.
type listedStore struct{ storage.Store }

func (listedStore) Open(context.Context, storage.Ref) (storage.Object, error) {
	return nil, storage.ErrUnavailable
}
func (listedStore) Check(context.Context) error { return storage.ErrUnavailable }
