package media

const (
	// settleTime is how long after an anchor was set it may still be moved at once, with all that was placed by it: the first
	// packet may have been a late one. No longer than commitDelay, so that what moves is not committed yet.
	settleTime = 400 * ms
	// settlePackets is the least number of packets that may move an anchor.
	settlePackets = 2
)

// A clock maps a source's timestamps to positions: position = time + anchor, where time is the unwrapped timestamp in positions.
type clock struct {
	rate  int64  // of the timestamps, in hertz; 0 before the first packet
	stamp uint32 // the last timestamp
	time  int64  // the same, unwrapped
	known bool   // there was one

	anchored bool
	anchor   int64
	before   int64 // the anchor until the last jump, for packets from before it
	jumped   bool  // before is known
	resumed  int   // terms.resumed when the anchor was last checked

	highest int64 // extended sequence number of the newest packet placed
	end     int64 // time after that packet
	lost    int64 // source.lost at that packet

	// A single sample of drift that is taken out moves the anchor: packets from before it use the old one.
	correctedAt int64
	corrected   int64

	strange int // packets in a row that are old by their sequence number, and of no time by their timestamp

	// While a burst after a network stall catches up: how late it still is, and since when it is no less.
	catching  bool
	catchLate int64
	catchAt   int64

	// Since the anchor was set, and until it is settled.
	settled bool
	until   int64 // position of arrival
	from    int64 // first position placed by this anchor
	to      int64 // after the last one
	floor   int64 // what is before it was placed by others
	prompt  prompt
}

// unwrap extends a timestamp to 64 bits: it is within 2^31 of the last one.
func (k *clock) unwrap(stamp uint32, newest bool) int64 {
	if !k.known {
		k.stamp, k.time, k.known = stamp, int64(stamp), true
		return k.time
	}
	time := k.time + int64(int32(stamp-k.stamp))
	if newest {
		k.stamp, k.time = stamp, time
	}
	return time
}

// tick sets the rate of the timestamps. Nothing that was known of them at another rate holds any more (RFC 7160 section 3.1).
func (k *clock) tick(rate int) {
	k.forget()
	k.rate = int64(rate)
}

// positions turns an unwrapped timestamp into positions, rounded down.
func (k *clock) positions(stamp int64) int64 {
	if k.rate == Rate {
		return stamp
	}
	n := stamp * Rate
	if n < 0 {
		return -((-n + k.rate - 1) / k.rate)
	}
	return n / k.rate
}

// position is where a timestamp belongs.
func (k *clock) position(time int64) int64 {
	if time < k.correctedAt {
		return time + k.anchor - k.corrected
	}
	return time + k.anchor
}

// forget is for a new source: nothing of the old one's timestamps means anything any more.
func (k *clock) forget() {
	*k = clock{resumed: k.resumed, rate: k.rate}
}

// set anchors time at pos. What is before floor belongs to others.
func (k *clock) set(time, pos, at, floor int64, settled bool) {
	if k.anchored {
		k.before, k.jumped = k.anchor, true
	}
	k.anchored, k.anchor = true, pos-time
	k.correctedAt, k.corrected = time, 0
	k.settled, k.until, k.from, k.to, k.floor = settled, at+settleTime, pos, pos, floor
	k.prompt = prompt{}
}

// settle ends the anchor's first time: when its promptest packet was earlier than the one that it was set by, all that it placed
// moves, but never below what is committed or placed by others. What cannot be moved is returned.
func (t *timeline) settle(s *stream, c *channel) {
	k := &s.clock
	k.settled = true
	least, packets := k.prompt.least()
	if packets < settlePackets || least == 0 {
		return
	}
	rest := least
	if k.from >= t.committed && c.data != nil {
		delta := max(least, max(k.floor, t.committed)-k.from)
		delta = min(delta, t.committed+ringSamples-k.to)
		if delta != 0 && (delta < 0) == (least < 0) {
			c.move(k.from, k.to, delta, t.slotBytes())
			s.decoder.move(k.from, k.to, delta)
			s.moved(k.from, k.to, delta, t.committed)
			t.clear(s, c, k.from+delta, k.to+delta)
			k.anchor += delta
			k.from += delta
			k.to += delta
			rest -= delta
		}
	}
	s.drift.correct(rest)
}
