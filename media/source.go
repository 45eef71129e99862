package media

import "math/bits"

// RFC 3550 appendix A.1, which has 100 for the second: here a packet may still fill what was committed LateLimit ago, when it
// was overtaken by that much.
const (
	maxDropout  = 3000
	maxMisorder = 500
)

// A source is the sender of a stream at one time, by its SSRC: the sequence arithmetic of RFC 3550 appendix A.
type source struct {
	ssrc    uint32
	arrival int64  // of the last packet, in nanoseconds
	base    int64  // first sequence number, extended
	highest int64  // extended
	window  uint64 // which of the last 64 came; bit 0 is the highest
	unique  int64  // packets, duplicates not counted

	// RFC 3550 section 6.4.1: what the last report counted, and the last sender report.
	expectedThen int64
	uniqueThen   int64
	lastSR       uint32
	lastSRAt     int64

	transit int64 // of the last packet, in timestamp units
	jitter  int64 // times 16
	timed   bool  // transit is known
}

func newSource(h rtpHeader, arrival int64) source {
	// The extended number starts at 65536 so that packets before the first one do not go below 0.
	first := int64(1)<<16 | int64(h.sequence)
	return source{ssrc: h.ssrc, arrival: arrival, base: first, highest: first, window: 0}
}

// continues says whether a sequence number is near enough to be this source's (appendix A.1).
func (s *source) continues(sequence uint16) bool {
	delta := sequence - uint16(s.highest)
	return delta < maxDropout || delta >= -maxMisorder&0xFFFF
}

// count takes a packet's sequence number. It returns the extended number, and whether the packet came before.
func (s *source) count(sequence uint16) (extended int64, duplicate bool) {
	delta := int64(int16(sequence - uint16(s.highest)))
	extended = s.highest + delta
	switch {
	case delta > 0:
		s.window <<= min(delta, 64)
		s.highest = extended
		s.window |= 1
	case delta > -64:
		bit := uint64(1) << -delta
		duplicate = s.window&bit != 0
		s.window |= bit
	}
	if !duplicate {
		s.unique++
	}
	s.base = min(s.base, extended)
	return extended, duplicate
}

// has says whether a packet came, as far as the window remembers.
func (s *source) has(sequence int64) bool {
	d := s.highest - sequence
	return d < 0 || d >= 64 || sequence < s.base || s.window>>d&1 != 0
}

// restart begins the sequence anew at a packet that was taken for an old one.
func (s *source) restart(sequence int64) {
	s.base, s.highest, s.window, s.unique = sequence, sequence, 1, 1
	s.expectedThen, s.uniqueThen = 0, 0
}

// clean says that none of the last packets is missing, so that the highest one's lateness means something: with packets that
// overtook others it does not.
func (s *source) clean() bool {
	n := int(min(cleanPackets, s.highest-s.base+1))
	return bits.TrailingZeros64(^s.window) >= n
}

// cleanPackets is how many packets in a row must be there; more than any reordering that is worth the name.
const cleanPackets = 10

// lost is RFC 3550 appendix A.3; it may be negative when a packet came twice long after.
func (s *source) lost() int64 {
	return s.highest - s.base + 1 - s.unique
}

// time takes a packet's arrival in timestamp units: RFC 3550 appendix A.8.
func (s *source) time(arrival, timestamp int64) {
	transit := arrival - timestamp
	if s.timed {
		d := transit - s.transit
		if d < 0 {
			d = -d
		}
		// A clock that jumps is no jitter.
		if d < Rate {
			s.jitter += d - (s.jitter+8)>>4
		}
	}
	s.transit, s.timed = transit, true
}

// report fills a report block and begins a new interval; false when nothing came since the last one (section 6.4).
func (s *source) report(now int64) (receptionReport, bool) {
	if s.unique == s.uniqueThen {
		return receptionReport{}, false
	}
	expected := s.highest - s.base + 1
	interval, received := expected-s.expectedThen, s.unique-s.uniqueThen
	s.expectedThen, s.uniqueThen = expected, s.unique
	r := receptionReport{
		SSRC:         s.ssrc,
		TotalLost:    int32(max(-1<<23, min(1<<23-1, s.lost()))),
		LastSequence: uint32(s.highest - 1<<16),
		Jitter:       uint32(s.jitter >> 4),
		LastSR:       s.lastSR,
	}
	if lost := interval - received; interval > 0 && lost > 0 {
		r.FractionLost = uint8(min(255, lost<<8/interval))
	}
	if s.lastSR != 0 {
		r.Delay = uint32(min(1<<32-1, max(0, now-s.lastSRAt)/1000*65536/1e6))
	}
	return r, true
}
