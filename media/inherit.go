package media

import (
	"time"

	"github.com/greffier/greffier/media/codec"
)

// A stream may go from one timeline to another. Its source goes along, with the sequence numbers that came, so that no packet is
// placed twice, and what receiver reports count; and its clock, so that the sound goes on where it is.

// carriedSilence is for how long nothing may have been placed for a clock to be carried on: 500 ppm are 5 ms in that time.
const carriedSilence = 10 * Rate

// A bearing is where a stream's timestamps belong.
type bearing struct {
	clock clock
	drift drift
}

// conclude decides for what a stream holds, before it ends here. The heir may learn better: it gets the bearing of before.
func (t *timeline) conclude(index int) {
	s := t.streams[index]
	s.bearing = &bearing{s.clock, s.drift}
	t.release(s)
}

// inherit goes on with stream j of another timeline as stream i. From arrivals at an instant on it is ours: what the other one has
// placed of those and not committed is moved. There the stream was concluded, and is still allowed.
func (t *timeline) inherit(i int, from *timeline, j int, at int64) {
	s, old := t.streams[i], from.streams[j]
	shift := from.position(t.start)
	held := from.terms(old, at)
	allowed := held != nil && held.allowed
	s.source, s.live, s.drops = old.source, old.live, old.drops
	s.source.transit -= shift
	clock, drift := old.bearing.clock, old.bearing.drift
	s.lostBefore, s.begun = -max(0, old.source.lost()), old.source.highest+1
	ours := &t.epochs[0].streams[i]
	if clock.anchored && from.position(at)-clock.position(clock.end) <= carriedSilence {
		s.clock, s.drift = clock.shifted(-shift), drift.shifted(-shift)
		if !allowed || clock.resumed != held.resumed {
			s.clock.resumed = -1 // to be checked by the first packet, as after any hold
		}
	} else {
		s.clock.rate = clock.rate
	}
	if allowed {
		ours.floor = max(ours.floor, held.floor-shift)
	} else {
		ours.floor = max(ours.floor, t.position(at)) // what was spoken until now was not to be kept
	}
	s.floor = ours.floor
	if t.digits != nil {
		s.inheritKeys(old)
	}
	if allowed && ours.allowed {
		t.takeOver(s, ours, from, old, at, shift)
	}
}

// shifted is the clock of a timeline whose positions differ by delta. Nothing is placed by it there yet.
func (k clock) shifted(delta int64) clock {
	k.anchor += delta
	k.before += delta
	k.catchAt += delta
	k.until += delta
	k.floor = max(k.floor+delta, -preroll)
	k.resumed = 0
	k.from = max(k.position(k.end), -preroll)
	k.to = k.from
	return k
}

// shifted is the same for drift.
func (d drift) shifted(delta int64) drift {
	d.since += delta
	d.last += delta
	d.begun += delta
	d.other.begun += delta
	return d
}

// takeOver moves what arrived from an instant on and was placed by the old timeline, as long as it is not committed there.
func (t *timeline) takeOver(s *stream, ours *terms, from *timeline, old *stream, at, shift int64) {
	theirs := from.channels[old.stats.Channel]
	if theirs.data == nil {
		return
	}
	m := move{t: t, s: s, c: t.channels[ours.Channel], ours: ours, from: from, old: old, theirs: theirs, shift: shift}
	m.undecoded(at)
	for n := min(old.placed, maxRecent); n > 0; n-- { // in the order of arrival
		i := (old.placed - n) % maxRecent
		if old.recent.arrival[i] < at || old.recent.samples[i] == 0 {
			continue
		}
		pos := near(old.recent.pos[i], from.committed)
		start, end := max(pos, from.committed), pos+int64(old.recent.samples[i])
		if start < end {
			m.decoded(old.recent.arrival[i], start, end)
			old.recent.samples[i] = 0
		}
	}
	if m.packets > 0 {
		theirs.shrink(from.committed)
		if old.source.arrival = old.lastBefore(at); old.stats.Packets == 0 {
			old.stats.FirstArrival = time.Time{}
		}
		s.stats.Codec = old.stats.Codec
	}
}

// lastBefore is when the last packet that was placed before an instant came.
func (s *stream) lastBefore(at int64) int64 {
	last := s.stats.FirstArrival.UnixNano()
	for i, arrival := range s.recent.arrival[:min(s.placed, maxRecent)] {
		if arrival < at && s.recent.samples[i] > 0 {
			last = max(last, arrival)
		}
	}
	return last
}

// A move is one between two timelines.
type move struct {
	t          *timeline
	s          *stream
	c          *channel
	ours       *terms
	from       *timeline
	old        *stream
	theirs     *channel
	shift      int64
	packets    int
	last       int64 // arrival
	generation int
}

// undecoded moves packets that wait for their turn.
func (m *move) undecoded(at int64) {
	d := &m.old.decoder
	kept := d.list[:0]
	for i := range d.list {
		w := d.list[i]
		if w.arrival < at || w.pos < m.from.committed {
			kept = append(kept, w)
			continue
		}
		if m.packets > 0 && w.generation != m.generation {
			m.s.decoder.generation++
		}
		m.generation = w.generation
		p := packet{
			arrival: w.arrival, at: m.t.position(w.arrival), sequence: w.sequence, length: w.length, format: w.format,
			payload: d.payload(&w),
		}
		m.place(&p, w.pos)
		clear(p.payload)
		m.take(w.pos, w.pos+w.length)
		for j := range m.old.recent.arrival {
			if m.old.recent.arrival[j] == w.arrival && near(m.old.recent.pos[j], w.pos) >= w.pos && near(m.old.recent.pos[j], w.pos) < w.pos+w.length {
				m.old.recent.samples[j] = 0
			}
		}
	}
	d.list = kept
}

// decoded moves a run of the ring.
func (m *move) decoded(arrival, start, end int64) {
	size := int64(m.from.slotBytes())
	data := make([]byte, 0, (end-start)*size)
	for pos := start; pos < end; pos++ {
		data = append(data, m.theirs.data[int64(slot(pos))*size:][:size]...)
	}
	p := packet{arrival: arrival, length: end - start, payload: data}
	if law := m.from.encoding; law != codec.L16 {
		p.format = &Format{Codec: codec.Codec{Law: law}}
		m.place(&p, start)
	} else {
		m.placeLinear(&p, start)
	}
	clear(data)
	m.take(start, end)
}

// place gives a packet to the new timeline. What was not to be kept there is left out.
func (m *move) place(p *packet, pos int64) {
	to := pos - m.shift
	skip := min(max(0, m.ours.floor-to), p.length)
	m.count(p, m.t.store(m.s, m.c, m.ours.Channel, p, to, skip), to, skip)
}

// placeLinear does the same for samples of 16 bits, of the old ring's density.
func (m *move) placeLinear(p *packet, pos int64) {
	to := pos - m.shift
	skip := min(max(0, m.ours.floor-to), p.length)
	if to+p.length > m.t.committed+ringSamples {
		m.t.makeRoom(to + p.length)
	}
	m.t.linear()
	m.t.raise(m.from.density * Rate)
	placed := 0
	if size := m.from.slotBytes(); size == m.t.slotBytes() && to+skip >= m.t.committed {
		placed = m.c.put(to+skip, p.payload[int(skip)*size:], size)
	}
	m.count(p, placed > 0, to, skip)
}

// count moves the figures of one packet.
func (m *move) count(p *packet, placed bool, to, skip int64) {
	if m.packets == 0 || p.arrival != m.last {
		m.old.stats.Packets--
		m.s.count(p.arrival, 0)
	}
	m.packets++
	m.last = p.arrival
	n := min(m.old.stats.Bytes, uint64(len(p.payload)))
	m.old.stats.Bytes -= n
	m.s.stats.Bytes += n
	m.old.stats.Placed--
	if !placed {
		m.s.stats.Clipped++
		return
	}
	m.s.stats.Placed++
	m.s.remember(p.arrival, to+skip, p.length-skip)
	m.s.clock.from, m.s.clock.to = min(m.s.clock.from, to+skip), max(m.s.clock.to, to+p.length)
}

// take takes a run out of the old timeline.
func (m *move) take(start, end int64) {
	m.from.silence(m.theirs, start, end)
	m.theirs.mark(start, int(end-start), false)
}
