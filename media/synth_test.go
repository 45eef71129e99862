package media

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// A synthetic sender, and a detector that knows nothing of it but the instants and frequencies of its tones.

const (
	burstEvery  = 1.0 // seconds
	burstFirst  = 0.3
	burstLength = 0.1
	pathDelay   = 0.0005 // of every packet
)

var (
	sourceAddr = netip.MustParseAddr("192.0.2.1")
	startTime  = int64(1_700_000_000_000_000_000)
)

// A voice is one side of a synthetic call. Times are seconds of true time since the recording's start.
type voice struct {
	from, to  float64
	frequency float64
	ptime     func(n int) int // samples in packet n; nil: 160
	skew      float64         // of the clock, as a fraction
	law       codec.Encoding
	ssrc      uint32
	sequence  uint16
	timestamp uint32
	paceStart bool // packets are sent when their first sample is due
}

// A sent packet.
type sent struct {
	at        float64 // arrival
	spoken    float64 // true time of the first sample
	length    float64 // seconds
	sequence  uint16
	timestamp uint32
	ssrc      uint32
	pt        uint8
	payload   []byte
}

func (s sent) bytes() []byte {
	b := []byte{0x80, s.pt}
	b = binary.BigEndian.AppendUint16(b, s.sequence)
	b = binary.BigEndian.AppendUint32(b, s.timestamp)
	b = binary.BigEndian.AppendUint32(b, s.ssrc)
	return append(b, s.payload...)
}

// signal is what is spoken at an instant: bursts of a tone, and a low noise between so that nothing else is silent.
func signal(t, frequency float64, i int) int16 {
	if phase := math.Mod(t-burstFirst, burstEvery); phase >= 0 && phase < burstLength {
		return int16(8000 * math.Sin(2*math.Pi*frequency*t))
	}
	return int16(40 + i*7%32)
}

func (l voice) packets() []sent {
	law := l.law
	if law == 0 {
		law = codec.PCMU
	}
	ssrc := l.ssrc
	if ssrc == 0 {
		ssrc = uint32(l.frequency)
	}
	rate := float64(Rate) * (1 + l.skew)
	var out []sent
	for i, n := 0, 0; ; n++ {
		length := 160
		if l.ptime != nil {
			length = l.ptime(n)
		}
		spoken := l.from + float64(i)/rate
		end := spoken + float64(length)/rate
		if end > l.to+1e-9 {
			return out
		}
		payload := make([]byte, length)
		quiet := math.Mod(spoken-burstFirst, burstEvery) > burstLength && math.Mod(end-burstFirst, burstEvery) > burstLength
		if quiet && length < 500 {
			copy(payload, murmur[law][i%32:])
		} else {
			for k := range payload {
				payload[k] = encode(law, signal(l.from+float64(i+k)/rate, l.frequency, i+k))
			}
		}
		at := end
		if l.paceStart {
			at = spoken
		}
		out = append(out, sent{
			at: at + pathDelay, spoken: spoken, length: end - spoken, payload: payload,
			sequence: l.sequence + uint16(n), timestamp: l.timestamp + uint32(i), ssrc: ssrc, pt: payloadType(law),
		})
		i += length
	}
}

func payloadType(law codec.Encoding) uint8 {
	if law == codec.PCMA {
		return 8
	}
	return 0
}

// murmur is the noise between bursts, encoded: it repeats every 32 samples.
var murmur = func() map[codec.Encoding][]byte {
	m := map[codec.Encoding][]byte{}
	for law := range encoders {
		for i := range 600 {
			m[law] = append(m[law], encode(law, signal(burstFirst+burstLength*2, 440, i)))
		}
	}
	return m
}()

// encode finds the code by search: slow, and surely the inverse of the decoder.
var encoders = func() map[codec.Encoding]*[65536]byte {
	m := map[codec.Encoding]*[65536]byte{codec.PCMU: {}, codec.PCMA: {}}
	for law, table := range m {
		values := make([]int16, 256)
		codes := make([]byte, 256)
		for i := range codes {
			codes[i] = byte(i)
		}
		codec.Decode(values, law, codes)
		slices.SortFunc(codes, func(a, b byte) int { return cmp.Compare(values[a], values[b]) })
		k := 0
		for v := -32768; v < 32768; v++ {
			for k < 255 && math.Abs(float64(values[codes[k+1]])-float64(v)) <= math.Abs(float64(values[codes[k]])-float64(v)) {
				k++
			}
			table[uint16(int16(v))] = codes[k]
		}
	}
	return m
}()

func encode(law codec.Encoding, v int16) byte { return encoders[law][uint16(v)] }

// keep is a filter of packets.
func keep(in []sent, f func(i int, s sent) bool) []sent {
	var out []sent
	for i, s := range in {
		if f(i, s) {
			out = append(out, s)
		}
	}
	return out
}

// each changes packets.
func each(in []sent, f func(i int, s *sent)) []sent {
	for i := range in {
		f(i, &in[i])
	}
	return in
}

func random() *rand.Rand { return rand.New(rand.NewPCG(7, 11)) }

// memory is a sink that keeps the stored form.
type memory struct {
	blocks [][]byte
	fail   func(n int) error
	calls  int
}

func (m *memory) Append(b *Block) error {
	m.calls++
	if m.fail != nil {
		if err := m.fail(m.calls); err != nil {
			return err
		}
	}
	m.blocks = append(m.blocks, b.Marshal(nil))
	return nil
}

func (m *memory) all(t *testing.T) iter.Seq2[Block, error] {
	t.Helper()
	return func(yield func(Block, error) bool) {
		for _, p := range m.blocks {
			b, err := UnmarshalBlock(p)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// A call is a whole recording to be simulated.
type call struct {
	streams  []Stream
	packets  [][]sent
	end      float64
	events   []event
	drains   func(n int) float64 // the instants of draining; nil: every 400 ms
	sinkFail func(n int) error
	most     int // limit of the sample rate; 0: none
}

type event struct {
	at float64
	do func(t *timeline, at int64)
}

func twoStreams() []Stream {
	return []Stream{stream1(0), stream1(1)}
}

func stream1(channel int) Stream {
	return Stream{Channel: channel, Addrs: []netip.Addr{sourceAddr}, Active: true, Formats: []Format{known(0, "PCMU", 8000), known(8, "PCMA", 8000)}}
}

// known is a format that every build decodes.
func known(payloadType uint8, name string, clockRate int) Format {
	channels := 1
	if name == "opus" {
		channels = 2 // always (RFC 7587 section 7)
	}
	c, ok := codec.Lookup(codec.Format{Name: name, ClockRate: clockRate, Channels: channels})
	if !ok {
		panic(name)
	}
	return Format{PayloadType: payloadType, Codec: c}
}

func clockTime(at float64) int64 { return startTime + int64(at*1e9) }

// A result is a finished recording.
type result struct {
	plan    Plan
	samples [][]int16
	summary Summary
	sink    *memory
}

// run simulates a call as the receiver does: it drains every stream in turn, and cuts.
func (c call) run(t *testing.T) result {
	t.Helper()
	sink := &memory{fail: c.sinkFail}
	line := newTimeline(startTime, 2, c.streams, sink)
	if c.most != 0 {
		line.most = c.most / Rate
	}
	next := make([]int, len(c.packets))
	for i := range c.packets {
		slices.SortStableFunc(c.packets[i], func(a, b sent) int { return cmp.Compare(a.at, b.at) })
	}
	drain := func(to float64) {
		for len(c.events) > 0 && c.events[0].at <= to {
			c.events[0].do(line, clockTime(c.events[0].at))
			c.events = c.events[1:]
		}
		for i, list := range c.packets {
			for ; next[i] < len(list) && list[next[i]].at <= to; next[i]++ {
				line.packet(i, clockTime(list[next[i]].at), sourceAddr, list[next[i]].bytes())
			}
		}
		line.cut(clockTime(to))
	}
	for n := 1; ; n++ {
		at := float64(n) * 0.4
		if c.drains != nil {
			at = c.drains(n)
		}
		if at >= c.end {
			break
		}
		drain(at)
	}
	drain(c.end)
	r := result{sink: sink, summary: line.close(clockTime(c.end))}
	r.plan, r.samples = sink.finish(t)
	return r
}

// finish assembles what the sink took.
func (m *memory) finish(t *testing.T) (Plan, [][]int16) {
	t.Helper()
	var a Assembly
	for b := range m.all(t) {
		a.Add(b)
	}
	plan := a.Finish()
	var out bytes.Buffer
	if err := plan.Write(&out, m.all(t)); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != plan.DataBytes() {
		t.Fatalf("wrote %d bytes, the plan has %d", out.Len(), plan.DataBytes())
	}
	pcm := make([]int16, plan.Samples*int64(plan.Channels))
	codec.Decode(pcm, plan.Encoding, out.Bytes())
	samples := make([][]int16, plan.Channels)
	for c := range samples {
		samples[c] = make([]int16, plan.Samples)
		for i := range samples[c] {
			samples[c][i] = pcm[i*plan.Channels+c]
		}
	}
	return plan, samples
}

// power is the Goertzel power of a frequency in a window, 1 for a tone of amplitude 8000.
func power(x []int16, frequency, rate float64) float64 {
	k := 2 * math.Cos(2*math.Pi*frequency/rate)
	var a, b float64
	for _, v := range x {
		a, b = float64(v)+k*a-b, a
	}
	full := 8000 * float64(len(x)) / 2
	return (a*a + b*b - k*a*b) / (full * full)
}

// onset finds where a tone begins in x from a sample on, within limit samples; -1 when it does not.
func onset(x []int16, frequency float64, rate, from, limit int) int {
	window := rate / 100
	for i := max(from, 0); i < from+limit && i+window <= len(x); i += window / 20 {
		if power(x[i:i+window], frequency, float64(rate)) > 0.25 {
			return i + window/2
		}
	}
	return -1
}
