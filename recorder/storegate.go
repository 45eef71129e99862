package recorder

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// errStoreAway puts off what needs the store: it is known to be away, and somebody else tries.
var errStoreAway = errors.New("the store is away")

// A storeGate stands before a store that is away: one worker tries from time to time, and the others wait for how it fares, so that a night
// without a store is not a night of attempts, each of them witnessed.
type storeGate struct {
	mu     sync.Mutex
	closed bool
	trying bool
	wait   time.Duration
	next   time.Time // the next attempt
}

// enter lets a worker try, or tells it that the store is away. Whoever enters leaves.
func (g *storeGate) enter(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		return true
	}
	if g.trying || now.Before(g.next) {
		return false
	}
	g.trying = true
	return true
}

// leave learns from what the store answered, and tells whether it is away, or back, since now.
func (g *storeGate) leave(now time.Time, err error) (away, back bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tried := g.trying
	switch {
	case !isAway(err):
		back = g.closed
		g.closed, g.trying, g.wait = false, false, 0
	case !g.closed || tried:
		away = !g.closed
		g.wait = min(max(2*g.wait, retryFirst), retryMost)
		g.closed, g.trying, g.next = true, false, now.Add(jittered(g.wait))
	}
	return away, back
}

// shut tells whether nobody may try now.
func (g *storeGate) shut(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed && (g.trying || now.Before(g.next))
}

// until is when the next attempt may be made; zero: the store is not known to be away.
func (g *storeGate) until() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		return time.Time{}
	}
	return g.next
}

// isAway tells an error that any other object would meet as well from one that concerns this object, or our own disk. The place of
// the keys counts as the store does.
func isAway(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrDenied) || errors.Is(err, seal.ErrUnavailable)
}

// doInStore is do for a deed that needs the store, unless that is away.
func (r *Recorder) doInStore(ctx context.Context, typ, id string, data any, deed func() (any, error)) error {
	if !r.gate.enter(r.cfg.Clock()) {
		return errStoreAway
	}
	return r.inStore(func() error { return r.do(ctx, typ, id, data, deed) })
}

// inStore does something in the store, and learns from how it went. A panic leaves the gate open: whoever has entered always leaves.
func (r *Recorder) inStore(do func() error) (err error) {
	defer func() { r.learnOfStore(err) }()
	return do()
}

// learnOfStore takes in how a deed in the store went.
func (r *Recorder) learnOfStore(err error) {
	switch away, back := r.gate.leave(r.cfg.Clock(), err); {
	case away:
		r.cfg.Log.Error("the store is away: recordings wait in the spool, and one of them tries from time to time", zap.Error(err))
	case back:
		r.cfg.Log.Info("the store is back")
		r.lookAgain()
	}
}

// StoreAway tells whether the store did not do what was last asked of it. Recordings wait in the spool meanwhile.
func (r *Recorder) StoreAway() bool { return !r.gate.until().IsZero() }
