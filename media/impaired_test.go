package media

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// impairments are calls of which the truth is known.
var impairments = []struct {
	name string
	make func() (call, expectation)
}{
	{"late start of one side by 3.2 s", func() (call, expectation) {
		c := plainCall(14)
		c.packets[1] = voice{from: 3.2, to: 14, frequency: 880}.packets()
		return c, expectation{length: 14, gaps: []wantGap{{1, 0, 3.2, CauseNotStarted}}, silent: []span{{1, 0, 3.2}}}
	}},
	{"both sides start late, by 2.2 and 3.2 s", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = voice{from: 2.2, to: 14, frequency: 440}.packets()
		c.packets[1] = voice{from: 3.2, to: 14, frequency: 880}.packets()
		return c, expectation{length: 14, silent: []span{{0, 0, 2.2}, {1, 0, 3.2}},
			gaps: []wantGap{{0, 0, 2.2, CauseNotStarted}, {1, 0, 3.2, CauseNotStarted}}}
	}},
	{"gap of 600 ms", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = keep(c.packets[0], func(_ int, s sent) bool { return s.spoken < 4.999 || s.spoken > 5.599 })
		return c, expectation{length: 14, gaps: []wantGap{{0, 5, 5.6, CauseLost}}, silent: []span{{0, 5, 5.6}}}
	}},
	{"loss of 1 %", loss(0.01)},
	{"loss of 5 %", loss(0.05)},
	{"loss of 20 %", loss(0.20)},
	{"loss in bursts", func() (call, expectation) {
		c := plainCall(20)
		original := c.packets[1]
		left, r := 0, random()
		c.packets[1] = keep(original, func(i int, _ sent) bool {
			if left--; left < 0 && r.Float64() < 0.02 {
				left = 3 + r.IntN(28)
			}
			return left < 0 || i < 20
		})
		return c, expectation{any: true, length: 20, silent: c.lost(1, original), least: 8}
	}},
	{"reordering to 10 packets, delayed", func() (call, expectation) {
		c := plainCall(14)
		r := random()
		each(c.packets[0], func(_ int, s *sent) {
			if r.Float64() < 0.1 {
				s.at += 0.02 * float64(1+r.IntN(10))
			}
		})
		c.end += 0.2
		return c, expectation{length: 14}
	}},
	{"reordering to 10 packets, shuffled", func() (call, expectation) {
		c := plainCall(14)
		shuffle(c.packets[0], 10)
		return c, expectation{length: 14}
	}},
	{"swapped neighbours", func() (call, expectation) {
		c := plainCall(14)
		shuffle(c.packets[0], 2)
		shuffle(c.packets[1], 3)
		return c, expectation{length: 14}
	}},
	{"duplicates", func() (call, expectation) {
		c := plainCall(14)
		r := random()
		for i := range c.packets {
			for _, s := range c.packets[i] {
				if r.Float64() < 0.2 {
					s.at += 0.3 * r.Float64()
					c.packets[i] = append(c.packets[i], s)
				}
			}
		}
		return c, expectation{length: 14}
	}},
	{"DTX with contiguous sequence numbers", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = suppress(c.packets[0], 2.6, 3.2)
		c.packets[0] = suppress(c.packets[0], 5.6, 9.2)
		c.packets[1] = suppress(c.packets[1], 7.6, 8.2)
		return c, expectation{length: 14, silent: []span{{0, 5.6, 9.2}}, gaps: []wantGap{
			{0, 2.6, 3.2, CauseSuppressed}, {0, 5.6, 9.2, CauseSuppressed}, {1, 7.6, 8.2, CauseSuppressed}}}
	}},
	{"comfort noise in a silence", func() (call, expectation) {
		c := plainCall(14)
		// The packets of the silence become comfort noise, every fifth of them, and take sequence numbers.
		var out []sent
		for i, s := range c.packets[0] {
			if s.spoken > 5.59 && s.spoken < 9.19 {
				if i%5 != 0 {
					continue
				}
				s.pt, s.payload = 13, []byte{60}
			}
			s.sequence = uint16(len(out))
			out = append(out, s)
		}
		c.packets[0] = out
		return c, expectation{length: 14, silent: []span{{0, 5.6, 9.2}}, gaps: []wantGap{{0, 5.6, 9.2, CauseSuppressed}}}
	}},
	{"ptime 10", ptimes(80, 80)},
	{"ptime 20", ptimes(160, 160)},
	{"ptime 30", ptimes(240, 240)},
	{"ptime 60", ptimes(480, 480)},
	{"ptime 20 and 60", ptimes(160, 480)},
	{"ptime 10 and 30", ptimes(80, 240)},
	{"odd payload lengths", ptimes(161, 79)},
	{"ptime that changes", func() (call, expectation) {
		c := plainCall(20)
		f := func(n int) int { return []int{160, 480, 80, 240}[n/100%4] }
		c.packets[0] = voice{to: 20, frequency: 440, ptime: f}.packets()
		return c, expectation{length: 20}
	}},
	{"ptime that changes, of a file player", func() (call, expectation) {
		c := plainCall(20)
		f := func(n int) int { return []int{160, 480, 80, 240}[n/100%4] }
		c.packets[0] = voice{to: 20, frequency: 440, ptime: f, paceStart: true}.packets()
		return c, expectation{length: 20}
	}},
	{"SSRC change", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = append(voice{to: 6.1, frequency: 440}.packets(),
			voice{from: 6.1, to: 14, frequency: 440, ssrc: 77, sequence: 40000, timestamp: 1 << 31}.packets()...)
		return c, expectation{length: 14}
	}},
	{"SSRC change after a second", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = append(voice{to: 6.6, frequency: 440}.packets(),
			voice{from: 8.1, to: 14, frequency: 440, ssrc: 77, sequence: 40000, timestamp: 1 << 31}.packets()...)
		return c, expectation{length: 14, silent: []span{{0, 6.6, 8.1}}, gaps: []wantGap{{0, 6.6, 8.1, CauseLost}}}
	}},
	{"an SSRC that interleaves", func() (call, expectation) {
		c := plainCall(14)
		stranger := voice{from: 4, to: 9, frequency: 1500, ssrc: 99}.packets()
		c.packets[0] = append(c.packets[0], each(stranger, func(_ int, s *sent) { s.at += 0.007 })...)
		return c, expectation{length: 14}
	}},
	{"restart of the sender", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = append(voice{to: 6.1, frequency: 440}.packets(),
			voice{from: 6.1, to: 14, frequency: 440, sequence: 40000, timestamp: 1 << 31}.packets()...)
		return c, expectation{length: 14}
	}},
	{"timestamp jump forward by 7 s", jump(56000)},
	{"timestamp jump forward by 300 ms", jump(2400)},
	{"timestamp jump back by 2 s", jump(-16000)},
	{"timestamp jump back by 300 ms", jump(-2400)},
	{"timestamp jump by half the range", jump(1 << 31)},
	{"wraps of timestamp and sequence number", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = voice{to: 14, frequency: 440, sequence: 65400, timestamp: 1<<32 - 30000}.packets()
		return c, expectation{length: 14}
	}},
	{"wraps in a silence", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = suppress(voice{to: 14, frequency: 440, sequence: 65400, timestamp: 1<<32 - 8000*6}.packets(), 5.6, 7.2)
		return c, expectation{length: 14, silent: []span{{0, 5.6, 7.2}}, gaps: []wantGap{{0, 5.6, 7.2, CauseSuppressed}}}
	}},
	{"network stall of 600 ms, then a burst", stall(5.1, 0.6)},
	{"network stall of 160 ms, then a burst", stall(5.15, 0.16)},
	{"network stall of 3 s, then a burst", stall(5.1, 3)},
	{"network stall at the start", stall(0, 0.4)},
	{"network stall, then a burst at twice the pace", func() (call, expectation) {
		c := plainCall(14)
		each(c.packets[1], func(_ int, s *sent) {
			if s.at > 5.1 && s.at < 6.5 {
				s.at = max(s.at, 5.8+(s.at-5.1)/2)
			}
		})
		return c, expectation{length: 14}
	}},
	{"jitter of 60 ms", jitter(0.06, false)},
	{"jitter of 60 ms, in order", jitter(0.06, true)},
	{"a burst of jitter", func() (call, expectation) {
		c := plainCall(40)
		r := random()
		each(c.packets[0], func(_ int, s *sent) {
			if s.spoken > 10 && s.spoken < 16 {
				s.at += 0.04 + 0.1*r.Float64()
			}
		})
		return c, expectation{length: 40}
	}},
	{"first packet late by 80 ms", func() (call, expectation) {
		c := plainCall(14)
		c.packets[0][0].at += 0.08
		return c, expectation{length: 14}
	}},
	{"first packet of a late start late by 80 ms", func() (call, expectation) {
		c := plainCall(14)
		c.packets[1] = voice{from: 3.2, to: 14, frequency: 880}.packets()
		c.packets[1][0].at += 0.08
		return c, expectation{length: 14, silent: []span{{1, 0, 3.2}}, gaps: []wantGap{{1, 0, 3.2, CauseNotStarted}}}
	}},
	{"mixed laws", func() (call, expectation) {
		c := plainCall(14)
		c.packets[1] = voice{to: 14, frequency: 880, law: codec.PCMA}.packets()
		return c, expectation{length: 14}
	}},
	{"another law in mid-call", func() (call, expectation) {
		c := plainCall(14)
		c.packets[1] = append(keep(c.packets[1], func(i int, _ sent) bool { return i < 300 }),
			voice{from: 6, to: 14, frequency: 880, law: codec.PCMA, sequence: 800, timestamp: 9000 + 48000}.packets()...)
		c.packets[0] = keep(c.packets[0], func(i int, _ sent) bool { return i < 150 || i >= 180 })
		return c, expectation{length: 14, gaps: []wantGap{{0, 3, 3.6, CauseLost}}, silent: []span{{0, 3, 3.6}}}
	}},
	{"receiver stalled for 500 ms", func() (call, expectation) {
		c := plainCall(14)
		c.drains = func(n int) float64 {
			at := float64(n) * 0.2
			if at > 5.1 && at < 5.75 {
				return 5.7
			}
			return at
		}
		return c, expectation{length: 14}
	}},
	{"receiver stalled for 3 s", func() (call, expectation) {
		c := plainCall(14)
		c.drains = func(n int) float64 {
			at := float64(n) * 0.2
			if at > 5.1 && at < 8.1 {
				return 8.1
			}
			return at
		}
		return c, expectation{length: 14}
	}},
}

func loss(share float64) func() (call, expectation) {
	return func() (call, expectation) {
		c := plainCall(30)
		var silent []span
		r := random()
		for i := range c.packets {
			original := c.packets[i]
			c.packets[i] = keep(original, func(n int, _ sent) bool { return n == 0 || n == len(original)-1 || r.Float64() >= share })
			silent = append(silent, c.lost(i, original)...)
		}
		return c, expectation{any: true, length: 30, silent: silent, least: 8}
	}
}

// shuffle lets the packets of every window come in any order at the window's instants.
func shuffle(packets []sent, window int) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := 0; i+window <= len(packets); i += window {
		part := packets[i : i+window]
		at := make([]float64, window)
		for k := range part {
			at[k] = part[k].at
		}
		r.Shuffle(window, func(a, b int) { part[a], part[b] = part[b], part[a] })
		for k := range part {
			part[k].at = at[k]
		}
	}
}

// suppress takes out what is spoken from an instant to another, and closes the sequence numbers up.
func suppress(packets []sent, from, to float64) []sent {
	out := keep(packets, func(_ int, s sent) bool { return s.spoken < from-1e-6 || s.spoken > to-1e-6 })
	gone := uint16(len(packets) - len(out))
	return each(out, func(_ int, s *sent) {
		if s.spoken > from {
			s.sequence -= gone
		}
	})
}

func ptimes(a, b int) func() (call, expectation) {
	return func() (call, expectation) {
		c := plainCall(14)
		c.packets[0] = voice{to: 14, frequency: 440, ptime: func(int) int { return a }}.packets()
		c.packets[1] = voice{to: 14, frequency: 880, ptime: func(int) int { return b }}.packets()
		return c, expectation{length: 14, any: a == 161}
	}
}

func jump(by int64) func() (call, expectation) {
	return func() (call, expectation) {
		c := plainCall(14)
		each(c.packets[0], func(i int, s *sent) {
			if i >= 300 {
				s.timestamp += uint32(by)
			}
		})
		return c, expectation{length: 14}
	}
}

func stall(from, length float64) func() (call, expectation) {
	return func() (call, expectation) {
		c := plainCall(14)
		n := 0
		each(c.packets[0], func(_ int, s *sent) {
			if s.at > from && s.at < from+length {
				s.at = from + length + float64(n)*0.0003
				n++
			}
		})
		return c, expectation{length: 14}
	}
}

func jitter(most float64, ordered bool) func() (call, expectation) {
	return func() (call, expectation) {
		c := plainCall(30)
		r := random()
		for i := range c.packets {
			last := 0.0
			each(c.packets[i], func(_ int, s *sent) {
				s.at += most * r.Float64()
				if ordered {
					s.at = max(s.at, last)
					last = s.at
				}
			})
		}
		c.end += most
		return c, expectation{length: 30}
	}
}

func TestImpairedCalls(t *testing.T) {
	for _, impaired := range impairments {
		t.Run(impaired.name, func(t *testing.T) {
			c, want := impaired.make()
			r := c.run(t)
			r.check(t, tones, math.Floor(c.end), want)
			if t.Failed() {
				for _, s := range r.summary.Streams {
					t.Logf("%+v", s)
				}
			}
		})
	}
}

// Many calls with loss, jitter and stalls at once: no burst whose beginning arrived is elsewhere than it was.
func TestManyImpairedCalls(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 5))
		c := plainCall(12)
		want := expectation{any: true, least: 5}
		for i := range c.packets {
			original := c.packets[i]
			c.packets[i] = keep(original, func(n int, _ sent) bool { return n == 0 || r.Float64() > 0.05 })
			want.silent = append(want.silent, c.lost(i, original)...)
			free := 0.0
			each(c.packets[i], func(n int, s *sent) {
				s.at += 0.02 * r.Float64()
				if n > 50 && r.Float64() < 0.003 {
					free = s.at + 0.8*r.Float64()
				}
				s.at = max(s.at, free)
				free = max(free, s.at+0.0001)
			})
		}
		c.end += 1
		t.Run(fmt.Sprint(seed), func(t *testing.T) { c.run(t).check(t, tones, 12, want) })
	}
}
