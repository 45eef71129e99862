package media

import "github.com/greffier/greffier/media/codec"

const (
	// aheadDoubt is how far a packet may seem to come before it was spoken without a look at its sequence number.
	aheadDoubt = 60 * ms
	// aheadLimit is how far at most, for packets whose sequence numbers agree with their timestamps.
	aheadLimit = 500 * ms
	// resumeLimit is by how much a timestamp may contradict the arrival after a hold.
	resumeLimit = 100 * ms
	// snapLimit: after a jump of timestamps without a missing sequence number the sound goes on where it was, when it came
	// within this of it.
	snapLimit = 60 * ms
	// burstPackets is how many sequence numbers may be missing between two packets whose timestamps agree with them.
	burstPackets = 32
	// maxRepeat is how many samples a hole may have to be a correction of drift, filled by the sample before it. No packet is
	// that short.
	maxRepeat = 4
	// gapLeast is the silence from which a correction of drift is made in it at once.
	gapLeast = 5 * ms
)

// place finds where a packet belongs, and puts it there: where its timestamp says, unless that contradicts its arrival.
func (t *timeline) place(s *stream, terms *terms, p *packet) {
	k := &s.clock
	c := t.channels[terms.Channel]
	s.floor = terms.floor
	if !k.anchored {
		k.resumed = terms.resumed
		t.anchor(s, c, p)
	}
	length := p.length
	pos := k.position(p.time)
	late := p.at - pos - length
	if terms.resumed > k.resumed {
		k.resumed = terms.resumed
		if magnitude(late) > resumeLimit {
			t.release(s)
			t.reanchor(s, terms, p)
			t.put(s, terms, p, k.position(p.time))
			return
		}
	}
	if !k.settled && (p.at >= k.until || late < -aheadLimit && k.prompt.some >= settlePackets) {
		t.settle(s, c)
		pos = k.position(p.time)
		late = p.at - pos - length
	}
	newest := p.sequence > k.highest
	switch {
	case late >= -aheadDoubt && late <= suspectLate:
		if len(s.held.packets) > 0 && newest {
			t.replay(s, burst)
		}
		k.catching = k.catching && late > 0
	case !newest:
		var ok bool
		if pos, ok = k.overtaken(p, pos, length); !ok && !t.restarted(s, terms, p) {
			s.stats.Late++
			return
		} else if !ok {
			pos = k.position(p.time)
		}
	case late > suspectLate && p.time+length > k.end && !k.catches(p.at, late):
		t.doubt(s, p, late)
		return
	case late < 0 && late >= -aheadLimit && k.agrees(p, length), late > suspectLate && k.catching:
	default:
		t.release(s)
		t.reanchor(s, terms, p)
		pos = k.position(p.time)
	}
	t.put(s, terms, p, pos)
}

// agrees says whether a packet's sequence number and timestamp tell the same of what lies between it and the newest one.
func (k *clock) agrees(p *packet, length int64) bool {
	between := p.sequence - k.highest - 1
	return between < burstPackets && p.time-k.end == between*length
}

// overtaken finds the position of a packet that a newer one overtook: when its timestamp is from before a jump, so is its
// anchor. It returns false for a timestamp of no time that matters.
func (k *clock) overtaken(p *packet, pos, length int64) (int64, bool) {
	if k.jumped {
		old := p.time + k.before
		if late := p.at - old - length; late >= -aheadDoubt && late <= LateLimit {
			return old, true
		}
	}
	late := p.at - pos - length
	return pos, late >= -aheadLimit && late <= 2*LateLimit
}

// restarted says whether the sender began anew with sequence numbers that looked old, and gives it a new anchor then.
func (t *timeline) restarted(s *stream, terms *terms, p *packet) bool {
	k := &s.clock
	if k.strange++; k.strange < takeoverPackets {
		return false
	}
	t.release(s)
	s.lostBefore += max(0, s.source.lost())
	s.source.restart(p.sequence)
	s.begun = 0
	s.stats.Reanchors++
	s.decoder.generation++
	k.forget()
	k.stamp, k.time, k.known = uint32(p.stamp), p.stamp, true
	t.anchor(s, t.channels[terms.Channel], p)
	return true
}

// anchor sets a source's first anchor: the packet ended when it came.
func (t *timeline) anchor(s *stream, c *channel, p *packet) {
	length := p.length
	s.clock.set(p.time, p.at-length, p.at, c.end, false)
	// Nothing is known of what came before: it is not complete.
	s.clock.highest, s.clock.end, s.clock.lost = p.sequence-2, p.time, -1
	s.drift.reset(p.at, length)
}

// reanchor sets the anchor by arrival, because the timestamps jumped. The sound goes on without a gap when no sequence number is
// missing and the arrival does not contradict that.
func (t *timeline) reanchor(s *stream, terms *terms, p *packet) {
	k, c := &s.clock, t.channels[terms.Channel]
	length := p.length
	pos := p.at - length
	goesOn := s.complete(p) && magnitude(pos-c.end) <= snapLimit
	if goesOn {
		pos = c.end
	}
	k.set(p.time, pos, p.at, c.end, goesOn)
	k.end = p.time
	s.drift.reset(p.at, length)
	s.stats.Reanchors++
}

// complete says that no sequence number is missing between the newest packet placed and this one: what lies between was never
// sent, or was of a payload type that is not placed.
func (s *stream) complete(p *packet) bool {
	return p.sequence == s.clock.highest+1 || s.source.lost() <= s.clock.lost
}

// put places a packet at a position: in the ring, or as a patch when the position is committed.
func (t *timeline) put(s *stream, terms *terms, p *packet, pos int64) {
	k, c := &s.clock, t.channels[terms.Channel]
	length := p.length
	if p.sequence > k.highest {
		k.strange = 0
		if s.drift.pending != 0 {
			pos += t.adjust(s, c, p, pos)
		}
		if c.first != never && pos-c.end > maxRepeat && s.bad <= c.end && s.complete(p) {
			c.note(run{c.end, pos})
		}
		k.highest, k.end, k.lost = p.sequence, p.time+length, s.source.lost()
	}
	skip := int64(0) // of the packet's length
	if low := max(terms.floor, -preroll); pos < low {
		skip = min(low-pos, length)
		if skip == length {
			s.stats.Clipped++
		}
	}
	if t.store(s, c, terms.Channel, p, pos, skip) {
		s.stats.Placed++
		s.stats.Codec = p.format.Codec.Name
		from := pos + skip
		s.remember(p.arrival, from, length-skip)
		k.from, k.to = min(k.from, from), max(k.to, pos+length)
	}
	t.measure(s, p)
}

// measure takes the lateness of the newest packet.
func (t *timeline) measure(s *stream, p *packet) {
	k := &s.clock
	if p.sequence < k.highest {
		k.prompt.overtaken, s.drift.prompt.overtaken = true, true
	}
	if k.highest != s.source.highest {
		return
	}
	late, clean := p.at-k.position(k.end), s.source.clean()
	if p.sequence < k.highest && !clean {
		return
	}
	if !k.settled {
		k.prompt.add(late, clean)
		return
	}
	s.drift.sample(p.at, late, p.length, clean)
}

// adjust takes out drift: a sample per packet, or all in a gap. It returns by how much the packet moves.
func (t *timeline) adjust(s *stream, c *channel, p *packet, pos int64) int64 {
	k, d := &s.clock, &s.drift
	step := d.step()
	if gap := pos - c.end; gap >= gapLeast {
		step = max(d.pending, -gap+maxRepeat+1)
	} else if step > 0 {
		s.stats.Inserted += step
	} else {
		s.stats.Removed -= step
	}
	k.anchor += step
	k.correctedAt, k.corrected = p.time, step
	d.applied(step)
	return step
}

// store takes a packet whose first sample is at pos, but for the first skip positions of it. What is committed it patches. It
// returns whether anything was new.
func (t *timeline) store(s *stream, c *channel, index int, p *packet, pos, skip int64) bool {
	end := pos + p.length
	from := pos + skip
	if from == end {
		return false
	}
	if end > t.committed+ringSamples {
		t.makeRoom(end)
	}
	law := p.format.Codec.Law
	if law == 0 {
		t.linear()
		t.raise(p.format.Codec.Rate)
	}
	placed, late := 0, false
	if from < t.committed {
		n := min(t.committed, end)
		late = n <= t.committed-LateLimit
		if law != 0 {
			placed = t.patch(s, c, index, samples{law, 1, p.payload[skip:]}, from, n)
		} else if !late {
			placed = t.patchDecoded(s, c, index, p, pos, from, n)
		}
		from = n
	}
	if from < end {
		if law != 0 && t.density == 1 {
			placed += t.write(c, law, p.payload[from-pos:], from)
		} else {
			placed += t.postpone(s, c, p, pos, from)
		}
	}
	switch {
	case placed > 0:
		return true
	case late:
		s.stats.Late++
	case p.format.Codec.Law != 0:
		s.stats.Duplicate++
	default:
		return false // a frame of silence, say
	}
	return false
}

// write puts samples into the ring, in its encoding. The ring turns linear when the laws differ.
func (t *timeline) write(c *channel, e codec.Encoding, payload []byte, pos int64) int {
	if t.encoding == 0 {
		t.encoding = e
	}
	if e == t.encoding {
		return c.put(pos, payload, 1)
	}
	t.linear()
	var wide [512]byte
	defer clear(wide[:])
	placed := 0
	for len(payload) > 0 {
		n := min(len(payload), len(wide)/2)
		placed += c.put(pos, appendLinear(wide[:0], e, payload[:n]), 2)
		payload, pos = payload[n:], pos+int64(n)
	}
	return placed
}

// linear turns the rings to 16 bits.
func (t *timeline) linear() {
	if t.encoding == codec.L16 {
		return
	}
	for _, c := range t.channels {
		c.linear(t.encoding)
	}
	t.encoding = codec.L16
}

// slotBytes is the size of a position in the rings.
func (t *timeline) slotBytes() int {
	if t.encoding == codec.L16 {
		return 2 * t.density
	}
	return 1
}
