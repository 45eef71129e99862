package media

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrClosed says that the recording, or the receiver, has ended.
var ErrClosed = errors.New("media: closed")

const (
	// phases is the number of times in a drain interval at which a worker
	// drains a part of its recordings, so that the load is level. Each time
	// threads wake, the runtime's monitor too, which then looks on for some
	// milliseconds: that costs as much as some hundred packets.
	phases = 3

	// fill is the number of recordings that a worker has before the next one
	// gets any: the more are drained at a time, the less each costs. They
	// take some 35 ms of each turn.
	fill = 1000

	// turnFill is the number of recordings that a turn has before the next one
	// gets any, for the same reason. They take some 35 ms.
	turnFill = 400

	// yieldAfter is the number of recordings after which a turn lets others
	// have the processor, if any wait: some 2 ms.
	yieldAfter = 25

	// minDrainInterval keeps a worker from spinning.
	minDrainInterval = time.Millisecond

	// maxDrainInterval: at 50 packets/s a receive buffer holds 5 s.
	maxDrainInterval = 2 * time.Second
)

// Config is what a Receiver is made from. Its zero value receives on loopback.
type Config struct {
	// Addr is the address to which ports are bound: IPv4 or IPv6, unspecified
	// too. The zero value is 127.0.0.1.
	Addr netip.Addr
	// PortMin and PortMax are the first and last port that may be used: RTP on
	// the even ones, RTCP on the odd ones. 0 and 0 let the system choose.
	PortMin, PortMax int
	// DrainInterval is how often each socket is drained. 0: 480 ms on Linux.
	DrainInterval time.Duration
	// Receivers is the number of goroutines that drain, of which as few as can
	// do it have anything to do. 0: GOMAXPROCS.
	Receivers int
	// MaxRate limits the sample rate of recordings, in hertz; what comes at a higher one is brought down to it. 8000, 16000 or 48000;
	// 0: 48000.
	MaxRate int
	// Log takes what an operator should know and no counter says. Nil: nothing.
	Log *zap.Logger
}

// A Receiver receives the RTP of many recordings. It asks every socket a few
// times a second for what has come, instead of being woken for each packet.
type Receiver struct {
	interval time.Duration
	linger   time.Duration // associationLinger
	again    int64         // handshakeAgain
	maxRate  int
	ports    *portRange
	clock    steadyClock
	workers  []*worker
	batches  sync.Pool // of *batch, for the goroutines that call on a Recording
	name     string    // the RTCP canonical name of this receiver
	log      *zap.Logger
	started  atomic.Bool
	identity identity

	socketErrors, sendErrors, foreignReports, malformedReports atomic.Uint64
}

// NewReceiver checks the configuration. No port is bound before Open, and
// nothing is drained before Run.
func NewReceiver(cfg Config) (*Receiver, error) {
	if !cfg.Addr.IsValid() {
		cfg.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if cfg.DrainInterval == 0 {
		cfg.DrainInterval = defaultDrainInterval
	}
	if cfg.DrainInterval < minDrainInterval || cfg.DrainInterval > maxDrainInterval {
		return nil, fmt.Errorf("drain interval %v: want %v to %v", cfg.DrainInterval, minDrainInterval, maxDrainInterval)
	}
	if cfg.Receivers < 0 {
		return nil, fmt.Errorf("%d receivers: want a positive number, or 0 for one per processor", cfg.Receivers)
	}
	if cfg.Receivers == 0 {
		cfg.Receivers = runtime.GOMAXPROCS(0)
	}
	if cfg.MaxRate == 0 {
		cfg.MaxRate = MaxRate
	}
	if cfg.MaxRate%Rate != 0 || !slices.Contains(densities[:], cfg.MaxRate/Rate) {
		return nil, fmt.Errorf("sample rate of %d Hz at most: want 8000, 16000 or 48000", cfg.MaxRate)
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	ports, err := newPortRange(cfg.Addr, cfg.PortMin, cfg.PortMax)
	if err != nil {
		return nil, err
	}
	identity, err := newIdentity()
	if err != nil {
		return nil, err
	}
	r := &Receiver{
		identity: identity,
		interval: cfg.DrainInterval,
		linger:   associationLinger,
		again:    handshakeAgain,
		maxRate:  cfg.MaxRate,
		ports:    ports,
		clock:    newSteadyClock(),
		name:     newCanonicalName(),
		log:      cfg.Log,
	}
	r.batches.New = func() any { return newBatch() }
	for range cfg.Receivers {
		r.workers = append(r.workers, newWorker(r))
	}
	return r, nil
}

// Run drains until ctx ends. Then it closes the recordings that are still open,
// so that all they received is with their sinks, and returns when every
// goroutine that it started has ended. It may be called once.
//
// Recordings may be opened before Run: the kernel keeps some seconds of their
// packets. After Run, Open and all commands but Close give ErrClosed.
func (r *Receiver) Run(ctx context.Context) error {
	if r.started.Swap(true) {
		return errors.New("media: receiver runs already")
	}
	var running sync.WaitGroup
	for _, w := range r.workers {
		running.Go(func() { w.run(ctx) })
	}
	running.Wait()
	at := time.Now()
	for _, w := range r.workers {
		for _, rec := range w.end() {
			if _, err := rec.Close(at); err != nil {
				r.log.Error("recording not closed properly", zap.Error(err), zap.Ints("ports", rec.Ports()))
			}
		}
	}
	return nil
}

// Open is what Receiver.Open needs.
type Open struct {
	Start    time.Time // position 0 of the recording; the zero value is now
	Channels int       // 1 to MaxChannels
	Streams  []Stream  // in the order of the m-lines
	Sink     Sink      // it must not call the recording
	// NotBefore keeps nothing that was spoken before Start, not even the part of a packet's sound that came after it.
	NotBefore bool
	Digits    func(Digit) bool
	InBand    bool
}

func (o *Open) check() error {
	if o.Channels < 1 || o.Channels > MaxChannels {
		return fmt.Errorf("%d channels: want 1 to %d", o.Channels, MaxChannels)
	}
	if o.Sink == nil {
		return errors.New("no sink")
	}
	return checkStreams(nil, o.Streams)
}

// Open binds ports for the streams and begins to receive. It takes well under a
// millisecond. The error is ErrNoPorts when the range is used up, ErrClosed
// after Run.
func (r *Receiver) Open(o Open) (*Recording, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	pairs, err := r.openPairs(len(o.Streams))
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	rec := newRecording(r, o, pairs)
	if err := r.next().add(rec); err != nil {
		rec.abandon()
		return nil, errors.Join(fmt.Errorf("open recording: %w", err), r.releasePairs(pairs))
	}
	return rec, nil
}

func (r *Receiver) openPairs(n int) ([]pair, error) {
	pairs := make([]pair, 0, n)
	for range n {
		p, err := r.ports.open()
		if err != nil {
			return nil, errors.Join(err, r.releasePairs(pairs))
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func (r *Receiver) releasePairs(pairs []pair) error {
	var failed error
	for _, p := range pairs {
		failed = errors.Join(failed, r.ports.release(p))
	}
	return failed
}

// next is the worker that gets the next recording: the first that is not full, or
// the one with the least to do.
func (r *Receiver) next() *worker {
	best := r.workers[0]
	for _, w := range r.workers {
		load := w.load.Load()
		if load < fill {
			return w
		}
		if load < best.load.Load() {
			best = w
		}
	}
	return best
}

// ReceiverStats are the figures of a receiver since it was made.
type ReceiverStats struct {
	Recordings       int           // open now
	SocketErrors     uint64        // failed receives; the socket is asked again
	SendErrors       uint64        // receiver reports that the kernel did not take
	ForeignReports   uint64        // RTCP from addresses that were not offered
	MalformedReports uint64        // RTCP that could not be read
	MaxDelay         time.Duration // the most that a drain was late since the last call of Stats
}

// Stats may be called at any time.
func (r *Receiver) Stats() ReceiverStats {
	s := ReceiverStats{
		SocketErrors:     r.socketErrors.Load(),
		SendErrors:       r.sendErrors.Load(),
		ForeignReports:   r.foreignReports.Load(),
		MalformedReports: r.malformedReports.Load(),
	}
	for _, w := range r.workers {
		s.Recordings += int(w.load.Load())
		s.MaxDelay = max(s.MaxDelay, time.Duration(w.delay.Swap(0)))
	}
	return s
}

// A steadyClock gives wall clock times that do not jump when the system's clock is
// set: it reads the wall once, and then goes on monotonically.
type steadyClock struct {
	base time.Time
	wall int64
}

func newSteadyClock() steadyClock {
	now := time.Now()
	return steadyClock{base: now, wall: now.UnixNano()}
}

// at is t in Unix nanoseconds of this clock.
func (c steadyClock) at(t time.Time) int64 { return c.wall + int64(t.Sub(c.base)) }

// time is the instant that this clock calls at.
func (c steadyClock) time(at int64) time.Time { return c.base.Add(time.Duration(at - c.wall)) }
