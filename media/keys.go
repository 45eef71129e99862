package media

import (
	"encoding/binary"
	"slices"
	"time"
)

// keyNames are the telephone keys by their event code (RFC 4733 section 3.2).
const keyNames = "0123456789*#ABCD"

const (
	// eventBytes is the size of one event in a payload (RFC 4733 section 2.3).
	eventBytes = 4
	// eventOver is the bit that says that the event has ended.
	eventOver = 0x80
	// maxEvents is how many events of one packet are looked at; more than one are packed only when keys are dialled by a machine
	// (section 2.5.1.5).
	maxEvents = 8
	// longestSegment is the most that the duration field holds. A key that is held down for longer goes on under another timestamp
	// (section 2.5.1.3).
	longestSegment = 0xFFFF

	// maxPresses is how many presses a stream remembers, to know their later packets again.
	maxPresses = 16
	// pressMemory is how long after its last packet a press is known again.
	pressMemory = int64(5 * time.Second)
	// sameKey is how far apart an event and the tone of one press may begin: some gateways send both.
	sameKey = int64(200 * time.Millisecond)
)

// A Digit is a press of a telephone key.
type Digit struct {
	Stream  int       // index of the stream that brought it
	Channel int       // that stream's
	Key     byte      // '0' to '9', '*', '#', 'A' to 'D'
	At      time.Time // when it began: the arrival of its first packet that came
	InBand  bool      // it was heard as tones; else it came as an event (RFC 4733)
}

// A keyPress is a Digit before its time is the receiver's.
type keyPress struct {
	stream, channel int
	key             byte
	at              int64
	inBand          bool
}

// A press is one that a stream remembers.
type press struct {
	key    byte
	inBand bool
	told   bool
	paired bool // it is known to have come both ways, or cannot
	at     int64

	// Of an event.
	ssrc, stamp, duration uint32
	over                  bool
	last                  int64 // arrival
}

// A keypad is what a stream knows of keys.
type keypad struct {
	presses [maxPresses]press // the newest ones, in a ring
	next    int
	tones   *dtmf // nil: nothing is looked for in the sound
}

func (k *keypad) add(p press) {
	k.presses[k.next%maxPresses] = p
	k.next++
}

// known says whether a press came before the other way, and remembers it. Each is known once, so that the next one is not.
func (k *keypad) known(p *press) bool {
	for i := range k.presses {
		q := &k.presses[i]
		if q.key == p.key && q.inBand != p.inBand && !q.paired && magnitude(p.at-q.at) <= sameKey {
			q.paired, p.paired = true, true
			return true
		}
	}
	return false
}

// A keyEvent is one event of a payload.
type keyEvent struct {
	code     uint8
	over     bool
	duration uint32 // so far, in timestamp units
}

// parseEvents appends the events of a payload. Bytes that are no whole event are left out.
func parseEvents(dst []keyEvent, payload []byte) []keyEvent {
	for range maxEvents {
		if len(payload) < eventBytes {
			break
		}
		dst = append(dst, keyEvent{payload[0], payload[1]&eventOver != 0, uint32(binary.BigEndian.Uint16(payload[2:]))})
		payload = payload[eventBytes:]
	}
	return dst
}

// event takes one event, which began at a timestamp, and tells whether it is a press that nobody knows of. All packets of a press have
// its timestamp, whichever of them come; only the first has the marker.
func (k *keypad) event(ssrc, stamp uint32, marker bool, e keyEvent, arrival int64) (press, bool) {
	key := keyNames[e.code]
	var before *press
	for i := range k.presses {
		p := &k.presses[i]
		if p.inBand || p.key != key || p.ssrc != ssrc || arrival-p.last > pressMemory {
			continue
		}
		if p.stamp == stamp {
			p.duration, p.over, p.last = max(p.duration, e.duration), p.over || e.over, max(p.last, arrival)
			return press{}, false
		}
		if d := stamp - p.stamp; !marker && !p.over && (d == p.duration || d == longestSegment) {
			before = p
		}
	}
	n := press{key: key, at: arrival, ssrc: ssrc, stamp: stamp, duration: e.duration, over: e.over, last: arrival}
	if before != nil { // it is held down: the next segment of the same press
		n.at, n.paired = before.at, true
		k.add(n)
		return press{}, false
	}
	n.told = !k.known(&n)
	k.add(n)
	return n, n.told
}

// keyed looks for keys in a packet of events, or in one that has events beside sound (RFC 2198). It tells whether the recording is
// paused because of one.
func (t *timeline) keyed(index int, terms *terms, arrival int64, h rtpHeader, format *Format, payload []byte) bool {
	if format == nil {
		return slices.Contains(terms.Events, h.payloadType) && t.events(index, arrival, h, payload)
	}
	if format.Codec.Name != redundancy || len(terms.Events) == 0 {
		return false
	}
	var space [maxRed + 1]redBlock
	blocks, ok := parseRed(space[:0], payload)
	if !ok {
		return false
	}
	paused := false
	for i, b := range blocks {
		if slices.Contains(terms.Events, b.payloadType) {
			g := h
			g.timestamp -= uint32(b.offset)
			g.marker = h.marker && i == len(blocks)-1
			paused = t.events(index, arrival, g, b.data) || paused
		}
	}
	return paused
}

// events takes a payload of events, which follow on one another.
func (t *timeline) events(index int, arrival int64, h rtpHeader, payload []byte) (paused bool) {
	var space [maxEvents]keyEvent
	k, stamp := t.streams[index].keypad(), h.timestamp
	for _, e := range parseEvents(space[:0], payload) {
		if int(e.code) < len(keyNames) {
			if p, fresh := k.event(h.ssrc, stamp, h.marker, e, arrival); fresh {
				paused = t.tell(index, p) || paused
			}
		}
		stamp += e.duration
	}
	return paused
}

// keypad is the stream's, made when it is first needed.
func (s *stream) keypad() *keypad {
	if s.keys == nil {
		s.keys = &keypad{}
	}
	return s.keys
}

// tell tells of a press. When the listener wants so, the recording is paused from its beginning on, before anything else is placed.
func (t *timeline) tell(index int, p press) (paused bool) {
	if !t.digits(keyPress{index, t.streams[index].stats.Channel, p.key, p.at, p.inBand}) {
		return false
	}
	t.pause(p.at, true, CausePaused)
	return true
}

// inheritKeys goes on with the keys of a stream of another timeline: what is pressed now is not pressed anew.
func (s *stream) inheritKeys(old *stream) {
	if s.keys, old.keys = old.keys, nil; s.keys != nil && s.keys.tones != nil {
		s.keys.tones.generation = s.decoder.generation
	}
}

// retell tells of the presses that began at or after an instant, of which another timeline was told.
func (t *timeline) retell(index int, at int64) {
	k := t.streams[index].keys
	if t.digits == nil || k == nil {
		return
	}
	for n := min(k.next, maxPresses); n > 0; n-- {
		if p := k.presses[(k.next-n)%maxPresses]; p.told && p.at >= at {
			t.tell(index, p)
		}
	}
}
