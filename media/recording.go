package media

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// drainBatches bounds the batches that one drain takes from one socket, so
	// that a flood on one port cannot hold up the others: 1,024 packets.
	drainBatches = 32

	// clockSlack is how far a kernel timestamp may lie outside the interval
	// between two drains before it is taken for the work of somebody who set
	// the system's clock, and clipped to that interval.
	clockSlack = int64(time.Second)
)

// A Recording is what is received for one recording session. Its methods may be
// called from any goroutine. They take effect at once, whatever the phase of
// the drain: the caller drains for itself.
type Recording struct {
	receiver *Receiver
	worker   *worker
	phase    int
	restless atomic.Bool // sound is held back that a crash would cost: to be drained more often

	mu         sync.Mutex // held by whoever drains or commands; protects the fields below
	timeline   *timeline
	streams    []Stream // as the timeline has them
	legs       []leg    // one per stream
	drained    int64    // all that arrived before was given to the timeline
	nextReport int64    // the earliest of the legs'
	ended      int64    // when the last stream was yielded; 0: some are here
	closed     bool
	failed     error // a panic; nothing more is received
	summary    Summary
	securing   // of protected streams
}

// A leg is the sockets of one stream.
type leg struct {
	pair
	ssrc       uint32 // ours, in receiver reports
	nextReport int64
	emptied    bool // nothing waits any more, in the drain under way
	guard      *guard
	yielded    bool // it is another recording's, and has no sockets here
	later      *later
}

func newRecording(r *Receiver, o Open, pairs []pair) *Recording {
	now := r.clock.at(time.Now())
	streams := copyStreams(o.Streams)
	rec := &Recording{
		receiver: r,
		timeline: newTimeline(r.clock.at(o.Start), o.Channels, copyStreams(streams), o.Sink),
		streams:  streams,
		drained:  now,
	}
	rec.timeline.most = r.maxRate / Rate
	if o.NotBefore {
		rec.timeline.notBefore()
	}
	rec.addLegs(pairs, now)
	rec.mu.Lock() // what protect begins takes it
	defer rec.mu.Unlock()
	rec.protect(now)
	return rec
}

func (rec *Recording) addLegs(pairs []pair, now int64) {
	for _, p := range pairs {
		rec.legs = append(rec.legs, leg{pair: p, ssrc: rand.Uint32(), nextReport: now + reportInterval()/2})
		rec.ended = 0
	}
	rec.scheduleReports()
}

// copyStreams makes a copy that shares nothing with the caller.
func copyStreams(streams []Stream) []Stream {
	streams = slices.Clone(streams)
	for i := range streams {
		streams[i].Addrs = slices.Clone(streams[i].Addrs)
		for j, a := range streams[i].Addrs {
			streams[i].Addrs[j] = a.WithZone("").Unmap()
		}
		streams[i].Formats = slices.Clone(streams[i].Formats)
	}
	return streams
}

// checkStreams checks that streams may follow old.
func checkStreams(old, streams []Stream) error {
	if len(streams) < len(old) {
		return fmt.Errorf("%d streams after %d: a removed stream stays in its place, inactive", len(streams), len(old))
	}
	for i, s := range streams {
		if s.Channel < 0 || s.Channel >= MaxChannels {
			return fmt.Errorf("stream %d: channel %d: want 0 to %d", i, s.Channel, MaxChannels-1)
		}
		if i < len(old) && s.Channel != old[i].Channel {
			return fmt.Errorf("stream %d: channel %d was %d: a channel stays with its stream", i, s.Channel, old[i].Channel)
		}
		if err := s.Security.check(); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
	}
	return nil
}

// Ports gives the RTP port of each stream, in order; RTCP is on the next port.
// That of a stream that was yielded is 0.
func (rec *Recording) Ports() []int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	ports := make([]int, len(rec.legs))
	for i, l := range rec.legs {
		if !l.yielded {
			ports[i] = l.rtp.port
		}
	}
	return ports
}

// Update takes a new state of the streams: the old ones in their order, with
// their channels, removed ones with Active false and no Formats, then new ones,
// for which ports are bound. What has arrived before is placed as before. After
// an error nothing has changed.
func (rec *Recording) Update(streams []Stream) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err := rec.usable(); err != nil {
		return fmt.Errorf("update streams: %w", err)
	}
	if err := checkStreams(rec.streams, streams); err != nil {
		return fmt.Errorf("update streams: %w", err)
	}
	if err := rec.checkYielded(streams); err != nil {
		return fmt.Errorf("update streams: %w", err)
	}
	if rec.guarded || slices.ContainsFunc(streams, isSecured) { // what waits is taken under the terms that it was sent under
		if err := rec.do(func(b *batch) { rec.collect(b) }); err != nil {
			return fmt.Errorf("update streams: %w", err)
		}
	}
	pairs, err := rec.receiver.openPairs(len(streams) - len(rec.legs))
	if err != nil {
		return fmt.Errorf("update streams: %w", err)
	}
	now := rec.receiver.clock.at(time.Now())
	rec.addLegs(pairs, now)
	rec.streams = copyStreams(streams)
	return rec.do(func(b *batch) {
		if !kernelTime {
			rec.collect(b)
		}
		rec.protect(now)
		rec.timeline.update(now, copyStreams(rec.streams))
		rec.collect(b)
	})
}

// SetPaused discards what arrives from at on, or ends that; the zero time is
// now. The gap's cause is cause.
func (rec *Recording) SetPaused(paused bool, cause Cause, at time.Time) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if err := rec.usable(); err != nil {
		return fmt.Errorf("pause recording: %w", err)
	}
	if at.IsZero() {
		at = time.Now()
	}
	return rec.do(func(b *batch) {
		// Told first, so that packets that wait in the kernel are judged by
		// the time at which they came. Where that is not known, all that
		// wait count as paused.
		if !kernelTime && !paused {
			rec.collect(b)
		}
		rec.timeline.pause(rec.receiver.clock.at(at), paused, cause)
		rec.collect(b)
	})
}

// Close fetches what waits in the kernel, places it, gives it to the sink, and
// frees the ports. The recording session ended at that time; the zero time is
// now. A recording that was closed before, by Close or as Run ended, gives the
// same summary again.
func (rec *Recording) Close(at time.Time) (Summary, error) {
	defer rec.hurrying.Wait() // when mu is free
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed {
		return rec.summary, rec.failed
	}
	if at.IsZero() {
		at = time.Now()
	}
	if rec.failed == nil {
		rec.failed = rec.do(func(b *batch) {
			rec.collect(b)
			rec.readDrops()
			rec.summary = rec.timeline.close(rec.receiver.clock.at(at))
			rec.addSecurity(rec.summary.Streams)
		})
	}
	rec.closed = true
	rec.unprotect()
	rec.worker.remove(rec)
	for _, l := range rec.legs {
		if l.yielded {
			continue
		}
		if err := rec.receiver.ports.release(l.pair); err != nil {
			rec.receiver.log.Error("media port not closed", zap.Int("port", l.rtp.port), zap.Error(err))
		}
	}
	return rec.summary, rec.failed
}

// Stats gives the figures of each stream, in order, as of the last drain. After
// Close they are the final ones.
func (rec *Recording) Stats() []StreamStats {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed || rec.failed != nil {
		return slices.Clone(rec.summary.Streams)
	}
	return rec.addSecurity(rec.timeline.stats(nil))
}

// A Progress is what a stream has brought so far.
type Progress struct {
	Packets     uint64
	LastArrival time.Time // zero: none came
	Loud        bool      // as StreamStats has it
}

// Progress appends that of each stream, in order, to dst. It is for those who look at every recording each second: it costs
// far less than Stats, and allocates nothing when dst is large enough.
func (rec *Recording) Progress(dst []Progress) []Progress {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed || rec.failed != nil {
		for i := range rec.summary.Streams {
			s := &rec.summary.Streams[i]
			dst = append(dst, Progress{s.Packets, s.LastArrival, s.Loud})
		}
		return dst
	}
	return rec.timeline.progress(dst)
}

// usable says why a command cannot be performed; mu is held.
func (rec *Recording) usable() error {
	if rec.closed {
		return ErrClosed
	}
	return rec.failed
}

// do performs a command with a batch of its own; mu is held.
func (rec *Recording) do(command func(b *batch)) error {
	b := rec.receiver.batches.Get().(*batch)
	defer rec.receiver.batches.Put(b)
	func() {
		defer rec.contain()
		rec.lend(b)
		defer rec.takeBack(b)
		command(b)
	}()
	return rec.failed
}

// contain ends one recording, and not the server, when its packets make us
// panic. It is deferred, with mu held.
func (rec *Recording) contain() {
	p := recover()
	if p == nil {
		return
	}
	rec.failed = fmt.Errorf("recording failed: panic while receiving: %v", p)
	rec.receiver.log.Error("panic while receiving", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
}

// drain takes what has arrived, and commits what is old enough.
func (rec *Recording) drain(b *batch) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if rec.closed || rec.failed != nil {
		return
	}
	defer rec.contain()
	rec.lend(b)
	defer rec.takeBack(b)
	rec.collect(b)
	rec.commit()
	rec.restless.Store(rec.timeline.hold(never) != never)
}

// lend gives the timeline memory to make blocks in: one of its own would be in use for microseconds in a second. mu is
// held.
func (rec *Recording) lend(b *batch) { rec.timeline.scratch = b.scratch }

func (rec *Recording) takeBack(b *batch) {
	b.scratch, rec.timeline.scratch, rec.timeline.block.Data = rec.timeline.scratch, nil, nil
}

// collect gives the timeline everything that has arrived until now; mu is held.
//
// After a stall much has waited. It is taken a batch from each stream at a
// time, and cut between, so that the timeline need not hold all of one stream
// before it sees the next one.
func (rec *Recording) collect(b *batch) drain {
	wall := time.Now()
	now := rec.receiver.clock.at(wall)
	d := drain{batch: b, from: rec.drained, until: now, shift: now - wall.UnixNano()}
	for i := range rec.legs {
		rec.legs[i].emptied = rec.legs[i].yielded
	}
	rec.settleKeys(now)
	for round := range drainBatches {
		complete := now
		for i := range rec.legs {
			complete = min(complete, rec.collectRTP(i, &d))
		}
		rec.drained = max(rec.drained, complete)
		if complete == now {
			break
		}
		if round < drainBatches-1 {
			rec.timeline.cut(rec.drained)
		}
	}
	if now >= rec.nextReport {
		rec.sendReports(&d)
	}
	return d
}

// A drain is what holds for all sockets of one drain.
type drain struct {
	batch       *batch
	from, until int64 // the times of the drain before and of this one
	shift       int64 // from the system's wall clock to ours
}

// arrival brings the kernel's timestamp to our clock.
func (d *drain) arrival(kernel int64) int64 {
	if kernel == 0 {
		return d.until
	}
	at := kernel + d.shift
	if at < d.from-clockSlack || at > d.until+clockSlack {
		return max(d.from, min(at, d.until))
	}
	return at
}

// collectRTP takes a batch from the RTP socket of leg i, and tells up to which
// time all that arrived there was taken.
func (rec *Recording) collectRTP(i int, d *drain) int64 {
	l, mux := &rec.legs[i], rec.streams[i].RTCPMux
	if l.emptied {
		return d.until
	}
	n, err := l.rtp.receive(d.batch)
	if err != nil {
		// Of an ICMP message, say. It was told once; what waits is still there.
		rec.receiver.socketErrors.Add(1)
		if n, err = l.rtp.receive(d.batch); err != nil {
			rec.receiver.socketErrors.Add(1)
		}
	}
	last, drops := d.from, uint32(0)
	var g datagram
	for j := range n {
		d.batch.datagram(j, &g)
		last = d.arrival(g.arrival)
		if g.drops != 0 {
			drops = g.drops // a total: the last is the one that counts
		}
		if l.later != nil && last >= l.later.at {
			l.later.keep(i, last, d.batch.from(j), &g)
			continue
		}
		if l.guard != nil && !g.truncated {
			if g.data = rec.admit(i, sideRTP, last, d.batch.from(j), g.data); g.data == nil {
				continue
			}
		}
		switch {
		case g.truncated:
			rec.timeline.packet(i, last, g.source, nil) // counted as malformed
		case mux && isRTCP(g.data):
			rec.report(i, last, &g)
		default:
			rec.timeline.packet(i, last, g.source, g.data)
		}
	}
	if drops != 0 {
		rec.timeline.kernelDrops(i, drops)
	}
	if n < batchSize {
		l.emptied = true // or broken: the others go on
		return d.until
	}
	return min(last, d.until)
}

// readDrops asks for what the kernel dropped after the last packet that came.
func (rec *Recording) readDrops() {
	for i := range rec.legs {
		rec.readDropsOf(i)
	}
}

func (rec *Recording) readDropsOf(i int) {
	if rec.legs[i].yielded {
		return
	}
	if n, ok := rec.legs[i].rtp.drops(); ok && n != 0 {
		rec.timeline.kernelDrops(i, n)
	}
}
