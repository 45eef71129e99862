package media

import (
	"net/netip"
	"slices"
	"time"
)

// Hold stalls whoever would drain the recording, until release is called.
func (rec *Recording) Hold() (release func()) {
	rec.mu.Lock()
	return rec.mu.Unlock
}

// A Drainer does what a receiver goroutine does.
type Drainer struct{ b *batch }

// NewDrainer gives a drainer with a batch of its own.
func NewDrainer() Drainer { return Drainer{newBatch()} }

// Drain gives recordings their turn.
func (d Drainer) Drain(recs ...*Recording) { drainAll(recs, d.b) }

// Turn gives a turn that comes after the recording's own.
func (rec *Recording) Turn(later int) { rec.worker.drain((rec.phase + later) % phases) }

// Fill is the number of recordings that a worker has before another gets any.
const Fill = fill

// NextWorker is the worker that gets the next recording, by how many each has.
func NextWorker(loads []int) int {
	r := new(Receiver)
	for _, n := range loads {
		w := new(worker)
		w.load.Store(int64(n))
		r.workers = append(r.workers, w)
	}
	return slices.Index(r.workers, r.next())
}

// SocketError makes the next receive on an RTP socket of the recording fail
// with an ICMP error: it connects the socket to a peer that is not there. From
// then on only that peer is heard.
func (rec *Recording) SocketError(stream int, peer netip.AddrPort) error {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.legs[stream].rtp.provokeError(peer)
}

// ReceiveBuffer is the size that is asked for.
const ReceiveBuffer = receiveBuffer

// ClipArrival brings a kernel timestamp to our clock, which stands shift from
// the system's, in a drain of what came between two times.
func ClipArrival(kernel, from, until, shift int64) int64 {
	d := drain{from: from, until: until, shift: shift}
	return d.arrival(kernel)
}

// SteadyClock is a clock that began at base, which the wall clock called wall.
func SteadyClock(base time.Time, wall int64) func(time.Time) int64 {
	return steadyClock{base: base, wall: wall}.at
}

// Range hands out and takes back the port numbers of a range, without sockets.
type Range struct{ p *portRange }

// NewRange checks a range.
func NewRange(first, last int) (Range, error) {
	p, err := newPortRange(netip.Addr{}, first, last)
	return Range{p}, err
}

func (r Range) Take() (int, bool) { return r.p.take() }
func (r Range) GiveBack(port int) { r.p.giveBack(port) }

// IsRTCP is isRTCP.
func IsRTCP(data []byte) bool { return isRTCP(data) }

// Hasten shortens how long DTLS associations are kept, and how long it is until a handshake of ours is begun again. It is called before
// Open.
func (r *Receiver) Hasten(linger, again time.Duration) { r.linger, r.again = linger, int64(again) }

// Associations is the number of DTLS associations and handshakes that a recording keeps.
func (rec *Recording) Associations() int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	n := 0
	for i := range rec.legs {
		if g := rec.legs[i].guard; g != nil {
			for j := range g.sides {
				if g.sides[j].shake != nil {
					n++
				}
			}
		}
	}
	return n
}
