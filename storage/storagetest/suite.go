// Package storagetest holds every storage.Store to the same contract: Run is the suite, NewFake a strict store in memory with
// faults for tests of whoever uses a store, StartMinIO a real service.
package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/greffier/greffier/storage"
)

// Options says how a store is to be tested.
type Options struct {
	// Advance moves the clock of the store made last. Without it the suite waits until real locks of a few seconds end.
	Advance func(time.Duration)
	// Now is the clock that retention is counted from; nil means time.Now.
	Now func() time.Time
	// Mark places a delete marker on a key, as a lifecycle rule does. Without it, that is not tested: not every store has them.
	Mark func(t *testing.T, s storage.Store, key string)
	// Instead replaces tests, by their names, that a store is known to fail: by one that says how, and fails when it does so no longer.
	Instead map[string]func(t *testing.T, s storage.Store)
	// InMemory excuses a store from copying large objects in little memory.
	InMemory bool
}

const (
	// realLock is how long locks last that the suite waits for on a real clock.
	realLock = 4 * time.Second
	// testTimeout bounds one test on a store that hangs.
	testTimeout = 2 * time.Minute
)

// Run tests a store. newStore is called once for each test and must give a store without objects.
func Run(t *testing.T, newStore func(t *testing.T) storage.Store, o Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, test := range []struct {
		name string
		run  func(*suite)
	}{
		{"Check", (*suite).check},
		{"PutAndRead", (*suite).putAndRead},
		{"EmptyObject", (*suite).emptyObject},
		{"Ranges", (*suite).ranges},
		{"PutAgain", (*suite).putAgain},
		{"PutWrongContent", (*suite).putWrongContent},
		{"PutRaces", (*suite).putRaces},
		{"BigObject", (*suite).bigObject},
		{"BadNames", (*suite).badNames},
		{"Missing", (*suite).missing},
		{"Cancelled", (*suite).cancelled},
		{"RetentionAtPut", (*suite).retentionAtPut},
		{"RetentionLater", (*suite).retentionLater},
		{"RetentionGrows", (*suite).retentionGrows},
		{"BadRetention", (*suite).badRetention},
		{"DeleteWhenUnlocked", (*suite).deleteWhenUnlocked},
		{"DeleteAfterExpiry", (*suite).deleteAfterExpiry},
		{"LegalHold", (*suite).legalHold},
		{"List", (*suite).list},
		{"ListStops", (*suite).listStops},
		{"DeleteMarker", (*suite).deleteMarker},
	} {
		if test.name == "DeleteMarker" && o.Mark == nil {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
			defer cancel()
			if instead := o.Instead[test.name]; instead != nil {
				instead(t, newStore(t))
				return
			}
			test.run(&suite{T: t, ctx: ctx, store: newStore(t), o: o})
		})
	}
}

type suite struct {
	*testing.T
	ctx   context.Context
	store storage.Store
	o     Options
}

// until gives a retention that ends in d, in whole seconds.
func (s *suite) until(mode storage.Mode, d time.Duration) storage.Retention {
	return storage.Retention{Mode: mode, Until: s.o.Now().Add(d)}.Rounded()
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) wantError(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// waitUnlocked deletes a version as soon as its lock has ended, and fails if that was before the time until.
func (s *suite) waitUnlocked(ref storage.Ref, until time.Time) {
	s.Helper()
	if s.o.Advance != nil {
		s.o.Advance(until.Sub(s.o.Now()) - time.Second)
		s.wantError("delete a second before the end", s.store.Delete(s.ctx, ref), storage.ErrLocked)
		s.o.Advance(time.Second)
		s.must(s.store.Delete(s.ctx, ref))
		return
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.store.Delete(s.ctx, ref)
		if err == nil {
			break
		}
		if !errors.Is(err, storage.ErrLocked) {
			s.Fatal(err)
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("still locked %v after the end of its retention: %v", s.o.Now().Sub(until), err)
		case <-tick.C:
		}
	}
	if now := s.o.Now(); now.Before(until) {
		s.Errorf("deleted at %v, before the retention ended at %v", now, until)
	}
}
