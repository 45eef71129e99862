package media

// A pause or a hold may be told a moment after it began. What arrived since is taken back, as long as it is not committed: that
// is commitDelay at least.

// maxRecent is how many packets a stream can take back: all that are not committed, at 20 ms.
const maxRecent = 64

// Placements are the newest packets that were placed, in a ring: a third of a stream's memory, so each takes 14 bytes.
type placements struct {
	arrival [maxRecent]int64  // nanoseconds
	pos     [maxRecent]uint32 // the lower bits: what is not committed is near what is
	samples [maxRecent]uint16 // maxPacket fits
}

// remember notes a packet that was placed.
func (s *stream) remember(arrival, pos, samples int64) {
	i := s.placed % maxRecent
	s.recent.arrival[i], s.recent.pos[i], s.recent.samples[i] = arrival, uint32(pos), uint16(samples)
	s.placed++
}

// moved is told that what was placed from start to end has moved.
func (s *stream) moved(start, end, delta, committed int64) {
	for i := range min(s.placed, maxRecent) {
		if pos := near(s.recent.pos[i], committed); pos >= start && pos < end {
			s.recent.pos[i] = uint32(pos + delta)
		}
	}
}

// near is the position with these lower bits that is nearest to another one.
func near(low uint32, pos int64) int64 {
	return pos + int64(int32(low-uint32(pos)))
}

// revoke takes back what arrived at or after an instant and is not committed.
func (t *timeline) revoke(s *stream, c *channel, at int64) {
	found := false
	s.decoder.revoke(at)
	for i := range min(s.placed, maxRecent) {
		pos := near(s.recent.pos[i], t.committed)
		from, to := max(pos, t.committed), pos+int64(s.recent.samples[i])
		if s.recent.arrival[i] < at || from >= to || c.data == nil {
			continue
		}
		t.silence(c, from, to)
		c.mark(from, int(to-from), false)
		s.recent.samples[i] = 0
		s.stats.Placed--
		s.stats.Discarded++
		found = true
	}
	if found {
		clear(c.before.pcm)
		c.before = tail{}
		c.shrink(t.committed)
	}
}

// clear takes out what has moved below the floor: it was paused, or inactive.
func (t *timeline) clear(s *stream, c *channel, start, end int64) {
	start, end = max(start, t.committed), min(end, s.floor)
	if start >= end || c.data == nil {
		return
	}
	t.silence(c, start, end)
	c.mark(start, int(end-start), false)
	c.shrink(t.committed)
}

// shrink finds the channel's first and last sound anew, after some was taken back.
func (c *channel) shrink(committed int64) {
	for c.end > committed && !c.has(c.end-1) {
		c.end--
	}
	if c.first < committed {
		return
	}
	if c.first = c.next(committed, max(c.end, committed), true); c.first >= c.end {
		c.first = never
	}
}
