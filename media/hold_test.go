package media

import (
	"fmt"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// setActive is an update that changes the direction of one stream.
func setActive(stream int, active bool) func(*timeline, int64) {
	return func(t *timeline, at int64) {
		streams := twoStreams()
		streams[stream].Active = active
		t.update(at, streams)
	}
}

// held is a call whose second side is on hold from 5 to 8 s, by an update. What it sends then is harm.
func held(harm func([]sent) []sent) call {
	c := plainCall(14)
	c.packets[1] = harm(c.packets[1])
	c.events = []event{{5, setActive(1, false)}, {8, setActive(1, true)}}
	return c
}

func during(s sent) bool { return s.spoken > 4.999 && s.spoken < 7.999 }

func TestHold(t *testing.T) {
	for name, harm := range map[string]func([]sent) []sent{
		"nothing is sent, timestamps run": func(p []sent) []sent {
			return suppress(p, 5, 8)
		},
		"sequence numbers run too": func(p []sent) []sent {
			return keep(p, func(_ int, s sent) bool { return !during(s) })
		},
		"the stream goes on": func(p []sent) []sent { return p },
		"timestamps stand still": func(p []sent) []sent {
			return each(suppress(p, 5, 8), func(_ int, s *sent) {
				if s.spoken > 7 {
					s.timestamp -= 3 * Rate
				}
			})
		},
		"timestamps begin anew": func(p []sent) []sent {
			return each(suppress(p, 5, 8), func(_ int, s *sent) {
				if s.spoken > 7 {
					s.timestamp += 123456789
				}
			})
		},
		"another SSRC after it": func(p []sent) []sent {
			return each(suppress(p, 5, 8), func(_ int, s *sent) {
				if s.spoken > 7 {
					s.timestamp, s.sequence, s.ssrc = s.timestamp+123456789, s.sequence+9999, 5
				}
			})
		},
		"the last packets come late": func(p []sent) []sent {
			return each(p, func(_ int, s *sent) {
				if s.spoken > 4.9 && s.spoken < 5 {
					s.at += 0.3
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := held(harm).run(t)
			// A packet that straddles the instant of the change, or comes after it, goes with the hold.
			from, to := 5.0, 8.0
			want := expectation{length: 14, silent: []span{{1, 4.9, 8}}, any: true}
			r.check(t, tones, 14, want)
			g := r.plan.Gaps
			if len(g) != 1 || g[0].Channel != 1 || g[0].Cause != CauseInactive {
				t.Fatalf("gaps: %+v", g)
			}
			start, end := float64(g[0].Start+r.plan.Offset)/Rate, float64(g[0].Start+g[0].Samples+r.plan.Offset)/Rate
			if start < from-0.13 || start > from+0.001 || end < to-0.001 || end > to+0.021 {
				t.Errorf("the gap is from %.4f to %.4f s", start, end)
			}
		})
	}
}

func TestAClockThatStandsStillInSilence(t *testing.T) {
	for _, length := range []float64{0.4, 3, 7} {
		for _, ptime := range []int{80, 160, 480} {
			t.Run(fmt.Sprintf("%.1f s, ptime %d ms", length, ptime/8), func(t *testing.T) {
				c := plainCall(20)
				c.packets[0] = voice{to: 20, frequency: 440, ptime: func(int) int { return ptime }}.packets()
				from, to := 5.52, 5.52+length+0.02
				from -= 0.06 * (from/0.06 - float64(int(from/0.06)))
				to -= 0.06 * (to/0.06 - float64(int(to/0.06)))
				gone := uint32(0)
				for _, s := range c.packets[0] {
					if s.spoken > from-1e-6 && s.spoken < to-1e-6 {
						gone += uint32(len(s.payload))
					}
				}
				c.packets[0] = each(suppress(c.packets[0], from, to), func(_ int, s *sent) {
					if s.spoken > from {
						s.timestamp -= gone
					}
				})
				c.run(t).check(t, tones, 20, expectation{length: 20, silent: []span{{0, from, to}},
					gaps: []wantGap{{0, from, to, CauseSuppressed}}})
			})
		}
	}
}

func TestNothingIsKeptWhilePaused(t *testing.T) {
	c := plainCall(14)
	pause := func(on bool) func(*timeline, int64) {
		return func(t *timeline, at int64) { t.pause(at, on, "card_number") }
	}
	c.events = []event{{5, pause(true)}, {8, pause(false)}}
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14, silent: []span{{0, 5, 8}, {1, 5, 8}},
		gaps: []wantGap{{0, 4.98, 8, "card_number"}, {1, 4.98, 8, "card_number"}}})
	if st := r.summary.Streams[0]; st.Discarded < 149 || st.Lost != 0 {
		t.Errorf("%+v", st)
	}
}

func TestWhatArrivedBeforeAPauseIsPlacedEvenIfGivenLater(t *testing.T) {
	sink := &memory{}
	line := newTimeline(startTime, 1, twoStreams()[:1], sink)
	packets := voice{to: 2, frequency: 440}.packets()
	line.pause(clockTime(1), true, "")
	for _, s := range packets {
		line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
	}
	line.close(clockTime(2))
	plan, samples := sink.finish(t)
	if len(plan.Gaps) != 1 || plan.Gaps[0].Cause != CausePaused {
		t.Fatalf("%+v", plan.Gaps)
	}
	if sound := float64(plan.Gaps[0].Start+plan.Offset) / Rate; sound < 0.97 || sound > 1.001 {
		t.Errorf("sound until %.4f s, the pause began at 1 s", sound)
	}
	if onset(samples[0], 440, Rate, 0, 8000) < 0 {
		t.Error("nothing is heard before the pause")
	}
}

// A burst that was spoken in a pause, and came after it, is not kept either.
func TestWhatWasSpokenInAPauseIsNotKept(t *testing.T) {
	c := plainCall(14)
	each(c.packets[0], func(_ int, s *sent) {
		if s.at > 6 && s.at < 8.1 {
			s.at = 8.1 + (s.at-6)/1000
		}
	})
	c.events = []event{
		{5, func(t *timeline, at int64) { t.pause(at, true, CausePaused) }},
		{8, func(t *timeline, at int64) { t.pause(at, false, CausePaused) }},
	}
	c.run(t).check(t, tones, 14, expectation{length: 14, any: true, silent: []span{{0, 5, 8}, {1, 5, 8}}})
}

func TestStreamAddedInMidCall(t *testing.T) {
	c := plainCall(14)
	c.packets = append(c.packets, voice{from: 6, to: 14, frequency: 1320}.packets())
	c.events = []event{{5.8, func(t *timeline, at int64) { t.update(at, append(twoStreams(), stream1(2))) }}}
	r := c.run(t)
	r.check(t, append(tones[:2:2], 1320), 14, expectation{length: 14, least: 8, silent: []span{{2, 0, 6}},
		gaps: []wantGap{{2, 0, 6, CauseNotStarted}}})
	if r.plan.Channels != 3 || r.summary.Channels != 3 {
		t.Errorf("%d channels", r.plan.Channels)
	}
}

func TestStreamRemovedInMidCall(t *testing.T) {
	c := plainCall(14)
	c.packets[1] = keep(c.packets[1], func(_ int, s sent) bool { return s.spoken < 7.99 })
	c.events = []event{{8.01, func(t *timeline, at int64) {
		streams := twoStreams()
		streams[1].Active, streams[1].Formats = false, nil
		t.update(at, streams)
	}}}
	c.run(t).check(t, tones, 14, expectation{length: 14, least: 8, silent: []span{{1, 8, 14}},
		gaps: []wantGap{{1, 8, 14, CauseInactive}}})
}

func TestOneMixedStream(t *testing.T) {
	c := call{streams: twoStreams()[:1], packets: [][]sent{voice{to: 14, frequency: 440, law: codec.PCMA}.packets()}, end: 14.01}
	sink := &memory{}
	line := newTimeline(startTime, 1, c.streams, sink)
	for i, s := range c.packets[0] {
		line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
		if i%10 == 9 {
			line.cut(clockTime(s.at))
		}
	}
	r := result{summary: line.close(clockTime(c.end)), sink: sink}
	r.plan, r.samples = sink.finish(t)
	r.check(t, tones[:1], 14, expectation{length: 14})
	if r.plan.Encoding != codec.PCMA || r.plan.Channels != 1 {
		t.Errorf("%+v", r.plan)
	}
}

func TestThreeStreams(t *testing.T) {
	c := plainCall(14)
	c.streams = append(c.streams, stream1(2))
	c.packets = append(c.packets, voice{to: 14, frequency: 1320}.packets())
	c.run(t).check(t, append(tones[:2:2], 1320), 14, expectation{length: 14})
}

func TestNoMediaOnOneSide(t *testing.T) {
	c := plainCall(14)
	c.packets[1] = nil
	r := c.run(t)
	r.check(t, tones[:1], 14, expectation{length: 14, gaps: []wantGap{{1, 0, 14, CauseNoMedia}}})
	if r.plan.Encoding != codec.PCMU {
		t.Errorf("%v", r.plan.Encoding)
	}
}

func TestNoMediaAtAll(t *testing.T) {
	c := plainCall(14)
	c.packets = nil
	r := c.run(t)
	if r.plan.Offset != 0 || r.plan.Samples != r.summary.Samples || len(r.plan.Gaps) != 2 || r.plan.Gaps[0].Cause != CauseNoMedia {
		t.Errorf("%+v", r.plan)
	}
}

// After an hour, at the most that clocks of telephones are apart.
func TestAnHourOfSkew(t *testing.T) {
	const end = 3600
	for _, c := range []struct {
		name   string
		a, b   float64
		jitter float64
	}{
		{"+500 ppm against 0", 500e-6, 0, 0},
		{"-500 ppm against 0", -500e-6, 0, 0},
		{"+500 against -500 ppm, with jitter", 500e-6, -500e-6, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := plainCall(1)
			call.end = end + 0.1
			call.packets = [][]sent{
				voice{to: end, frequency: 440, skew: c.a}.packets(),
				voice{to: end, frequency: 880, skew: c.b}.packets(),
			}
			r := random()
			for i := range call.packets {
				each(call.packets[i], func(_ int, s *sent) { s.at += c.jitter * r.Float64() })
			}
			got := call.run(t)
			got.check(t, tones, end, expectation{length: end, least: 3590})
			for i, skew := range []float64{c.a, c.b} {
				st := got.summary.Streams[i]
				if off := st.DriftPPM - skew*1e6; off > 10 || off < -10 {
					t.Errorf("channel %d: drift of %.0f ppm is said to be %.1f", i, skew*1e6, st.DriftPPM)
				}
				t.Logf("channel %d: %.1f ppm, inserted %d, removed %d", i, st.DriftPPM, st.Inserted, st.Removed)
			}
		})
	}
}

// A pause that is told 300 ms after it began takes back what came since, and nothing else.
func TestAPauseThatIsToldLate(t *testing.T) {
	sink := &memory{}
	line := newTimeline(startTime, 1, twoStreams()[:1], sink)
	packets := voice{to: 1.3, frequency: 440}.packets()
	for _, s := range packets {
		line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
	}
	line.cut(clockTime(1.3))
	line.pause(clockTime(1), true, "")
	sum := line.close(clockTime(2))
	plan, samples := sink.finish(t)
	if len(plan.Gaps) != 1 || plan.Gaps[0].Cause != CausePaused {
		t.Fatalf("%+v", plan.Gaps)
	}
	if sound := float64(plan.Gaps[0].Start+plan.Offset) / Rate; sound < 0.979 || sound > 0.9811 {
		t.Errorf("sound until %.4f s, the last packet before the pause ends at 0.98 s", sound)
	}
	if st := sum.Streams[0]; st.Placed != 49 || st.Discarded != 16 {
		t.Errorf("%+v", st)
	}
	if onset(samples[0], 440, Rate, 0, 8000) < 0 {
		t.Error("nothing is heard before the pause")
	}
}

// Positions are remembered by their lower bits: after days, and before the recording's start, they are found all the same.
func TestNearPositions(t *testing.T) {
	for _, committed := range []int64{-preroll, 0, 1<<31 - 5, 1<<32 - 5, 1<<32 + 5, 7 * 24 * 3600 * Rate} {
		for _, away := range []int64{-LateLimit, -1, 0, 1, ringSamples} {
			if pos := committed + away; near(uint32(pos), committed) != pos {
				t.Errorf("position %d is taken for %d, when %d is committed", pos, near(uint32(pos), committed), committed)
			}
		}
	}
}
