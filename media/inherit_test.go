package media

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// A handover is a call whose streams go to another timeline in the middle of it.
type handover struct {
	call
	cut  float64
	told float64 // how much later the first timeline is told; it was drained until then
}

// run gives what each of the two timelines made of it.
func (h handover) run(t *testing.T) (first, second result) {
	t.Helper()
	sinks := [2]*memory{{}, {}}
	channels := len(h.streams)
	lines := [2]*timeline{newTimeline(startTime, channels, h.streams, sinks[0])}
	next := make([]int, len(h.packets))
	for i := range h.packets {
		slices.SortStableFunc(h.packets[i], func(a, b sent) int { return cmp.Compare(a.at, b.at) })
	}
	drain := func(line *timeline, to float64) {
		for i, list := range h.packets {
			for ; next[i] < len(list) && list[next[i]].at <= to; next[i]++ {
				line.packet(i, clockTime(list[next[i]].at), sourceAddr, list[next[i]].bytes())
			}
		}
		line.cut(clockTime(to))
	}
	at := 0.0
	for ; at+0.4 < h.cut; at += 0.4 {
		drain(lines[0], at)
	}
	drain(lines[0], h.cut+h.told)
	cut := clockTime(h.cut)
	lines[1] = newTimeline(cut, channels, h.streams, sinks[1])
	gone := slices.Clone(h.streams)
	for i := range h.streams {
		lines[0].conclude(i)
		lines[1].inherit(i, lines[0], i, cut)
		lines[0].streams[i].ceded = true
		gone[i].Active = false
	}
	lines[0].update(cut, gone)
	for at = h.cut + h.told; at < h.end; at += 0.4 {
		drain(lines[1], at)
	}
	drain(lines[1], h.end)
	ends := [2]int64{cut, clockTime(h.end)}
	results := [2]result{}
	for i, line := range lines {
		results[i] = result{sink: sinks[i], summary: line.close(ends[i])}
		results[i].plan, results[i].samples = sinks[i].finish(t)
	}
	return results[0], results[1]
}

// check finds the bursts of the call, each in the recording in which it was spoken, within the tolerance, and counts the packets.
func (h handover) check(t *testing.T, first, second result, hidden ...span) {
	t.Helper()
	worst, found := 0.0, 0
	for c, frequency := range tones[:len(h.packets)] {
		for truth := burstFirst; truth+burstLength < h.end-0.05; truth += burstEvery {
			if (expectation{silent: hidden}).hidden(c, truth) {
				continue
			}
			r, start := first, 0.0
			switch {
			case truth+burstLength > h.cut-0.03 && truth < h.cut+0.03:
				continue // on both sides
			case truth > h.cut:
				r, start = second, h.cut
			}
			rate := float64(r.plan.Rate)
			offset := start + float64(r.plan.Offset)/rate
			at := onset(r.samples[c], frequency, r.plan.Rate, int((truth-offset-0.2)*rate), r.plan.Rate*2/5)
			if at < 0 {
				t.Errorf("channel %d: no burst at %.3f s", c, truth)
				continue
			}
			off := float64(at)/rate + offset - truth
			worst, found = max(worst, math.Abs(off)), found+1
			if math.Abs(off) > tolerance {
				t.Errorf("channel %d: the burst of %.3f s is at %+.1f ms", c, truth, off*1000)
			}
		}
		before, after := uint64(0), uint64(0)
		for _, s := range h.packets[c] {
			switch {
			case s.at < h.cut:
				before++
			case s.at <= h.end:
				after++
			}
		}
		a, b := first.summary.Streams[c], second.summary.Streams[c]
		if a.Packets != before || b.Packets != after || a.Placed != before || b.Placed != after {
			t.Errorf("channel %d: %d and %d packets came\n%+v\n%+v", c, before, after, a, b)
		}
		if a.Clipped+b.Clipped+a.Late+b.Late+a.Duplicate+b.Duplicate+a.Discarded+b.Discarded+a.Undecodable+b.Undecodable != 0 {
			t.Errorf("channel %d:\n%+v\n%+v", c, a, b)
		}
		if end := float64(first.summary.Samples) / Rate; end > h.cut+tolerance {
			t.Errorf("the first recording ends at %.3f s, the cut is at %.3f s", end, h.cut)
		}
	}
	if found < 6 {
		t.Errorf("only %d bursts measured", found)
	}
	t.Logf("%d bursts, the worst %.1f ms off", found, worst*1000)
}

var skews = [2]float64{5e-4, -5e-4}

func TestHandover(t *testing.T) {
	for name, make := range map[string]func() call{
		"plain": func() call { return plainCall(14) },
		"clocks that drift": func() call {
			c := plainCall(140)
			for i, skew := range skews {
				c.packets[i] = voice{to: 140, frequency: tones[i], skew: skew, sequence: 64000}.packets()
			}
			return c
		},
		"two laws": func() call {
			c := plainCall(14)
			c.packets[1] = voice{to: 14, frequency: 880, law: codec.PCMA}.packets()
			return c
		},
		"16 kHz":                            func() call { return wideCall(14, 16000, 16000) },
		"48 kHz and G.711":                  func() call { return wideCall(14, 48000, 0) },
		"8 kHz of linear":                   func() call { return wideCall(14, 8000, 0) },
		"packets of 10 ms":                  func() call { return ptimesCall(80) },
		"packets of 60 ms":                  func() call { return ptimesCall(480) },
		"packets overtake":                  func() call { return jittered(0.030) },
		"packets come late":                 func() call { return jittered(0.120) },
		"timestamps restart before the cut": func() call { return renumbered(7.005, 0) },
		"timestamps restart after it":       func() call { return renumbered(7.255, 0) },
		"another source before the cut":     func() call { return renumbered(7.005, 77) },
		"another source after it":           func() call { return renumbered(7.255, 77) },
	} {
		for _, told := range []float64{0, 0.020, 0.15, 0.3} {
			t.Run(fmt.Sprintf("%s, told %v s late", name, told), func(t *testing.T) {
				c := make()
				h := handover{call: c, cut: math.Floor(c.end/2) + 0.25, told: told}
				first, second := h.run(t)
				h.check(t, first, second)
				for i, want := range skews {
					if name != "clocks that drift" {
						break
					}
					for _, r := range []result{first, second} {
						if ppm := r.summary.Streams[i].DriftPPM; math.Abs(ppm-want*1e6) > 150 {
							t.Errorf("stream %d: drift of %.0f ppm, want %.0f", i, ppm, want*1e6)
						}
					}
				}
			})
		}
	}
}

func ptimesCall(samples int) call {
	c := plainCall(14)
	c.packets[0] = voice{to: 14, frequency: 440, ptime: func(int) int { return samples }}.packets()
	return c
}

// jittered is a call on a path whose delay varies.
func jittered(most float64) call {
	c := plainCall(14)
	r := random()
	for i := range c.packets {
		c.packets[i] = each(c.packets[i], func(_ int, s *sent) { s.at += most * r.Float64() * r.Float64() })
	}
	return c
}

// stalled is a call of which one side's packets wait in the network until an instant, and come all at once.
func stalled(from, to float64) call {
	c := plainCall(14)
	c.packets[0] = each(c.packets[0], func(i int, s *sent) {
		if s.at > from && s.at < to+float64(i%25)*0.002 {
			s.at = to + float64(i%25)*0.002
		}
	})
	return c
}

// A burst after a stall of the network, with the cut in the middle of it, is placed by its timestamps. What comes after the cut and
// was spoken long before it has no place.
func TestHandoverInABurst(t *testing.T) {
	h := handover{call: stalled(6.8, 7.249), cut: 7.25}
	first, second := h.run(t)
	a, b := first.summary.Streams[0], second.summary.Streams[0]
	if a.Placed+b.Placed+b.Clipped != 700 || a.Packets != a.Placed || b.Reanchors != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	offset := h.cut + float64(second.plan.Offset)/Rate
	for truth := 7 + burstFirst; truth < 14; truth++ {
		at := onset(second.samples[0], 440, Rate, int((truth-offset-0.2)*Rate), Rate*2/5)
		if off := float64(at)/Rate + offset - truth; math.Abs(off) > tolerance {
			t.Errorf("the burst of %.3f s is at %+.1f ms", truth, off*1000)
		}
	}
}

// renumbered is a call whose senders begin anew, near the cut.
func renumbered(at float64, ssrc uint32) call {
	c := plainCall(14)
	for i := range c.packets {
		c.packets[i] = each(c.packets[i], func(_ int, s *sent) {
			if s.spoken >= at {
				s.timestamp += 123456789
				if ssrc != 0 {
					s.ssrc, s.sequence = ssrc, s.sequence+12345
				}
			}
		})
	}
	return c
}

// An anchor that is not settled yet, or is old, is as good as a new one.
func TestHandoverOfAnchors(t *testing.T) {
	for _, told := range []float64{0, 0.1} {
		for _, cut := range []float64{0.05, 0.2, 0.41, 0.7} {
			t.Run(fmt.Sprintf("cut at %v s, told %v s late", cut, told), func(t *testing.T) {
				c := plainCall(14)
				c.packets[0][0].at += 0.015 // so that the anchor has to move
				h := handover{call: c, cut: cut, told: told}
				first, second := h.run(t)
				h.check(t, first, second)
			})
		}
	}
	t.Run("a long silence", func(t *testing.T) {
		c := plainCall(60)
		for i, skew := range skews {
			c.packets[i] = suppress(voice{to: 60, frequency: tones[i], skew: skew}.packets(), 10, 50)
		}
		h := handover{call: c, cut: 45}
		first, second := h.run(t)
		h.check(t, first, second, span{0, 9.9, 50.1}, span{1, 9.9, 50.1})
		for _, s := range second.summary.Streams {
			if s.Lost != 0 {
				t.Errorf("%+v: nothing was lost", s)
			}
		}
	})
}

// Losses are counted once, on the side on which they happened; a packet that was overtaken across the cut is no loss of either.
func TestHandoverOfLosses(t *testing.T) {
	c := plainCall(14)
	cut := c.end / 2
	lost := func(i int) bool { return i == 100 || i == 101 || i == 500 }
	c.packets[0] = keep(c.packets[0], func(i int, _ sent) bool { return !lost(i) })
	c.packets[1] = each(c.packets[1], func(_ int, s *sent) {
		if s.at < cut && s.at > cut-0.05 && s.at < cut-0.025 {
			s.at += 0.06
		}
	})
	c.packets[1] = keep(c.packets[1], func(i int, _ sent) bool { return i != 500 })
	h := handover{call: c, cut: cut}
	first, second := h.run(t)
	for i, want := range [][2]uint64{{2, 1}, {1, 1}} {
		a, b := first.summary.Streams[i], second.summary.Streams[i]
		if a.Lost != want[0] || b.Lost != want[1] {
			t.Errorf("stream %d: %d and %d lost, want %v", i, a.Lost, b.Lost, want)
		}
	}
	if s := second.summary.Streams[1]; s.Reordered != 1 || s.Late != 0 || s.Duplicate != 0 {
		t.Errorf("%+v", s)
	}
}

// Receiver reports go on counting where they were.
func TestHandoverOfReports(t *testing.T) {
	packets := keep(voice{to: 4, frequency: 440, sequence: 65500}.packets(), func(i int, _ sent) bool { return i%10 != 5 })
	one, two := newTimeline(startTime, 1, twoStreams()[:1], &memory{}), newTimeline(clockTime(0.5), 1, twoStreams()[:1], &memory{})
	whole := newTimeline(startTime, 1, twoStreams()[:1], &memory{})
	line := one
	for _, s := range packets {
		if line == one && s.at >= 0.5 {
			one.senderReport(0, clockTime(0.4), 440, 5<<32, 0)
			whole.senderReport(0, clockTime(0.4), 440, 5<<32, 0)
			a, _ := one.receiverReport(0, clockTime(0.5))
			if b, _ := whole.receiverReport(0, clockTime(0.5)); a != b {
				t.Fatalf("%+v, want %+v", a, b)
			}
			one.conclude(0)
			two.inherit(0, one, 0, clockTime(0.5))
			line = two
		}
		line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
		whole.packet(0, clockTime(s.at), sourceAddr, s.bytes())
		if line == two && two.streams[0].source.jitter != whole.streams[0].source.jitter {
			t.Fatalf("the jitter of %v s differs from that of one recording", s.at)
		}
	}
	got, ok := two.receiverReport(0, clockTime(4))
	want, _ := whole.receiverReport(0, clockTime(4))
	if !ok || got != want || got.TotalLost != 20 || got.LastSequence>>16 != 1 {
		t.Errorf("report %+v, want %+v", got, want)
	}
	if s := two.stats(nil)[0]; s.Lost != 18 || s.Reanchors != 0 || s.SSRCChanges != 0 {
		t.Errorf("%+v: want 18 lost since the cut", s)
	}
	if s := two.progress(nil)[0]; s.Packets != 158 {
		t.Errorf("%+v", s)
	}
}

// What was spoken while the first timeline was to keep nothing, and comes after the cut, is kept by neither.
func TestHandoverAfterHold(t *testing.T) {
	const cut = 5.0
	for name, resumed := range map[string]float64{"resumed before the cut": 4.99, "not resumed": cut} {
		t.Run(name, func(t *testing.T) {
			packets := each(voice{to: 12, frequency: 440}.packets(), func(_ int, s *sent) {
				if s.spoken > 4.9 && s.spoken < 4.97 {
					s.at = cut + 0.001 // late
				}
			})
			sink := &memory{}
			on, off := twoStreams()[:1], twoStreams()[:1]
			off[0].Active = false
			one := newTimeline(startTime, 1, on, &memory{})
			two := newTimeline(clockTime(cut), 1, on, sink)
			line := one
			for _, s := range packets {
				if s.at > 3 && len(one.epochs) == 1 {
					one.update(clockTime(3), off)
				}
				if s.at > cut && line == one {
					if resumed < cut {
						one.update(clockTime(resumed), on)
					}
					one.conclude(0)
					two.inherit(0, one, 0, clockTime(cut))
					line = two
				}
				line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
			}
			sum := two.close(clockTime(12))
			plan, samples := sink.finish(t)
			first := slices.IndexFunc(samples[0], func(v int16) bool { return v != 0 })
			if at := cut + float64(int64(first)+plan.Offset)/Rate; at < resumed-0.001 {
				t.Errorf("sound from %.4f s on", at)
			}
			offset := cut + float64(plan.Offset)/Rate
			for truth := 5 + burstFirst; truth < 11.5; truth++ {
				at := onset(samples[0], 440, Rate, int((truth-offset-0.2)*Rate), Rate*2/5)
				if off := float64(at)/Rate + offset - truth; math.Abs(off) > tolerance {
					t.Errorf("the burst of %.3f s is at %+.1f ms", truth, off*1000)
				}
			}
			if s := sum.Streams[0]; s.Clipped != 3 || s.Placed+s.Clipped != s.Packets || s.Reanchors != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A sender whose clock stood still in a hold is told by the first packet, whichever timeline it reaches.
func TestHandoverChecksTheAnchor(t *testing.T) {
	const cut, stood = 5.0, 0.12
	c := plainCall(12)
	for i := range c.packets {
		c.packets[i] = each(suppress(c.packets[i], 3, cut), func(_ int, s *sent) {
			if s.spoken > cut-0.001 {
				s.timestamp -= stood * Rate
			}
		})
	}
	sink := &memory{}
	one, two := newTimeline(startTime, 2, c.streams, &memory{}), newTimeline(clockTime(cut), 2, c.streams, sink)
	give := func(line *timeline, from, to float64) {
		for i, list := range c.packets {
			for _, s := range list {
				if s.at >= from && s.at < to {
					line.packet(i, clockTime(s.at), sourceAddr, s.bytes())
				}
			}
		}
		line.cut(clockTime(to))
	}
	give(one, 0, 3)
	one.pause(clockTime(3), true, "")
	for i := range c.streams {
		one.conclude(i)
		two.inherit(i, one, i, clockTime(cut))
	}
	for at := cut; at < 12; at += 0.4 {
		give(two, at, at+0.4)
	}
	sum := two.close(clockTime(12))
	plan, samples := sink.finish(t)
	offset := cut + float64(plan.Offset)/Rate
	for i, frequency := range tones {
		for truth := 5 + burstFirst; truth < 11.5; truth++ {
			at := onset(samples[i], frequency, Rate, int((truth-offset-0.2)*Rate), Rate*2/5)
			if off := float64(at)/Rate + offset - truth; math.Abs(off) > tolerance {
				t.Errorf("stream %d: the burst of %.3f s is at %+.1f ms", i, truth, off*1000)
			}
		}
		if s := sum.Streams[i]; s.Reanchors != 1 {
			t.Errorf("%+v", s)
		}
	}
}
