package siprectest

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// A Script is what goes wrong with a stream, as data. Instants and lengths are in real time from the call's epoch. The
// source goes on meanwhile, whatever is sent: a stream that starts late has missed what was said before.
//
// The same Script with the same Seed does the same to every stream.
type Script struct {
	Seed  uint64
	Start time.Duration // the first packet is sent then

	Loss      float64 // share of packets that the network loses, 0 to 1
	LossBurst int     // mean length of a run of losses, in packets; below 2: losses are independent

	Duplicate float64 // share of packets that come twice, the second half a frame later
	Reorder   float64 // share of packets that are overtaken
	ReorderBy int     // by how many packets; default 1

	Jitter time.Duration // each packet is delayed by a random time below this; order is not kept

	DTX      bool  // frames of silence are not sent; sequence numbers stay contiguous, timestamps go on
	DTXLevel int16 // a frame whose peak is not above it is silence; default 64

	Gaps    []Gap
	SkewPPM float64 // by how much the sender's clock is fast, in millionths

	NewSSRC []time.Duration // the sender starts anew: SSRC, sequence number and timestamp are random
	Jumps   []Jump

	Rebind   []time.Duration // the sender's port changes
	SendFrom netip.Addr      // packets come from this address, which is not the one in the offer
}

// A Gap is a time in which nothing arrives.
type Gap struct {
	At, For time.Duration
	// Lost says that the network lost the packets: they are missing in the sequence. Otherwise the sender sent none.
	Lost bool
	// ClockStops says that the sender's timestamps stand still meanwhile, so that they do not tell the gap's length.
	ClockStops bool
}

// A Jump is a step of a sender's timestamps that means nothing.
type Jump struct {
	At time.Duration
	By int64 // in samples
}

// A Fate is what became of a frame.
type Fate uint8

const (
	Sent       Fate = iota // it went out
	NotStarted             // before the stream's late start
	Lost                   // the simulated network lost it
	Suppressed             // silence that was not sent
	InGap                  // nothing was sent in the gap
	Held                   // the session description did not allow it
	Failed                 // the socket refused it
	Keyed                  // a telephone event went out in its place
)

var fateNames = [...]string{"sent", "not_started", "lost", "suppressed", "in_gap", "held", "failed", "keyed"}

func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "unknown"
}

// dtxLevel is the peak, of 32767, up to which a frame counts as silence.
const dtxLevel = 64

func (s *Script) gap(at time.Duration) (Gap, bool) {
	for _, g := range s.Gaps {
		if at >= g.At && at < g.At+g.For {
			return g, true
		}
	}
	return Gap{}, false
}

// silent tells whether discontinuous transmission leaves the frame out.
func (s *Script) silent(frame []int16) bool {
	if !s.DTX {
		return false
	}
	level := s.DTXLevel
	if level <= 0 {
		level = dtxLevel
	}
	for _, v := range frame {
		if v > level || v < -level {
			return false
		}
	}
	return true
}

// A lossModel decides which packets are lost: independently, or by the two-state chain of Gilbert, whose runs of losses
// have a mean length and which loses the same share.
type lossModel struct {
	share float64
	burst int
	bad   bool
}

func (m *lossModel) lose(r *rand.Rand) bool {
	if m.share <= 0 {
		return false
	}
	if m.burst < 2 || m.share >= 1 {
		return r.Float64() < m.share
	}
	leave := 1 / float64(m.burst)
	enter := leave * m.share / (1 - m.share)
	if m.bad {
		m.bad = r.Float64() >= leave
	} else {
		m.bad = r.Float64() < enter
	}
	return m.bad
}

// delays says when the copies of a packet arrive after it was sent: the first entry is the packet itself.
func (s *Script) delays(r *rand.Rand, ptime time.Duration) (first, second time.Duration, twice bool) {
	if s.Jitter > 0 {
		first = time.Duration(r.Int64N(int64(s.Jitter)))
	}
	if s.Reorder > 0 && r.Float64() < s.Reorder {
		first += ptime*time.Duration(max(1, s.ReorderBy)) + ptime/2
	}
	if s.Duplicate > 0 && r.Float64() < s.Duplicate {
		return first, first + ptime/2, true
	}
	return first, 0, false
}

// passed counts the instants that are not after at.
func passed(instants []time.Duration, at time.Duration) int {
	n := 0
	for _, t := range instants {
		if t <= at {
			n++
		}
	}
	return n
}
