package media

import (
	"net/netip"
	"time"
)

const (
	// takeover is how long a source must be silent before another SSRC, or its own restarted, takes its stream at once.
	takeover = 200 * time.Millisecond
	// takeoverPackets is how many packets another source must send with none of the present one between them to take the stream
	// earlier than that. RFC 3550 appendix A.1 asks for two.
	takeoverPackets = 3
)

// A stream is the state of one m-line: who sends it, where its packets go, what it counted.
//
// Whose packets are a stream's? Those of one source (SSRC with a continuous sequence) at a time. Another source gets the stream
// when the present one has been silent for the takeover time, or with its third packet in a row without one of the present
// one's; what it sent until then is held, and placed. When the present source goes on, what was held is refused and counted.
type stream struct {
	source source
	live   bool  // there is a source
	floor  int64 // of the newest packet's terms
	bad    int64 // position after the newest sound that was sent and cannot be decoded
	clock  clock
	drift  drift
	held   limbo

	recent placements
	placed int // packets that were in it

	decoder decoding // of what is not G.711 in a ring of its law
	keys    *keypad  // nil: of no keys was heard

	lostBefore int64    // by the sources before this one; less what was lost before the stream came from another timeline
	begun      int64    // of such a stream: the sequence number from which its losses count
	ceded      bool     // it went to another timeline
	bearing    *bearing // that it took there
	drops      uint32
	stats      StreamStats
}

// A packet is one that is to be placed.
type packet struct {
	arrival  int64 // nanoseconds
	at       int64 // arrival as a position
	sequence int64 // extended
	stamp    int64 // timestamp, unwrapped
	time     int64 // the same in positions
	length   int64 // in positions
	format   *Format
	payload  []byte
}

// packet takes one datagram of a stream, with its arrival at the kernel. src is unmapped. It allocates nothing, but when the
// stream's clock or source is in doubt for the first time.
func (t *timeline) packet(index int, arrival int64, src netip.Addr, data []byte) {
	if index < 0 || index >= len(t.streams) {
		return
	}
	s := t.streams[index]
	e := t.epochAt(arrival)
	if index >= len(e.streams) {
		s.stats.Discarded++ // it came before the stream was there
		return
	}
	terms := &e.streams[index]
	if !terms.accepts(src) {
		s.stats.Foreign++
		return
	}
	h, payload, ok := parseRTP(data)
	if !ok {
		s.stats.Malformed++
		return
	}
	format := terms.find(h.payloadType)
	if t.digits != nil && t.keyed(index, terms, arrival, h, format, payload) {
		terms = t.terms(s, arrival)
	}
	if format != nil && format.Codec.Law != 0 && len(payload) > maxPacket {
		s.stats.Malformed++
		return
	}
	if s.live && h.ssrc == s.source.ssrc && s.source.continues(h.sequence) {
		t.receive(s, terms, arrival, h, format, payload)
		return
	}
	t.other(s, terms, arrival, h, format, payload)
}

// receive takes a packet of the stream's source.
func (t *timeline) receive(s *stream, terms *terms, arrival int64, h rtpHeader, format *Format, payload []byte) {
	if s.held.other {
		s.stats.Refused += uint64(len(s.held.packets))
		s.held.clear()
	}
	s.count(arrival, len(payload))
	highest := s.source.highest
	base := s.source.base
	sequence, duplicate := s.source.count(h.sequence)
	if duplicate {
		s.stats.Duplicate++
		return
	}
	if sequence < highest {
		s.stats.Reordered++
		if sequence < s.begun {
			s.lostBefore++ // another timeline has counted it as lost
		}
	}
	if s.source.base < base {
		s.clock.prompt.cleanest = 0 // the first packet had overtaken this one
	}
	if format == nil {
		s.stats.UnknownPayload++
		return
	}
	p := packet{arrival: arrival, at: t.position(arrival), sequence: sequence, format: format, payload: payload}
	if s.clock.rate != int64(format.Codec.ClockRate) {
		t.release(s)
		s.clock.tick(format.Codec.ClockRate)
		s.source.timed = false
	}
	p.stamp = s.clock.unwrap(h.timestamp, sequence >= highest)
	p.time = s.clock.positions(p.stamp)
	s.source.time(p.at, p.time)
	if !terms.allowed {
		s.stats.Discarded++
		return
	}
	if format.Codec.Name == redundancy {
		t.redundant(s, terms, &p)
		return
	}
	t.measured(s, terms, &p)
}

// measured finds a packet's length and places it.
func (t *timeline) measured(s *stream, terms *terms, p *packet) {
	if p.format.Codec.Law != 0 {
		p.length = int64(len(p.payload))
		if t.inBand && t.toned(s, p) {
			if terms = t.terms(s, p.arrival); !terms.allowed {
				s.stats.Discarded++
				return
			}
		}
	} else if n, err := s.decoder.samples(p.format, p.payload); err == nil {
		p.length = s.clock.positions(p.stamp+n*int64(p.format.Codec.ClockRate)/int64(p.format.Codec.Rate)) - p.time
	} else {
		s.stats.Undecodable++
		if s.clock.anchored {
			s.bad = max(s.bad, s.clock.position(p.time)+1)
		}
		return
	}
	if p.length > maxPacket {
		s.stats.Malformed++
		return
	}
	if p.length > 0 {
		t.place(s, terms, p)
	}
}

func (s *stream) count(arrival int64, payload int) {
	s.stats.Packets++
	s.stats.Bytes += uint64(payload)
	if s.stats.FirstArrival.IsZero() {
		s.stats.FirstArrival = time.Unix(0, arrival)
	}
	s.source.arrival = max(s.source.arrival, arrival)
}

// other takes a packet that is not of the stream's source: the first one's, a new source's, or a stranger's.
func (t *timeline) other(s *stream, terms *terms, arrival int64, h rtpHeader, format *Format, payload []byte) {
	switch {
	case format == nil:
		// Digits and comfort noise may have their own SSRC. They do not take the stream.
		s.stats.UnknownPayload++
		return
	case !terms.allowed:
		s.stats.Discarded++
		return
	case !s.live || arrival-s.source.arrival > int64(takeover):
		t.release(s)
		t.take(s, arrival, h)
		t.receive(s, terms, arrival, h, format, payload)
		return
	}
	if !s.held.other {
		t.release(s)
	}
	if s.held.other && !s.held.follows(h) {
		s.stats.Refused += uint64(len(s.held.packets))
		s.held.clear()
	}
	if !s.held.hold(packet{arrival: arrival, format: format, payload: payload}, h, true) {
		s.stats.Refused++
		return
	}
	if len(s.held.packets) < takeoverPackets {
		return
	}
	t.take(s, arrival, h)
	t.replaySource(s)
}

// replaySource gives the packets that a source sent before it took the stream.
func (t *timeline) replaySource(s *stream) {
	held := s.held
	s.held = limbo{}
	first := held.packets[0].header
	s.source = newSource(first, held.packets[0].arrival)
	for i := range held.packets {
		p := &held.packets[i]
		if terms := t.terms(s, p.arrival); terms != nil {
			t.receive(s, terms, p.arrival, p.header, p.format, held.payload(i))
		}
	}
	held.clear()
	if s.held.buf == nil {
		s.held = held
	}
}

// terms are what held for a stream at an arrival; nil when it was not there yet.
func (t *timeline) terms(s *stream, arrival int64) *terms {
	e := t.epochAt(arrival)
	for i := range e.streams {
		if t.streams[i] == s {
			return &e.streams[i]
		}
	}
	return nil
}

// take gives the stream to a new source.
func (t *timeline) take(s *stream, arrival int64, h rtpHeader) {
	if s.live {
		s.lostBefore += max(0, s.source.lost())
		if s.stats.Packets > 0 { // else it was another timeline's
			if h.ssrc != s.source.ssrc {
				s.stats.SSRCChanges++
			}
			s.stats.Reanchors++
		}
	}
	s.source, s.begun = newSource(h, arrival), 0
	s.clock.forget()
	s.decoder.generation++
	s.live = true
}

func (t *timeline) kernelDrops(index int, n uint32) {
	if index < 0 || index >= len(t.streams) {
		return
	}
	// The kernel's count wraps at 32 bits.
	s := t.streams[index]
	s.stats.KernelDrops += uint64(n - s.drops)
	s.drops = n
}

// stats appends the figures of every stream to dst.
func (t *timeline) stats(dst []StreamStats) []StreamStats {
	for _, s := range t.streams {
		st := s.stats
		if s.live && st.Packets > 0 { // else the source is known from another timeline
			st.SSRC = s.source.ssrc
			st.Lost = uint64(max(0, s.lostBefore+max(0, s.source.lost())))
			st.Jitter = time.Duration(s.source.jitter>>4) * nanosPerSample
			st.LastArrival = time.Unix(0, s.source.arrival)
			st.DriftPPM = s.drift.ppm()
		}
		dst = append(dst, st)
	}
	return dst
}

// progress appends what every stream has brought to dst.
func (t *timeline) progress(dst []Progress) []Progress {
	for _, s := range t.streams {
		p := Progress{Packets: s.stats.Packets, Loud: s.stats.Loud}
		if s.live && p.Packets > 0 {
			p.LastArrival = time.Unix(0, s.source.arrival)
		}
		dst = append(dst, p)
	}
	return dst
}

func (t *timeline) receiverReport(index int, now int64) (receptionReport, bool) {
	if index < 0 || index >= len(t.streams) || !t.streams[index].live {
		return receptionReport{}, false
	}
	r, ok := t.streams[index].source.report(now)
	r.Jitter = uint32(int64(r.Jitter) * t.streams[index].clock.rate / Rate) // RFC 3550 section 6.4.1: in timestamp units
	return r, ok
}

// senderReport takes a sender report for the fields LSR and DLSR of our reports (RFC 3550 section 6.4.1).
func (t *timeline) senderReport(index int, arrival int64, ssrc uint32, ntp uint64, _ uint32) {
	if index < 0 || index >= len(t.streams) {
		return
	}
	if s := t.streams[index]; s.live && s.source.ssrc == ssrc {
		s.source.lastSR, s.source.lastSRAt = uint32(ntp>>16), arrival
	}
}
