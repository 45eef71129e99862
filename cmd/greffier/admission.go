package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// What an overload is. It turns new sessions away, and never touches those in progress.
const (
	// loadInterval is how often the load is looked at, and loadWindow over how many looks it is judged.
	loadInterval = time.Second
	loadWindow   = 5

	// busyMark is from which share of the processors on the machine counts as busy. That alone refuses nobody: a neighbour that
	// takes what is left over does not hurt us. Only when the sockets are emptied late besides, by lateMark, is it our work
	// that suffers.
	busyMark = 0.95
	lateMark = 500 * time.Millisecond

	// lateAlways refuses whatever the processors do: a socket holds five seconds of speech, and half of them are gone. A disk or
	// a hypervisor that holds us up shows here only.
	lateAlways = 2500 * time.Millisecond

	// fewPorts is below how many free pairs of ports no session is promised any: one with two streams needs two.
	fewPorts = 2

	// backlogInterval is how often the spool's folders are summed up.
	backlogInterval = 10 * time.Second
)

// A cause is one reason to refuse new sessions, as it stands in metrics.
type cause string

const (
	causeDisk    cause = "disk"
	causePorts   cause = "ports"
	causeLate    cause = "late"
	causeCPU     cause = "cpu"
	causeBacklog cause = "backlog"
)

// causes are all of them, with what the SRC is told.
var causes = map[cause]string{
	causeDisk:    "the spool's disk is full",
	causePorts:   "no RTP port is free",
	causeLate:    "the recording server is overloaded: media are taken late",
	causeCPU:     "the recording server is overloaded",
	causeBacklog: "too many recordings wait to be stored",
}

// Gauges are what an admission asks.
type gauges struct {
	disk    func() error                    // recorder.Ready
	media   func() media.ReceiverStats      // MaxDelay is since the last call
	ports   func() (free int, bounded bool) // pairs
	backlog func() (spool.Backlog, error)
	cpu     func() (cpuTime, error)
}

// A look is one sample of the load.
type look struct {
	late time.Duration
	cpu  cpuTime
	has  bool // cpu is known
}

// An admission decides whether another session can be taken and kept: whether there is what it needs, and whether the
// second promise, no lost audio, would hold with it. Begin with run.
type admission struct {
	gauges
	maxBacklog uint64 // bytes; 0: what the disk holds
	log        *zap.Logger
	now        func() time.Time

	mu       sync.Mutex // protects what follows
	looks    []look     // the newest last
	stored   spool.Backlog
	storedAt time.Time
	closed   map[cause]bool // what refuses now
}

// run looks at the load until ctx ends.
func (a *admission) run(ctx context.Context) error {
	tick := time.NewTicker(loadInterval)
	defer tick.Stop()
	for {
		a.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look takes one sample.
func (a *admission) look() {
	now := a.now()
	var l look
	if cpu, err := a.cpu(); err == nil {
		l.cpu, l.has = cpu, true
	}
	l.late = a.media().MaxDelay
	a.mu.Lock()
	due := a.storedAt.IsZero() || now.Sub(a.storedAt) >= backlogInterval || now.Before(a.storedAt)
	a.mu.Unlock()
	var stored spool.Backlog
	var err error
	if due {
		if stored, err = a.backlog(); err != nil {
			a.log.Error("measure backlog", zap.Error(err)) // the disk's mark still holds
		}
	}
	a.mu.Lock()
	a.looks = append(a.looks, l)
	if len(a.looks) > loadWindow+1 { // a share needs two ends
		a.looks = slices.Delete(a.looks, 0, 1)
	}
	if due && err == nil {
		a.stored = stored
	}
	if due {
		a.storedAt = now
	}
	a.mu.Unlock()
	a.tell(a.judge())
}

// judge gives every cause to refuse.
func (a *admission) judge() map[cause]bool {
	out := map[cause]bool{}
	if a.disk() != nil {
		out[causeDisk] = true
	}
	if free, bounded := a.ports(); bounded && free < fewPorts {
		out[causePorts] = true
	}
	load := a.load()
	switch {
	case load.late >= lateAlways:
		out[causeLate] = true
	case load.late >= lateMark && load.known && load.busy >= busyMark:
		out[causeCPU] = true
	}
	if a.maxBacklog > 0 && uint64(load.waiting.Bytes) > a.maxBacklog {
		out[causeBacklog] = true
	}
	return out
}

// A load is what the looks of the window say together.
type load struct {
	late    time.Duration // the most
	busy    float64       // share of the processors' time; the machine's or our own, whichever is more
	known   bool          // busy
	waiting spool.Backlog
}

func (a *admission) load() load {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := load{waiting: a.stored}
	for i, x := range a.looks {
		if i > 0 || len(a.looks) <= loadWindow {
			l.late = max(l.late, x.late)
		}
	}
	if len(a.looks) > loadWindow && a.looks[0].has && a.looks[loadWindow].has {
		l.busy, l.known = a.looks[loadWindow].cpu.share(a.looks[0].cpu)
	}
	return l
}

// ready says whether a further session can be taken. The error is a *siprec.Refusal.
func (a *admission) ready() error {
	now := a.judge()
	a.tell(now)
	if len(now) == 0 {
		return nil
	}
	c := slices.Min(slices.Collect(maps.Keys(now))) // the same one each time
	refusal := &siprec.Refusal{Kind: siprec.Unavailable, Reason: causes[c], Cause: string(c)}
	if c == causeDisk {
		if err := a.disk(); !errors.As(err, &refusal) {
			refusal.Err = err
		}
	}
	return refusal
}

// tell logs what began and what is over.
func (a *admission) tell(now map[cause]bool) {
	a.mu.Lock()
	before := a.closed
	a.closed = now
	a.mu.Unlock()
	for c := range now {
		if !before[c] {
			a.log.Warn("new sessions are refused: "+causes[c], zap.String("cause", string(c)))
		}
	}
	for c := range before {
		if !now[c] {
			a.log.Info("this refuses no new session any more", zap.String("cause", string(c)))
		}
	}
}

// refuses tells whether a cause refuses new sessions now.
func (a *admission) refuses(c cause) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed[c]
}

// A cpuTime is how long processors worked, since some instant.
type cpuTime struct {
	busy, all time.Duration // of the machine, over all its processors; all is 0 when that is not known
	own       time.Duration // of this process
	at        time.Time
	procs     int // that this process may use
}

// share is which part of the processors' time was spent working since before; false when that cannot be told.
func (t cpuTime) share(before cpuTime) (float64, bool) {
	share, known := 0.0, false
	if all := t.all - before.all; all > 0 && t.all > 0 && before.all > 0 {
		share, known = float64(t.busy-before.busy)/float64(all), true
	}
	// A container may have fewer processors than the machine.
	if d := t.at.Sub(before.at) * time.Duration(t.procs); d > 0 {
		share, known = max(share, float64(t.own-before.own)/float64(d)), true
	}
	return min(max(share, 0), 1), known
}

// parseStat reads the first line of Linux' /proc/stat: jiffies of a hundredth of a second, by kind.
func parseStat(line string) (busy, all time.Duration, err error) {
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(line, "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0, 0, fmt.Errorf("read /proc/stat: %w", err)
	}
	const jiffy = 10 * time.Millisecond
	work := user + nice + system + irq + softirq + steal
	return time.Duration(work) * jiffy, time.Duration(work+idle+iowait) * jiffy, nil
}
