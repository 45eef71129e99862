package media

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A worker is one receiver goroutine and the recordings that it drains. Each
// recording has a phase of the drain interval at which its turn comes.
type worker struct {
	interval time.Duration
	load     atomic.Int64 // recordings
	delay    atomic.Int64 // the most that a turn was late, in nanoseconds
	wake     chan struct{}

	mu     sync.Mutex // protects the fields below
	phases [phases][]*Recording
	ended  bool

	// These fields are owned by run.
	batch *batch
	turn  []*Recording
}

func newWorker(r *Receiver) *worker {
	return &worker{interval: r.interval, wake: make(chan struct{}, 1), batch: newBatch()}
}

// add gives the recording the first phase that is not full, or the one with the least to do.
func (w *worker) add(rec *Recording) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrClosed
	}
	best := 0
	for i := range w.phases {
		if len(w.phases[i]) < turnFill {
			best = i
			break
		}
		if len(w.phases[i]) < len(w.phases[best]) {
			best = i
		}
	}
	w.put(rec, best)
	return nil
}

// addBeside gives the recording the phase of another one, whose sockets it takes.
func (w *worker) addBeside(rec, other *Recording) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return ErrClosed
	}
	w.put(rec, other.phase)
	return nil
}

// put adds a recording to a phase; mu is held.
func (w *worker) put(rec *Recording, phase int) {
	rec.worker, rec.phase = w, phase
	w.phases[phase] = append(w.phases[phase], rec)
	w.load.Add(1)
	select {
	case w.wake <- struct{}{}:
	default: // it has been told already
	}
}

// remove takes the recording out. A turn that has begun may still reach it.
func (w *worker) remove(rec *Recording) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := &w.phases[rec.phase]
	if i := slices.Index(*p, rec); i >= 0 {
		*p = slices.Delete(*p, i, i+1)
		w.load.Add(-1)
	}
}

// end refuses more recordings, and gives those that are there.
func (w *worker) end() []*Recording {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	return slices.Concat(w.phases[:]...)
}

// run gives every phase its turn, once per interval, until ctx ends. Turns are
// counted from begin; turn n is due when its step has passed.
func (w *worker) run(ctx context.Context) {
	begin := time.Now()
	step := w.interval / phases
	timer := time.NewTimer(step)
	defer timer.Stop()
	for next := 0; ; {
		due := int(time.Since(begin) / step)
		// After a stall one turn of each phase fetches all that has waited.
		first := next
		for next = max(next, due-phases); next < due; next++ {
			missed := (next - first) / phases * phases // turns of the same phase, that of now stands for them too
			late := time.Since(begin) - time.Duration(next-missed+1)*step
			if w.drain(next%phases) > 0 {
				w.delay.Store(max(w.delay.Load(), int64(late)))
			}
		}
		empty, some := w.empty(next)
		if some {
			timer.Reset(time.Until(begin.Add(time.Duration(next+empty+1) * step)))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			next += empty
		case <-w.wake:
			// Turns that have passed had nothing to drain: what is new waits
			// for its own next one.
			passed := int(time.Since(begin)/step) - next
			if some {
				passed = min(passed, empty)
			}
			next += passed
		}
	}
}

// empty is the number of turns from next on that have nothing to drain; false
// when none has.
func (w *worker) empty(next int) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.phases {
		if slices.ContainsFunc(p, isRestless) {
			return 0, true
		}
	}
	for i := range phases {
		if len(w.phases[(next+i)%phases]) > 0 {
			return i, true
		}
	}
	return 0, false
}

func isRestless(rec *Recording) bool { return rec.restless.Load() }

// drain gives one phase its turn, and tells how many recordings it has. Those that
// are restless have a part in each turn.
func (w *worker) drain(phase int) int {
	w.mu.Lock()
	w.turn = w.turn[:0]
	for i, p := range w.phases {
		for _, rec := range p {
			if i == phase || isRestless(rec) {
				w.turn = append(w.turn, rec)
			}
		}
	}
	w.mu.Unlock()
	drainAll(w.turn, w.batch)
	n := len(w.turn)
	clear(w.turn) // do not keep closed recordings alive
	return n
}

// drainAll drains recordings with one batch, of which nothing is left then.
func drainAll(recs []*Recording, b *batch) {
	defer b.wipe()
	for i, rec := range recs {
		if i%yieldAfter == yieldAfter-1 {
			runtime.Gosched() // an INVITE should not wait for the whole turn
		}
		rec.drain(b)
	}
}
