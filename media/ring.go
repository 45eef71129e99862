package media

import (
	"math"
	"math/bits"

	"github.com/greffier/greffier/media/codec"
)

const (
	// ringSamples is what a channel holds before it is committed: 1.28 s. The commit delay, the interval between two cuts and
	// 400 ms in which a receiver stalls or packets run ahead must fit. It is most of the memory of a recording. A multiple
	// of 64.
	ringSamples = 10240
	ringWords   = ringSamples / 64
	// maxNotes bounds the suppressed runs that are remembered in a ring.
	maxNotes = 16
	// maxHoles bounds the committed silent runs that a late packet may still fill.
	maxHoles = 128
	never    = math.MaxInt64
)

// A run is a part of the timeline: start to end, without end.
type run struct{ start, end int64 }

// A channel holds the samples of one channel that are not committed yet, in a ring by position. It knows which are there.
type channel struct {
	data    []byte // of ringSamples positions, in the timeline's encoding; nil until something is placed
	present []uint64
	first   int64 // first position placed; never: none was
	end     int64 // after the last position placed
	before  tail
	notes   []run // silence that the sender meant, not committed to its end yet
	holes   []run // committed silence, not older than LateLimit, ascending
	open    bool  // what is committed ends in silence whose cause is not known yet
	silent  bool  // what is committed ends in silence
}

func newChannel() *channel {
	return &channel{first: never, end: -preroll, silent: true}
}

// slot is where a position is in the ring. No position is below -preroll.
func slot(pos int64) int {
	return int(uint64(pos+ringSamples) % ringSamples)
}

// grow makes the ring when the first packet comes, so that a channel without media costs nothing. Size is the bytes of a position.
func (c *channel) grow(size int) {
	if c.data == nil {
		c.data = make([]byte, ringSamples*size)
		c.present = make([]uint64, ringWords)
	}
}

// has says whether a position in the ring is placed.
func (c *channel) has(pos int64) bool {
	i := slot(pos)
	return c.present[i>>6]>>(i&63)&1 != 0
}

// mark sets or clears n positions from pos.
func (c *channel) mark(pos int64, n int, on bool) {
	i := slot(pos)
	for n > 0 {
		bit := i & 63
		k := min(64-bit, n)
		mask := (^uint64(0) >> (64 - k)) << bit
		if on {
			c.present[i>>6] |= mask
		} else {
			c.present[i>>6] &^= mask
		}
		n -= k
		if i += k; i == ringSamples {
			i = 0
		}
	}
}

// next finds the first position at or after pos, and before limit, that is placed (or not): limit when there is none.
func (c *channel) next(pos, limit int64, placed bool) int64 {
	if c.data == nil {
		if placed {
			return limit
		}
		return pos
	}
	i := slot(pos)
	for pos < limit {
		word := c.present[i>>6]
		if !placed {
			word = ^word
		}
		if word >>= i & 63; word != 0 {
			return min(limit, pos+int64(bits.TrailingZeros64(word)))
		}
		k := 64 - i&63
		pos += int64(k)
		if i += k; i == ringSamples {
			i = 0
		}
	}
	return limit
}

// put places samples where nothing is yet, and returns how many were. All positions must be in the ring; size is the bytes per
// sample.
func (c *channel) put(pos int64, payload []byte, size int) int {
	c.grow(size)
	n := len(payload) / size
	c.first = min(c.first, pos)
	placed := 0
	for pos < c.end && n > 0 {
		// Something may be here: a duplicate never overwrites.
		stop := min(c.end, pos+int64(n))
		from := c.next(pos, stop, false)
		to := c.next(from, stop, true)
		payload = payload[int(from-pos)*size:]
		c.fill(from, payload[:int(to-from)*size], size)
		payload = payload[int(to-from)*size:]
		placed += int(to - from)
		n -= int(to - pos)
		pos = to
	}
	if n > 0 {
		c.fill(pos, payload[:n*size], size)
		placed += n
		c.end = pos + int64(n)
	}
	return placed
}

// claim takes the free positions from start to end, silent, for what will be decoded. It returns how many there were.
func (c *channel) claim(start, end int64, size int) int {
	if start >= end {
		return 0
	}
	c.grow(size)
	claimed := 0
	for pos := c.next(start, end, false); pos < end; {
		stop := c.next(pos, end, true)
		c.silence(pos, stop, size, 0)
		c.mark(pos, int(stop-pos), true)
		claimed += int(stop - pos)
		pos = c.next(stop, end, false)
	}
	if claimed > 0 {
		c.first, c.end = min(c.first, start), max(c.end, end)
	}
	return claimed
}

// unclaim frees positions that turned out to hold nothing.
func (c *channel) unclaim(start, end int64) {
	if start < end && c.data != nil {
		c.mark(start, int(end-start), false)
	}
}

// silence fills positions.
func (c *channel) silence(start, end int64, size int, fill byte) {
	b := int64(slot(start)) * int64(size)
	for n := (end - start) * int64(size); n > 0; {
		k := min(n, int64(len(c.data))-b)
		part := c.data[b : b+k]
		for i := range part {
			part[i] = fill
		}
		n, b = n-k, 0
	}
}

func (c *channel) fill(pos int64, payload []byte, size int) {
	if len(payload) == 0 {
		return
	}
	done := copy(c.data[slot(pos)*size:], payload)
	copy(c.data, payload[done:])
	c.mark(pos, len(payload)/size, true)
}

// move shifts what is placed from start to end by delta. The caller has made sure that the ring has room.
func (c *channel) move(start, end, delta int64, size int) {
	step, from, to := int64(1), start, end
	if delta > 0 {
		step, from, to = -1, end-1, start-1
	}
	for pos := from; pos != to; pos += step {
		if !c.has(pos) {
			continue
		}
		c.mark(pos, 1, false)
		from := c.data[slot(pos)*size:][:size]
		copy(c.data[slot(pos+delta)*size:][:size], from)
		clear(from)
		c.mark(pos+delta, 1, true)
	}
	if c.first == start {
		c.first += delta
	}
	if c.end == end {
		c.end += delta
	}
	for i := range c.notes {
		if c.notes[i].end == start {
			c.notes[i].end += delta
		}
	}
}

// note remembers that the silence before pos is the sender's.
func (c *channel) note(r run) {
	if len(c.notes) < maxNotes {
		c.notes = append(c.notes, r)
	}
}

// suppressed says whether a silent run is one that the sender meant.
func (c *channel) suppressed(start, end int64) bool {
	for _, n := range c.notes {
		if n.start < end && start < n.end {
			return true
		}
	}
	return false
}

// linear turns the ring from a G.711 law to 16 bits.
func (c *channel) linear(law codec.Encoding) {
	if c.data == nil {
		return
	}
	wide := make([]byte, 2*len(c.data))
	appendLinear(wide[:0], law, c.data)
	clear(c.data)
	c.data = wide
}

// appendLinear appends samples of any encoding as 16 bits.
func appendLinear(dst []byte, e codec.Encoding, src []byte) []byte {
	var pcm [256]int16
	for len(src) > 0 {
		n := codec.Decode(pcm[:], e, src)
		if n == 0 {
			return dst
		}
		for _, s := range pcm[:n] {
			dst = append(dst, byte(s), byte(uint16(s)>>8))
		}
		src = src[n*e.BytesPerSample():]
	}
	return dst
}

// committedTo forgets what lies before pos: its holes are kept as long as a late packet may fill them.
func (c *channel) committedTo(pos int64) {
	kept := c.notes[:0]
	for _, n := range c.notes {
		if n.end >= pos {
			kept = append(kept, n)
		}
	}
	c.notes = kept
	old := 0
	for old < len(c.holes) && c.holes[old].end <= pos-LateLimit {
		old++
	}
	c.holes = append(c.holes[:0], c.holes[old:]...)
}

// hole remembers committed silence.
func (c *channel) hole(r run) {
	if n := len(c.holes); n > 0 && c.holes[n-1].end == r.start {
		c.holes[n-1].end = r.end
		return
	}
	if len(c.holes) == maxHoles {
		c.holes = append(c.holes[:0], c.holes[1:]...)
	}
	c.holes = append(c.holes, r)
}

// takeHole finds the first hole in start to end, takes it away and returns it; an empty run when there is none.
func (c *channel) takeHole(start, end int64) run {
	for i := range c.holes {
		h := c.holes[i]
		r := run{max(h.start, start), min(h.end, end)}
		if r.start >= r.end {
			continue
		}
		switch {
		case r == h:
			c.holes = append(c.holes[:i], c.holes[i+1:]...)
		case r.start == h.start:
			c.holes[i].start = r.end
		case r.end == h.end:
			c.holes[i].end = r.start
		default:
			c.holes[i].end = r.start
			rest := run{r.end, h.end}
			if len(c.holes) == maxHoles {
				return r // the rest of the hole cannot be filled any more
			}
			c.holes = append(c.holes, run{})
			copy(c.holes[i+2:], c.holes[i+1:])
			c.holes[i+1] = rest
		}
		return r
	}
	return run{}
}
