package media

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

const (
	// yieldRounds is how many times what waits is taken when streams are yielded: more than a receive buffer holds, so that what
	// is left has come since.
	yieldRounds = 2

	// yieldCut is how often the new recording commits, in the time of arrivals, while it is given what waited.
	yieldCut = int64(cutInterval) * nanosPerSample
)

// ErrYielded says that a stream belongs to another recording now.
var ErrYielded = errors.New("the stream was yielded to another recording: use that one")

// Yield gives streams of the recording to a new one, which goes on with their sockets and ports, their keys, handshakes and
// connectivity checks. o.Streams[i] takes what stream streams[i] had, or fresh ports when that is below 0. The senders notice
// nothing.
//
// For the recording these streams end at an instant: what arrived at the kernel before it is the recording's, what arrives from
// then on the new one's, never both's. The zero time is now, and so is one in the future. It may lie some time before the last
// drain: what is not with the sink yet, which is commitDelay at least, is taken back and given on. What the sink has stays.
// Where the kernel does not tell arrivals, a packet arrives when it is read. o.Start is that instant when it is zero.
//
// The recording goes on with its other streams and must be closed as ever; in it the yielded ones are inactive for good, with
// port 0. Figures of the new recording begin at 0; receiver reports go on. A stream that was inactive, or paused, gives on
// nothing that was spoken until then.
//
// After an error nothing has changed, unless the recording itself has failed. Errors are ErrClosed, ErrYielded, ErrNoPorts.
func (rec *Recording) Yield(at time.Time, streams []int, o Open) (*Recording, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("yield streams: %w", err)
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err := rec.checkYield(streams, o.Streams); err != nil {
		return nil, fmt.Errorf("yield streams: %w", err)
	}
	fresh := 0
	for _, j := range streams {
		if j < 0 {
			fresh++
		}
	}
	pairs, err := rec.receiver.openPairs(fresh)
	if err != nil {
		return nil, fmt.Errorf("yield streams: %w", err)
	}
	heir := &Recording{receiver: rec.receiver}
	heir.mu.Lock() // its worker waits until it is whole
	defer heir.mu.Unlock()
	if err := rec.worker.addBeside(heir, rec); err != nil {
		return nil, errors.Join(fmt.Errorf("yield streams: %w", err), rec.receiver.releasePairs(pairs))
	}
	cut, waiting, err := rec.sortArrivals(at, streams)
	if err != nil {
		heir.closed = true
		heir.worker.remove(heir)
		return nil, errors.Join(fmt.Errorf("yield streams: %w", err), rec.receiver.releasePairs(pairs))
	}
	if o.Start.IsZero() {
		o.Start = rec.receiver.clock.time(cut)
	}
	heir.succeed(rec, streams, o, pairs, cut, waiting)
	return heir, nil
}

func (rec *Recording) checkYield(streams []int, to []Stream) error {
	if err := rec.usable(); err != nil {
		return err
	}
	if len(streams) != len(to) {
		return fmt.Errorf("%d streams for %d of the new recording: want one for each, -1 for new ports", len(streams), len(to))
	}
	for i, j := range streams {
		switch {
		case j < 0:
		case j >= len(rec.legs):
			return fmt.Errorf("stream %d: the recording has %d", j, len(rec.legs))
		case rec.legs[j].yielded:
			return fmt.Errorf("stream %d: %w", j, ErrYielded)
		case slices.Contains(streams[:i], j):
			return fmt.Errorf("stream %d twice: a stream goes to one", j)
		}
	}
	return nil
}

// checkYielded refuses to activate what was yielded; mu is held.
func (rec *Recording) checkYielded(streams []Stream) error {
	for i := range rec.legs {
		if rec.legs[i].yielded && streams[i].Active {
			return fmt.Errorf("stream %d: %w", i, ErrYielded)
		}
	}
	return nil
}

// A later is what waited in sockets that are yielded, and came at or after an instant.
type later struct {
	at      int64
	packets []laterPacket
}

type laterPacket struct {
	leg       int
	at        int64
	from      netip.AddrPort
	data      []byte
	truncated bool
}

func (l *later) keep(leg int, at int64, from netip.AddrPort, g *datagram) {
	l.packets = append(l.packets, laterPacket{leg, at, from, bytes.Clone(g.data), g.truncated})
}

// sortArrivals takes what waits in the sockets of streams. What came before an instant is placed here, the rest is returned, in
// the order of arrival. mu is held.
func (rec *Recording) sortArrivals(at time.Time, streams []int) (cut int64, waiting []laterPacket, err error) {
	now := rec.receiver.clock.at(time.Now())
	cut = now
	if !at.IsZero() {
		cut = min(now, rec.receiver.clock.at(at))
	}
	var l later
	err = rec.do(func(b *batch) {
		if !kernelTime && at.IsZero() {
			rec.collect(b)
			cut = rec.receiver.clock.at(time.Now())
		}
		l.at = cut
		for _, j := range streams {
			if j >= 0 {
				rec.legs[j].later = &l
			}
		}
		for range yieldRounds {
			rec.collect(b)
			if !slices.ContainsFunc(streams, func(j int) bool { return j >= 0 && !rec.legs[j].emptied }) {
				break
			}
		}
		for _, j := range streams {
			if j >= 0 {
				rec.readDropsOf(j)
				rec.timeline.conclude(j)
			}
		}
	})
	for i := range rec.legs {
		rec.legs[i].later = nil
	}
	slices.SortStableFunc(l.packets, func(a, b laterPacket) int { return cmp.Compare(a.at, b.at) })
	return cut, l.packets, err
}

// succeed makes the recording the heir of streams of another one. Both have their mu held.
func (rec *Recording) succeed(from *Recording, streams []int, o Open, fresh []pair, cut int64, waiting []laterPacket) {
	rec.drained = from.drained
	rec.streams = copyStreams(o.Streams)
	indexes := make([]int, len(from.legs)) // of their streams here
	for i, j := range streams {
		if j < 0 {
			rec.addLegs(fresh[:1], rec.drained)
			fresh = fresh[1:]
			continue
		}
		indexes[j] = i
		rec.legs = append(rec.legs, from.giveLeg(j, cut))
		rec.guarded = rec.guarded || rec.legs[i].guard != nil
	}
	rec.scheduleReports()
	from.scheduleReports()
	if !slices.ContainsFunc(from.legs, func(l leg) bool { return !l.yielded }) {
		from.ended = max(cut, 1)
	}
	rec.protect(rec.drained) // what checks have proved adds addresses
	if from.hurried && !rec.hurried && rec.waits() {
		rec.hurry(rec.drained)
		rec.hurryUntil = from.hurryUntil
	}
	rec.timeline = newTimeline(rec.receiver.clock.at(o.Start), o.Channels, copyStreams(rec.streams), o.Sink)
	rec.timeline.most = rec.receiver.maxRate / Rate
	if o.NotBefore {
		rec.timeline.notBefore()
	}
	_ = rec.do(func(*batch) { // what fails is told by Close, as ever
		for i, j := range streams {
			if j >= 0 {
				rec.timeline.inherit(i, from.timeline, j, cut)
			}
		}
		from.timeline.update(cut, copyStreams(from.streams))
		committed := cut
		for _, w := range waiting {
			if w.at-committed >= yieldCut {
				rec.timeline.cut(w.at)
				committed = w.at
			}
			rec.takeLater(indexes[w.leg], &w)
		}
	})
}

// commit gives the sink what is old enough: when the last stream was yielded, all until then and no silence beyond it.
func (rec *Recording) commit() {
	if rec.ended == 0 {
		rec.timeline.cut(rec.drained)
		return
	}
	settled := rec.ended + commitDelay*nanosPerSample
	rec.timeline.cut(min(rec.drained, settled))
	if rec.drained >= settled {
		rec.timeline.commit(rec.timeline.position(rec.ended))
	}
}

// giveLeg takes a stream's sockets and what guards them out of the recording. A guard remains that has the figures.
func (rec *Recording) giveLeg(j int, cut int64) leg {
	l := &rec.legs[j]
	given := *l
	*l = leg{yielded: true, emptied: true, nextReport: math.MaxInt64}
	if g := given.guard; g != nil {
		for n := range g.sides {
			s := &g.sides[n]
			kept := slices.DeleteFunc(s.early, func(e earlyPacket) bool { return e.at < cut })
			g.authFailed += uint64(len(s.early) - len(kept)) // no key will come for them in time
			s.early = kept
		}
		l.guard = &guard{authFailed: g.authFailed, replayed: g.replayed}
		g.authFailed, g.replayed = 0, 0
	}
	s := &rec.streams[j]
	s.Active, s.Security, s.ICE, s.RTCP = false, Security{}, nil, netip.AddrPort{}
	rec.timeline.streams[j].ceded = true
	return given
}

// takeLater gives the recording a packet that waited for it.
func (rec *Recording) takeLater(i int, w *laterPacket) {
	data := w.data
	switch {
	case w.truncated:
		rec.timeline.packet(i, w.at, w.from.Addr(), nil) // counted as malformed
		return
	case rec.legs[i].guard != nil:
		data = rec.admit(i, sideRTP, w.at, w.from, data)
	}
	rec.deliver(i, sideRTP, w.at, w.from, data)
}
