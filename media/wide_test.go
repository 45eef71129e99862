package media

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// wide is a voice that sends linear samples at a rate of its own.
func (l voice) wide(clock int, pt uint8) []sent {
	rate, length := float64(clock)*(1+l.skew), clock/50
	var out []sent
	for n := 0; ; n++ {
		spoken := l.from + float64(n*length)/rate
		end := spoken + float64(length)/rate
		if end > l.to+1e-9 {
			return out
		}
		payload := make([]byte, 2*length)
		for k := range length {
			binary.BigEndian.PutUint16(payload[2*k:], uint16(signal(l.from+float64(n*length+k)/rate, l.frequency, n*length+k)))
		}
		out = append(out, sent{
			at: end + pathDelay, spoken: spoken, length: end - spoken, payload: payload,
			sequence: l.sequence + uint16(n), timestamp: l.timestamp + uint32(n*length), ssrc: uint32(l.frequency), pt: pt,
		})
	}
}

// Payload types of linear formats in these tests.
var wideTypes = map[int]uint8{8000: 100, 16000: 101, 44100: 102, 48000: 103, 11025: 104, 32000: 105}

func wideStream(channel int, clocks ...int) Stream {
	s := stream1(channel)
	for _, clock := range clocks {
		s.Formats = append(s.Formats, known(wideTypes[clock], "L16", clock))
	}
	return s
}

// wideCall is a call of which the sides send at rates of their own; 0 is PCMU.
func wideCall(end float64, left, right int) call {
	c := plainCall(end)
	for i, clock := range []int{left, right} {
		if clock != 0 {
			c.streams[i] = wideStream(i, clock)
			c.packets[i] = voice{to: end, frequency: tones[i], sequence: 65500, timestamp: 1<<32 - 90000}.wide(clock, wideTypes[clock])
		}
	}
	return c
}

// Whatever the rates of the two sides, they meet at the higher one, at the same instants.
func TestRatesMeet(t *testing.T) {
	for _, c := range []struct {
		name        string
		left, right int
		rate        int
	}{
		{"L16 at 8000 beside PCMU", 8000, 0, 8000},
		{"L16 at 11025 beside PCMU", 11025, 0, 16000},
		{"L16 at 16000 beside PCMU", 16000, 0, 16000},
		{"L16 at 16000 on both sides", 16000, 16000, 16000},
		{"L16 at 44100 beside PCMU", 44100, 0, 48000},
		{"L16 at 32000 and 16000", 32000, 16000, 48000},
		{"L16 at 48000 beside PCMU", 0, 48000, 48000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := wideCall(14, c.left, c.right).run(t)
			r.check(t, tones, 14, expectation{length: 14})
			if r.plan.Rate != c.rate || r.summary.Rate != c.rate || r.plan.Encoding != codec.L16 {
				t.Errorf("%s at %d Hz, the summary says %d; want L16 at %d", r.plan.Encoding, r.plan.Rate, r.summary.Rate, c.rate)
			}
			if st := r.summary.Streams[0]; st.Placed != st.Packets || st.Lost+st.Late+st.Duplicate+st.Reanchors+st.Undecodable != 0 || !st.Loud {
				t.Errorf("%+v", st)
			}
			r.smooth(t, tones)
		})
	}
}

// smooth says that a tone is nothing but itself: no click where packets, blocks or rates meet.
func (r result) smooth(t *testing.T, frequencies []float64) {
	t.Helper()
	for c, f := range frequencies {
		offset := float64(r.plan.Offset) / float64(r.plan.Rate)
		worst := 0.0
		for k := 1; k < 13; k++ {
			from := int((burstFirst + burstEvery*float64(k) + 0.02 - offset) * float64(r.plan.Rate))
			x := r.samples[c][from : from+r.plan.Rate/20] // whole periods of both tones
			worst = max(worst, 1-power(x, f, float64(r.plan.Rate))/energy(x))
		}
		if worst > 0.001 {
			t.Errorf("channel %d: %.2f %% of a burst is not the tone", c, 100*worst)
		}
	}
}

// energy is that of a window, 1 for a tone of amplitude 8000.
func energy(x []int16) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum / (float64(len(x)) * 8000 * 8000 / 2)
}

// The impairments that concern decoders which want their packets in order: the same truth as for G.711.
func TestImpairedWideCalls(t *testing.T) {
	cases := map[string]func(c *call) expectation{
		"loss of 5 %": func(c *call) expectation {
			r, original := random(), c.packets[0]
			c.packets[0] = keep(original, func(n int, _ sent) bool { return n == 0 || n == len(original)-1 || r.Float64() >= 0.05 })
			return expectation{any: true, length: 14, silent: c.lost(0, original), least: 6}
		},
		"gap of 600 ms": func(c *call) expectation {
			c.packets[0] = keep(c.packets[0], func(_ int, s sent) bool { return s.spoken < 4.999 || s.spoken > 5.599 })
			return expectation{length: 14, gaps: []wantGap{{0, 5, 5.6, CauseLost}}, silent: []span{{0, 5, 5.6}}}
		},
		"DTX": func(c *call) expectation {
			c.packets[0] = suppress(c.packets[0], 5.6, 9.2)
			return expectation{length: 14, silent: []span{{0, 5.6, 9.2}}, gaps: []wantGap{{0, 5.6, 9.2, CauseSuppressed}}}
		},
		"reordering to 10 packets": func(c *call) expectation {
			shuffle(c.packets[0], 10)
			return expectation{length: 14}
		},
		"duplicates": func(c *call) expectation {
			for _, s := range slices.Clone(c.packets[0]) {
				s.at += 0.1
				c.packets[0] = append(c.packets[0], s)
			}
			return expectation{length: 14}
		},
		"first packet late by 80 ms": func(c *call) expectation {
			c.packets[0][0].at += 0.08
			return expectation{length: 14}
		},
		"network stall of 3 s, then a burst": func(c *call) expectation {
			n := 0
			each(c.packets[0], func(_ int, s *sent) {
				if s.at > 5.1 && s.at < 8.1 {
					s.at = 8.1 + float64(n)*0.0003
					n++
				}
			})
			return expectation{length: 14}
		},
		"receiver stalled for 3 s": func(c *call) expectation {
			c.drains = func(n int) float64 {
				if at := float64(n) * 0.2; at <= 5.1 || at >= 8.1 {
					return at
				}
				return 8.1
			}
			return expectation{length: 14}
		},
		"skew of 500 ppm": func(c *call) expectation {
			c.packets[0] = voice{to: 14, frequency: 440, skew: 500e-6}.wide(16000, wideTypes[16000])
			return expectation{length: 14}
		},
	}
	for name, impair := range cases {
		t.Run(name, func(t *testing.T) {
			c := wideCall(14, 16000, 0)
			want := impair(&c)
			r := c.run(t)
			r.check(t, tones, 14, want)
			if t.Failed() {
				t.Logf("%+v", r.summary.Streams[0])
			}
		})
	}
}

// A change of payload type in mid-call changes the decoder, and the rate of the recording if it must. What was there keeps its
// place and its tone.
func TestPayloadTypeChanges(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after int // 0: PCMU
		rate          int
	}{
		{"PCMU, then L16 at 16000", 0, 16000, 16000},
		{"L16 at 16000, then PCMU", 16000, 0, 16000},
		{"PCMU, then L16 at 48000", 0, 48000, 48000},
		{"L16 at 16000, then at 48000", 16000, 48000, 48000},
		{"L16 at 44100, then at 8000", 44100, 8000, 48000},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := plainCall(14)
			k.streams[0] = wideStream(0, 8000, 16000, 44100, 48000)
			part := func(from, to float64, clock int, sequence uint16) []sent {
				v := voice{from: from, to: to, frequency: 440, sequence: sequence, timestamp: 77}
				if clock == 0 {
					return v.packets()
				}
				return v.wide(clock, wideTypes[clock])
			}
			k.packets[0] = append(part(0, 6.1, c.before, 0), part(6.1, 14, c.after, 305)...)
			r := k.run(t)
			r.check(t, tones, 14, expectation{length: 14, any: true})
			r.smooth(t, tones)
			if r.plan.Rate != c.rate {
				t.Errorf("%d Hz, want %d", r.plan.Rate, c.rate)
			}
			if lost := r.missing(0); lost > 0.05 {
				t.Errorf("%.0f ms are missing", lost*1000)
			}
		})
	}
}

// missing is the length of a channel's gaps, in seconds.
func (r result) missing(channel int) float64 {
	n := int64(0)
	for _, g := range r.plan.Gaps {
		if g.Channel == channel {
			n += g.Samples
		}
	}
	return float64(n) / float64(r.plan.Rate)
}

// A timeline that may not be denser than its limit brings everything down to it.
func TestRateLimit(t *testing.T) {
	c := wideCall(14, 48000, 0)
	c.most = 16000
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14})
	r.smooth(t, tones)
	if r.plan.Rate != 16000 {
		t.Errorf("%d Hz", r.plan.Rate)
	}
}

// What was decoded and revoked in time is heard no more.
func TestRevokedBeforeDecoding(t *testing.T) {
	c := wideCall(14, 16000, 0)
	c.events = []event{
		{5.3, func(l *timeline, at int64) { l.pause(at-200e6, true, "") }},
		{7.1, func(l *timeline, at int64) { l.pause(at, false, "") }},
	}
	r := c.run(t)
	r.check(t, tones, 14, expectation{any: true, length: 14, silent: []span{{0, 5.1, 7.1}, {1, 5.1, 7.1}}})
	for ch, x := range r.samples {
		from, to := int((5.12-float64(r.plan.Offset)/16000)*16000), int(7.08*16000)
		if i := slices.IndexFunc(x[from:to], func(v int16) bool { return v != 0 }); i >= 0 {
			t.Errorf("channel %d has sound at %.3f s", ch, float64(from+i)/16000)
		}
	}
}

// redPayload carries a packet and, again, some before it (RFC 2198).
func redPayload(packets []sent, n, again int) []byte {
	var heads, data []byte
	for i := max(0, n-again); i < n; i++ {
		offset, length := packets[n].timestamp-packets[i].timestamp, len(packets[i].payload)
		heads = append(heads, 0x80|packets[i].pt, byte(offset>>6), byte(offset<<2)|byte(length>>8), byte(length))
		data = append(data, packets[i].payload...)
	}
	return slices.Concat(heads, []byte{packets[n].pt}, data, packets[n].payload)
}

// With every packet sent twice (RFC 2198), every second one may be lost.
func TestRedundancy(t *testing.T) {
	c := plainCall(14)
	c.streams[0].Formats = append(c.streams[0].Formats, Redundancy(96, 8000))
	plain := voice{to: 14, frequency: 440}.packets()
	var kept []sent
	for i, s := range plain {
		s.payload, s.pt = redPayload(plain, i, 1), 96
		if i == 0 || i%3 != 1 {
			kept = append(kept, s)
		}
	}
	c.packets[0] = kept
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14})
	if st := r.summary.Streams[0]; st.Recovered != 233 || st.Lost != 233 {
		t.Errorf("%d recovered of %d lost, want 233 of 233", st.Recovered, st.Lost)
	}
	if r.plan.Encoding != codec.PCMU {
		t.Errorf("%s, want PCMU: both sides are", r.plan.Encoding)
	}
}

func TestBadRedundancy(t *testing.T) {
	for _, p := range [][]byte{{}, {0x80}, {0x80, 0, 0}, {0x80, 0, 0, 5, 0}, {0x80, 0, 3, 255, 0, 1, 2}} {
		if blocks, ok := parseRed(nil, p); ok {
			t.Errorf("%x: %v", p, blocks)
		}
	}
}
