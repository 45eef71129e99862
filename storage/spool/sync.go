package spool

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// syncParallel is how many files are synced at the same time. The file system commits them together: 400 recordings
	// take 27 ms where one after the other takes 405 ms, and slow disks gain the most.
	syncParallel = 8

	// wholeLeast is how many files must be dirty for the file system to be synced in their place. For fewer that costs
	// no less, and writes what other programs have left to be written.
	wholeLeast = 16

	// wholeRest is for how many intervals files are synced one by one after the file system took more than half an
	// interval: somebody else writes much there.
	wholeRest = 30
)

// A wholeSync makes everything durable that was written to the file system before. An error was not told before, and may
// concern any file written since the last call.
type wholeSync func() error

// A wholeRun is a sync of the file system that is under way.
type wholeRun struct {
	dirty []unsynced
	began time.Time
	done  chan error // nil: none is
}

// syncLoop syncs what is dirty until Close. Syncs of files that take longer than the interval delay the next ones; one of the file
// system does not, and is waited for in the end.
func (s *Spool) syncLoop() {
	defer close(s.stopped)
	t := time.NewTicker(s.opts.SyncInterval)
	defer t.Stop()
	var whole wholeRun
	rest := 0
	end := func(err error) {
		if s.wholeEnded(&whole, err); time.Since(whole.began) > s.opts.SyncInterval/2 {
			rest = wholeRest
		}
		whole.done = nil
	}
	for {
		select {
		case <-s.stop:
			if whole.done != nil {
				end(<-whole.done)
			}
			return
		case err := <-whole.done:
			end(err)
		case <-t.C:
			dirty := s.dirty()
			if whole.done == nil && s.whole != nil && rest == 0 && len(dirty) >= wholeLeast {
				whole = wholeRun{dirty: dirty, began: time.Now(), done: make(chan error, 1)}
				s.syncs.Add(1)
				go func(done chan<- error) { done <- s.whole() }(whole.done)
				continue
			}
			rest = max(0, rest-1)
			syncEach(dirty)
		}
	}
}

// An unsynced is a writer and how many writes it had done before a sync began.
type unsynced struct {
	w      *Writer
	writes uint64
}

// dirty lists every open writer that has written since it was synced.
func (s *Spool) dirty() []unsynced {
	var dirty []unsynced
	for _, w := range s.writers() {
		if writes, yes := w.unsynced(); yes {
			dirty = append(dirty, unsynced{w, writes})
		}
	}
	return dirty
}

// syncEach syncs one file after the other, some at the same time.
func syncEach(dirty []unsynced) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(syncParallel, len(dirty)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(dirty); i = next.Add(1) - 1 {
				w := dirty[i].w
				w.syncing.Lock()
				w.flush()
				w.syncing.Unlock()
			}
		})
	}
	wg.Wait()
}

// wholeEnded notes what a sync of the file system came to. Appending went on meanwhile, and so did Sync and Close of one writer, who
// do not count on it.
func (s *Spool) wholeEnded(whole *wholeRun, err error) {
	if err != nil {
		s.syncErrors.Add(1)
		// The kernel tells it once, and not whose bytes they were: those written meanwhile, perhaps.
		for _, w := range s.writers() {
			if _, yes := w.unsynced(); yes {
				w.failed(err)
			}
		}
		return
	}
	for _, d := range whole.dirty {
		d.w.reached(d.writes)
	}
}
