package media

import (
	"fmt"
	"io"

	"github.com/greffier/greffier/media/codec"
)

// Most decoders want their packets in order, and some of them more than one at a time. So a packet that is not G.711 is given its
// place when it comes, as any other, but is decoded only when its place is about to be committed: then whatever could come before it
// has come, or is lost.

const (
	// maxWaiting bounds the bytes of a stream that wait to be decoded: a ring of the widest format that there is.
	maxWaiting = 1 << 20
	// maxWaitingPackets bounds their number: a ring of packets of 1 ms.
	maxWaitingPackets = 2048
	// maxVoices bounds the decoders of a stream: an SRC may offer other formats with every re-INVITE. MaxFormats are in use.
	maxVoices = 2 * MaxFormats
	// maxRecover is the longest loss that in-band redundancy may make good, in positions: RFC 7587 section 3.3 has one frame, and RFC
	// 6716 section 2.1.4 at most 60 ms for one.
	maxRecover = 60 * ms
)

// A waiting packet has a place, and is not decoded yet.
type waiting struct {
	generation int
	sequence   int64
	arrival    int64
	pos        int64 // of its first sample
	length     int64 // in positions
	format     *Format
	offset     int // in the decoding's bytes
	bytes      int
	recovered  bool  // what it carries of the packet before it was taken, or there is nothing to take
	floor      int64 // positions before it were paused or inactive
}

// before says whether a packet is decoded before another.
func (w *waiting) before(o *waiting) bool {
	if w.generation != o.generation {
		return w.generation < o.generation
	}
	return w.sequence < o.sequence
}

// A decoding is the state of a stream's decoders. Generation counts its sources: the sequence numbers of each begin anew.
type decoding struct {
	generation int
	list       []waiting // in the order of decoding
	bytes      []byte

	voices []voicing
	feed   feed
	last   waiting // decoded
}

// A voicing is a format of a stream and its decoders.
type voicing struct {
	payloadType uint8
	name        string
	rate        int
	params      string
	channels    int
	decoder     codec.Decoder
	failed      error // why there is none
	refused     uint  // packets since then
	generation  int
	frames      []codec.Frame

	late     codec.Decoder // of packets whose place was committed
	lateNext int64
	lift     *codec.Resampler // of theirs, to liftRate
	liftRate int
}

// A workspace is scratch that all streams of a timeline share.
type workspace struct {
	pcm, out []int16
	data     []byte
}

// voice finds the decoder of a format, or makes it.
func (d *decoding) voice(f *Format) *voicing {
	for i := range d.voices {
		v := &d.voices[i]
		if v.payloadType == f.PayloadType && v.name == f.Codec.Name && v.rate == f.Codec.Rate && v.params == f.Params && v.channels == f.Channels {
			v.retry(f)
			return v
		}
	}
	v := voicing{payloadType: f.PayloadType, name: f.Codec.Name, rate: f.Codec.Rate, params: f.Params, channels: f.Channels, generation: d.generation}
	v.decoder, v.failed = newDecoder(f)
	if len(d.voices) == maxVoices {
		oldest := decoding{voices: d.voices[:1]}
		oldest.close()
		d.voices = append(d.voices[:0], d.voices[1:]...)
	}
	d.voices = append(d.voices, v)
	return &d.voices[len(d.voices)-1]
}

// retry makes a decoder that could not be made: a process may be had a moment later. It tries less and less often.
func (v *voicing) retry(f *Format) {
	if v.failed == nil {
		return
	}
	if v.refused++; v.refused&(v.refused-1) == 0 {
		v.decoder, v.failed = newDecoder(f)
	}
}

func newDecoder(f *Format) (codec.Decoder, error) {
	if f.Codec.New == nil {
		return nil, fmt.Errorf("decode %s: this build cannot", f.Codec.Name)
	}
	return f.Codec.New()
}

// close ends decoders that are more than memory: processes. The others forget what they decoded.
func (d *decoding) close() {
	for i := range d.voices {
		for _, decoder := range []codec.Decoder{d.voices[i].decoder, d.voices[i].late} {
			if c, ok := decoder.(io.Closer); ok {
				_ = c.Close() // it has no state that could be lost
			} else if decoder != nil {
				decoder.Reset()
			}
		}
		if lift := d.voices[i].lift; lift != nil {
			lift.Reset()
		}
	}
	if d.feed.resampler != nil {
		d.feed.resampler.Reset()
	}
	d.voices = nil
}

// parse takes a payload apart, without decoding it.
func (d *decoding) parse(f *Format, payload []byte) ([]codec.Frame, error) {
	v := d.voice(f)
	if v.failed != nil {
		return nil, v.failed
	}
	var err error
	v.frames, err = v.decoder.Frames(v.frames[:0], payload)
	return v.frames, err
}

// samples is the length of a payload, at the format's sample rate.
func (d *decoding) samples(f *Format, payload []byte) (int64, error) {
	frames, err := d.parse(f, payload)
	n := int64(0)
	for _, frame := range frames {
		n += int64(frame.Samples)
	}
	return n, err
}

// postpone gives what a packet holds from a position on its place in the ring, silent until it is decoded. It returns how many
// positions were free.
func (t *timeline) postpone(s *stream, c *channel, p *packet, pos, from int64) int {
	d := &s.decoder
	if len(d.bytes)+len(p.payload) > maxWaiting || len(d.list) == maxWaitingPackets {
		s.stats.Late++ // no sender of speech comes here
		return 0
	}
	frames, err := d.parse(p.format, p.payload)
	if err != nil {
		return 0 // it was measured before: it cannot be
	}
	claimed, sound, n := 0, false, int64(0)
	for _, f := range frames {
		start := pos + n*Rate/int64(p.format.Codec.Rate)
		n += int64(f.Samples)
		if f.Kind == codec.Bad {
			s.bad = max(s.bad, start+1)
		}
		if f.Kind == codec.Sound {
			sound = true
			claimed += c.claim(max(start, from), pos+n*Rate/int64(p.format.Codec.Rate), t.slotBytes())
		}
	}
	if sound && claimed == 0 {
		s.stats.Duplicate++ // it came before, or was recovered
		return 0
	}
	// Silence is given to the decoder as well, which may want to know of it.
	d.wait(waiting{
		generation: d.generation, sequence: p.sequence, arrival: p.arrival, pos: pos, length: p.length, format: p.format,
		offset: len(d.bytes), bytes: len(p.payload), floor: s.floor, recovered: s.source.has(p.sequence - 1),
	})
	d.bytes = appendWiped(d.bytes, p.payload)
	return claimed
}

// wait puts a packet in its place in the list; nearly always that is the end.
func (d *decoding) wait(w waiting) {
	d.list = append(d.list, w)
	for i := len(d.list) - 1; i > 0 && d.list[i].before(&d.list[i-1]); i-- {
		d.list[i], d.list[i-1] = d.list[i-1], d.list[i]
	}
}

// move is told that what was placed from start to end has moved.
func (d *decoding) move(start, end, delta int64) {
	for i := range d.list {
		if w := &d.list[i]; w.pos >= start && w.pos < end {
			w.pos += delta
		}
	}
	if d.feed.open && d.feed.start >= start && d.feed.start < end {
		d.feed.start += delta
		d.feed.end += delta
	}
}

// revoke forgets what arrived at or after an instant.
func (d *decoding) revoke(at int64) {
	kept := d.list[:0]
	for _, w := range d.list {
		if w.arrival < at {
			kept = append(kept, w)
			continue
		}
		clear(d.payload(&w))
	}
	d.list = kept
}

// decode fills the ring up to limit, at least, with what waits.
func (t *timeline) decode(s *stream, c *channel, limit int64) {
	d := &s.decoder
	if len(d.list) == 0 && !d.feed.open {
		return
	}
	n := 0
	for ; n < d.due(limit+d.feed.lag()); n++ { // with the first packet of a run the lag grows
		t.speak(s, c, &d.list[n])
	}
	if n < len(d.list) && d.feed.open && d.feed.end < limit {
		t.recover(s, c, &d.list[n])
	}
	d.drop(n)
	if d.feed.open && d.feed.written() < min(limit, d.feed.end) {
		t.flush(c, &d.feed)
	}
}

// due is how many packets must be decoded for the ring to be right up to a position.
func (d *decoding) due(reach int64) int {
	for i := len(d.list); i > 0; i-- {
		if d.list[i-1].pos < reach {
			return i
		}
	}
	return 0
}

// drop forgets the first n packets.
func (d *decoding) drop(n int) {
	d.list = append(d.list[:0], d.list[n:]...)
	if len(d.list) == 0 {
		clear(d.bytes)
		d.bytes = d.bytes[:0]
		return
	}
	if n == 0 {
		return
	}
	// The bytes of those that stay are moved down, in the order in which they came.
	low := len(d.bytes)
	for i := range d.list {
		low = min(low, d.list[i].offset)
	}
	moved := copy(d.bytes, d.bytes[low:])
	clear(d.bytes[moved:])
	d.bytes = d.bytes[:moved]
	for i := range d.list {
		d.list[i].offset -= low
	}
}

func (d *decoding) payload(w *waiting) []byte { return d.bytes[w.offset:][:w.bytes] }

// speak decodes a packet into the ring.
func (t *timeline) speak(s *stream, c *channel, w *waiting) {
	d := &s.decoder
	v := d.voice(w.format)
	if v.failed != nil {
		s.stats.Undecodable++
		c.unclaim(max(w.pos, t.committed), min(w.pos+w.length, t.committed+ringSamples))
		return
	}
	if v.generation != w.generation {
		v.decoder.Reset()
		v.generation = w.generation
	}
	t.recover(s, c, w)
	d.last = *w
	pcm, err := v.decoder.Decode(t.work.pcm[:0], d.payload(w))
	if err != nil {
		s.stats.Undecodable++
		c.unclaim(max(w.pos, t.committed), min(w.pos+w.length, t.committed+ringSamples))
		return
	}
	t.work.pcm = pcm
	t.listen(c, &d.feed, v.rate, pcm, w.pos, w.length)
}

// recover takes the sound of a lost packet from the one after it, where the sender put it (RFC 6716 section 2.1.7).
func (t *timeline) recover(s *stream, c *channel, w *waiting) {
	d := &s.decoder
	missing := w.pos - d.feed.end
	if w.recovered || !d.feed.open || d.last.generation != w.generation || w.sequence-d.last.sequence < 2 || missing <= maxRepeat {
		return
	}
	w.recovered = true
	v := d.voice(w.format)
	if v.failed != nil {
		return
	}
	pcm, err := v.decoder.Recover(t.work.pcm[:0], d.payload(w), int(min(missing, maxRecover)*int64(v.rate)/Rate))
	if err != nil || len(pcm) == 0 {
		return
	}
	t.work.pcm = pcm
	length := int64(len(pcm)) * Rate / int64(v.rate)
	start := w.pos - length
	if start < max(t.committed, w.floor) || length > missing || c.next(start, w.pos, true) != w.pos {
		return
	}
	c.claim(start, w.pos, t.slotBytes())
	s.stats.Recovered++
	t.listen(c, &d.feed, v.rate, pcm, start, length)
}

// patchDecoded patches what is committed with a packet that came too late for its turn. It is decoded apart from the others.
func (t *timeline) patchDecoded(s *stream, c *channel, index int, p *packet, pos, from, end int64) int {
	d := &s.decoder
	v := d.voice(p.format)
	if v.late == nil {
		late, err := newDecoder(p.format)
		if err != nil {
			return 0
		}
		v.late = late
	}
	if p.sequence != v.lateNext {
		v.late.Reset()
	}
	v.lateNext = p.sequence + 1
	frames, err := d.parse(p.format, p.payload)
	if err != nil {
		return 0
	}
	pcm, err := v.late.Decode(t.work.pcm[:0], p.payload)
	if err != nil {
		s.stats.Undecodable++
		return 0
	}
	t.work.pcm = pcm
	out := pcm
	if rate := t.density * Rate; v.rate != rate {
		if v.liftRate != rate {
			if v.lift, err = codec.NewResampler(v.rate, rate); err != nil {
				return 0
			}
			v.liftRate = rate
		}
		v.lift.Reset()
		t.work.out = v.lift.Flush(v.lift.Write(t.work.out[:0], pcm))
		out = t.work.out
	}
	t.work.data = appendSamples(t.work.data[:0], out, int(p.length)*t.density)
	placed, n := 0, int64(0)
	for _, f := range frames {
		start := n * Rate / int64(v.rate)
		n += int64(f.Samples)
		stop := n * Rate / int64(v.rate)
		if f.Kind != codec.Sound || pos+stop <= from || pos+start >= end {
			continue
		}
		start, stop = max(start, from-pos), min(stop, end-pos)
		data := t.work.data[start*int64(2*t.density) : stop*int64(2*t.density)]
		placed += t.patch(s, c, index, samples{codec.L16, t.density, data}, pos+start, pos+stop)
	}
	return placed
}
