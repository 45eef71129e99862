package siprectest

import (
	"container/heap"
	"sync"
	"time"
)

// A paced thing is stepped at the instants that it asks for.
type paced interface {
	// step does what is due now and gives the next instant; false: there is none.
	step(now time.Time) (time.Time, bool)
}

// A pacer steps any number of streams, each at its own absolute deadlines: being late once does not make the next
// packet late. One goroutine does it all, since a goroutine per stream costs a wake-up per packet.
type pacer struct {
	wake chan struct{}
	quit chan struct{}
	once sync.Once

	mu    sync.Mutex // protects fields below
	queue deadlines
}

type deadline struct {
	at time.Time
	p  paced
}

type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	old := *d
	x := old[len(old)-1]
	old[len(old)-1] = deadline{}
	*d = old[:len(old)-1]
	return x
}

func newPacer() *pacer {
	return &pacer{wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (p *pacer) add(at time.Time, s paced) {
	p.mu.Lock()
	heap.Push(&p.queue, deadline{at, s})
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pacer) stop() { p.once.Do(func() { close(p.quit) }) }

// run steps what is due until stop.
func (p *pacer) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, any := p.turn()
		if any {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.quit:
			return
		}
	}
}

// turn steps everything that is due and gives the next deadline.
func (p *pacer) turn() (next time.Time, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for len(p.queue) > 0 {
		d := p.queue[0]
		if d.at.After(now) {
			if now = time.Now(); d.at.After(now) {
				return d.at, true
			}
		}
		select {
		case <-p.quit:
			return time.Time{}, false
		default:
		}
		p.mu.Unlock() // a step sends, and may take a while
		at, more := d.p.step(now)
		p.mu.Lock()
		// Only this goroutine takes entries out; add may have put an earlier one at the top meanwhile.
		p.replace(d.p, at, more)
	}
	return time.Time{}, false
}

// replace gives an entry its next deadline, or removes it. It is at the top, unless one was added meanwhile.
func (p *pacer) replace(s paced, at time.Time, more bool) {
	i := 0
	for i < len(p.queue) && p.queue[i].p != s {
		i++
	}
	if i == len(p.queue) {
		return
	}
	if !more {
		heap.Remove(&p.queue, i)
		return
	}
	p.queue[i].at = at
	heap.Fix(&p.queue, i)
}
