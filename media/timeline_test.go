package media

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// expectation is what a finished call must be. Times are seconds of true time.
type expectation struct {
	gaps   []wantGap // all of them, unless anyGaps
	any    bool      // gaps are not compared
	silent []span    // when bursts are not to be heard, by channel
	length float64   // 0: not compared
	least  int       // bursts that must be measured on each channel; 0: 10
}

type span struct {
	channel  int
	from, to float64
}

type wantGap struct {
	channel  int
	from, to float64
	cause    Cause
}

const tolerance = 0.020

// check measures the bursts of every channel, and compares gaps and length.
func (r result) check(t *testing.T, frequencies []float64, end float64, want expectation) {
	t.Helper()
	rate := float64(r.plan.Rate)
	offset := float64(r.plan.Offset) / rate
	at := make([]map[int]float64, len(frequencies))
	for c, f := range frequencies {
		at[c] = map[int]float64{}
		worst := 0.0
		for k := 0; ; k++ {
			truth := burstFirst + burstEvery*float64(k)
			if truth+burstLength > end {
				break
			}
			if c >= len(r.samples) || want.hidden(c, truth) {
				continue
			}
			from := int((truth - offset - 0.2) * rate)
			found := onset(r.samples[c], f, r.plan.Rate, from, r.plan.Rate*2/5)
			if found < 0 {
				t.Errorf("channel %d: no burst at %.3f s", c, truth)
				continue
			}
			error := float64(found)/rate + offset - truth
			worst = max(worst, math.Abs(error))
			at[c][k] = error
			if math.Abs(error) > tolerance {
				t.Errorf("channel %d: the burst of %.3f s is at %+.1f ms", c, truth, error*1000)
			}
		}
		least := want.least
		if least == 0 {
			least = 10
		}
		if len(at[c]) < least {
			t.Errorf("channel %d: only %d bursts measured", c, len(at[c]))
		}
		t.Logf("channel %d: %d bursts, the worst %.1f ms off", c, len(at[c]), worst*1000)
	}
	for k, first := range at[0] {
		for c := 1; c < len(at); c++ {
			if other, ok := at[c][k]; ok && math.Abs(first-other) > tolerance {
				t.Errorf("burst %d: channels 0 and %d are %.1f ms apart", k, c, (other-first)*1000)
			}
		}
	}
	r.checkGaps(t, want)
	if want.length > 0 && math.Abs(float64(r.plan.Samples)/rate-want.length) > tolerance {
		t.Errorf("the recording is %.3f s long, want %.3f", float64(r.plan.Samples)/rate, want.length)
	}
}

func (w expectation) hidden(channel int, truth float64) bool {
	for _, s := range w.silent {
		if s.channel == channel && truth+0.06 > s.from && truth-0.03 < s.to {
			return true
		}
	}
	return false
}

// checkGaps compares the list to the millisecond, and looks whether every gap is silence.
func (r result) checkGaps(t *testing.T, want expectation) {
	t.Helper()
	for _, g := range r.plan.Gaps {
		for i := g.Start; i < g.Start+g.Samples; i++ {
			if v := r.samples[g.Channel][i]; v != 0 && v != 8 {
				t.Fatalf("gap %+v is not silent: %d at %d", g, v, i)
			}
		}
	}
	if want.any {
		return
	}
	// What one side began or ended a packet before the other is no matter.
	rate := float64(r.plan.Rate)
	edge := func(g Gap) bool {
		return g.Samples < int64(r.plan.Rate)*60/1000 && (g.Start == 0 || g.Start+g.Samples == r.plan.Samples)
	}
	r.plan.Gaps = slices.DeleteFunc(r.plan.Gaps, edge)
	var got []string
	for _, g := range r.plan.Gaps {
		from := float64(g.Start+r.plan.Offset) / rate
		got = append(got, fmt.Sprintf("channel %d, %.4f to %.4f s, %s", g.Channel, from, from+float64(g.Samples)/rate, g.Cause))
	}
	ok := len(got) == len(want.gaps)
	for i := range want.gaps {
		if !ok {
			break
		}
		w, g := want.gaps[i], r.plan.Gaps[i]
		from := float64(g.Start+r.plan.Offset) / rate
		to := from + float64(g.Samples)/rate
		ok = w.channel == g.Channel && w.cause == g.Cause && math.Abs(from-w.from) < 0.001 && math.Abs(to-w.to) < 0.001
	}
	if !ok {
		t.Errorf("gaps:\n got %q\nwant %v", got, want.gaps)
	}
}

func (c call) lost(channel int, original []sent) []span {
	var out []span
	for _, s := range original {
		if !slices.ContainsFunc(c.packets[channel], func(p sent) bool { return p.sequence == s.sequence && p.spoken == s.spoken }) {
			out = append(out, span{channel, s.spoken, s.spoken + s.length})
		}
	}
	return out
}

var tones = []float64{440, 880}

// plainCall is two legs of a call, unharmed.
func plainCall(end float64) call {
	return call{
		streams: twoStreams(),
		packets: [][]sent{voice{to: end, frequency: 440}.packets(), voice{to: end, frequency: 880, sequence: 500, timestamp: 9000}.packets()},
		end:     end + 0.01,
	}
}

func TestPlainCall(t *testing.T) {
	c := plainCall(14)
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14})
	if st := r.summary.Streams[0]; st.Packets != 700 || st.Placed != 700 || st.Lost+st.Late+st.Duplicate+st.Reanchors != 0 {
		t.Errorf("%+v", st)
	}
}
