package media

// A pause or a hold may be told a moment after it began. What arrived since is taken back, as long as it is not committed: that
// is commitDelay at least.

// maxRecent is how many packets a stream can take back: all that are not committed, at 20 ms.
const maxRecent = 64

// A placement is a packet that was placed.
type placement struct {
	arrival int64 // nanoseconds
	pos     int64
	samples int32
}

// remember notes a placement.
func (s *stream) remember(p placement) {
	s.recent[s.placed%maxRecent] = p
	s.placed++
}

// revoke takes back what arrived at or after an instant and is not committed.
func (t *timeline) revoke(s *stream, c *channel, at int64) {
	found := false
	s.decoder.revoke(at)
	for i := range min(s.placed, maxRecent) {
		p := &s.recent[i]
		from, to := max(p.pos, t.committed), p.pos+int64(p.samples)
		if p.arrival < at || from >= to || c.data == nil {
			continue
		}
		t.silence(c, from, to)
		c.mark(from, int(to-from), false)
		p.samples = 0
		s.stats.Placed--
		s.stats.Discarded++
		found = true
	}
	if found {
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
