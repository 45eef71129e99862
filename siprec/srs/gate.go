package srs

import (
	"errors"
	"sync"
	"time"
)

// A gate counts the goroutines that sipgo starts for us, so that Close can wait for them. The zero value is open.
type gate struct {
	mu     sync.Mutex // protects what follows
	inside int
	closed bool
	empty  chan struct{} // made by close, closed when nobody is inside
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// close lets nobody in any more and waits for those inside.
func (g *gate) close(limit time.Duration) error {
	g.mu.Lock()
	g.closed = true
	g.empty = make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	g.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-g.empty:
		return nil
	case <-t.C:
		return errors.New("close: a request is still being handled: the recorder does not return")
	}
}
