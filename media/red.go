package media

import "github.com/greffier/greffier/media/codec"

// redundancy is the name of the format of RFC 2198 in SDP.
const redundancy = "red"

const (
	redHeader  = 4 // bytes of a header of RFC 2198 section 3, but for the last, which has one
	maxRed     = 4 // redundant blocks that are looked at
	redFollows = 0x80
)

// Redundancy is the format that carries packets of other formats again (RFC 2198). What it carries is placed by those formats.
func Redundancy(payloadType uint8, clockRate int) Format {
	return Format{PayloadType: payloadType, Codec: codec.Codec{Name: redundancy, ClockRate: clockRate, Rate: clockRate}}
}

// A redBlock is one block of a redundant payload.
type redBlock struct {
	payloadType uint8
	offset      int64 // how much earlier than the packet, in timestamp units
	data        []byte
}

// parseRed takes a payload apart; the last block is the packet's own. It returns false for lengths that overrun the payload.
func parseRed(dst []redBlock, payload []byte) ([]redBlock, bool) {
	var lengths [maxRed]int
	n := 0
	for {
		if len(payload) == 0 {
			return dst, false
		}
		if payload[0]&redFollows == 0 {
			break
		}
		if len(payload) < redHeader || n == maxRed {
			return dst, false
		}
		dst = append(dst, redBlock{
			payloadType: payload[0] &^ redFollows,
			offset:      int64(payload[1])<<6 | int64(payload[2])>>2,
		})
		lengths[n] = int(payload[2]&3)<<8 | int(payload[3])
		payload, n = payload[redHeader:], n+1
	}
	own := payload[0]
	payload = payload[1:]
	for i := range n {
		if len(payload) < lengths[i] {
			return dst, false
		}
		dst[len(dst)-n+i].data, payload = payload[:lengths[i]], payload[lengths[i]:]
	}
	return append(dst, redBlock{payloadType: own, data: payload}), true
}

// redundant places what a redundant packet carries: first the packets before it that did not come, then its own.
func (t *timeline) redundant(s *stream, terms *terms, p *packet) {
	var space [maxRed + 1]redBlock
	blocks, ok := parseRed(space[:0], p.payload)
	if !ok {
		s.stats.Malformed++
		return
	}
	for i, b := range blocks {
		back := int64(len(blocks) - 1 - i) // a sender repeats the packets just before this one (RFC 2198 section 4)
		// What came, or would be the first to be heard after a silence: that must be anchored by what is sent now.
		unsure := !s.clock.anchored || terms.resumed > s.clock.resumed
		if back > 0 && (unsure || len(b.data) == 0 || s.source.has(p.sequence-back)) {
			continue
		}
		format := terms.find(b.payloadType)
		if format == nil || format.Codec.Name == redundancy || int64(format.Codec.ClockRate) != s.clock.rate {
			if back == 0 {
				s.stats.UnknownPayload++
			}
			continue
		}
		q := packet{arrival: p.arrival, at: p.at, sequence: p.sequence - back, stamp: p.stamp - b.offset, format: format, payload: b.data}
		q.time = s.clock.positions(q.stamp)
		placed := s.stats.Placed
		t.measured(s, terms, &q)
		if t.inBand { // it may be paused by now
			if terms = t.terms(s, p.arrival); !terms.allowed {
				return
			}
		}
		if back > 0 {
			s.stats.Recovered += s.stats.Placed - placed
		}
	}
}
