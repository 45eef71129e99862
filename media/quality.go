package media

import (
	"math"
	"strings"
	"time"
)

// Constants of the E-model (ITU-T G.107) as RFC 3611 section 4.7.5 and G.107 annex B use them.
const (
	// defaultR is the rating of a connection whose every other parameter has its default (G.107 table 2).
	defaultR = 93.2
	// maxImpairment is the most that Ie,eff comes to.
	maxImpairment = 95
	// maxBurstR bounds the burst ratio: the permitted range of G.107 table 2 is 1 to 8.
	maxBurstR = 8
)

// A Robustness is how much a codec impairs speech by itself, and how well it stands losses.
type Robustness struct {
	Ie  float64 // equipment impairment without loss
	Bpl float64 // packet-loss robustness
}

// robustness holds the figures of ITU-T G.113 appendix I. Those of G.711 are without concealment, since nothing is concealed in a
// recording; those of the others are published with the concealment that belongs to the decoder.
var robustness = map[string]Robustness{
	"PCMU": {Ie: 0, Bpl: 4.3},
	"PCMA": {Ie: 0, Bpl: 4.3},
	"G729": {Ie: 11, Bpl: 19}, // G.729A with VAD
	"AMR":  {Ie: 5, Bpl: 10},  // at 12.2 kbit/s, as GSM EFR
}

// defaultRobustness is that of the codecs for which the narrow-band scale has no figures: wide-band ones, which without loss are
// no worse than G.711 on it, and linear samples.
var defaultRobustness = Robustness{Ie: 0, Bpl: 4.3}

// RobustnessOf gives a codec's figures by its SDP name, in any case.
func RobustnessOf(codec string) Robustness {
	if r, ok := robustness[strings.ToUpper(codec)]; ok {
		return r
	}
	return defaultRobustness
}

// RFactor rates a stream by the E-model: R = 93.2 - Id - Ie,eff, with Ie,eff = Ie + (95-Ie) * Ppl / (Ppl/BurstR + Bpl). loss is Ppl as
// a share, 0 to 1; burst is BurstR, 1 when losses are independent of each other. delay is one-way, from mouth to ear; a recorder
// does not know it, and gives 0. The rating is from 0 to 93.2.
func RFactor(c Robustness, loss, burst float64, delay time.Duration) float64 {
	ppl := 100 * min(1, max(0, loss))
	burst = min(maxBurstR, max(1, burst))
	effective := c.Ie + (maxImpairment-c.Ie)*ppl/(ppl/burst+c.Bpl)
	return max(0, defaultR-delayImpairment(delay)-effective)
}

// delayImpairment is Id, in the usual approximation of G.107 section 7.4 without echo.
func delayImpairment(delay time.Duration) float64 {
	const knee = 177.3 // ms
	ms := max(0, float64(delay)/float64(time.Millisecond))
	return 0.024*ms + 0.11*max(0, ms-knee)
}

// MOS turns a rating into a mean opinion score, 1 to 4.5 (G.107 annex B).
func MOS(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return max(1, 1+0.035*r+r*(r-60)*(100-r)*7e-6)
}

// A Quality says how well the packets of a stream came. It is about the network up to the recorder, and not about what was said.
type Quality struct {
	Loss       float64 `json:"loss_ratio"`     // share of the packets that were not there when they were needed, 0 to 1
	Burst      float64 `json:"burst_ratio"`    // 1: losses are independent of each other; above: they come together
	JitterMS   float64 `json:"jitter_ms"`      // RFC 3550 section 6.4.1, at the stream's end
	LongestGap int64   `json:"longest_gap_ms"` // of those whose cause is loss
	R          float64 `json:"r"`              // 0 to 93.2
	MOS        float64 `json:"mos"`            // 1 to 4.5
}

// Measure rates one channel of a recording: codec is the SDP name of what it came in where stats do not say it, stats those of its stream, or nil when a crash
// took them away; then loss is judged by the gaps. It is false for a channel on which nothing came: that is no matter of quality.
func Measure(plan *Plan, channel int, codec string, stats *StreamStats) (Quality, bool) {
	var lost, silent, longest, bursts int64
	for _, g := range plan.Gaps {
		if g.Channel != channel {
			continue
		}
		silent += g.Samples
		if g.Cause == CauseLost {
			lost, longest, bursts = lost+g.Samples, max(longest, g.Samples), bursts+1
		}
	}
	heard := plan.Samples - silent
	if heard <= 0 || plan.Rate <= 0 || stats != nil && stats.Placed == 0 {
		return Quality{}, false
	}
	q := Quality{Burst: 1, LongestGap: longest * 1000 / int64(plan.Rate)}
	packet := defaultPacket * float64(plan.Rate)
	if stats == nil {
		q.Loss = float64(lost) / float64(lost+heard)
	} else {
		q.Loss = stats.lossRatio()
		q.JitterMS = rounded(float64(stats.Jitter)/float64(time.Millisecond), 2)
		packet = float64(heard) / float64(stats.Placed)
	}
	if bursts > 0 && q.Loss < 1 {
		// G.107: mean length of the bursts, by that which losses would have that are independent of each other, 1/(1-Ppl).
		q.Burst = max(1, float64(lost)/float64(bursts)/packet*(1-q.Loss))
	}
	q.Loss, q.Burst = rounded(q.Loss, 6), rounded(q.Burst, 2)
	if stats != nil && stats.Codec != "" {
		codec = stats.Codec
	}
	r := RFactor(RobustnessOf(codec), q.Loss, q.Burst, 0)
	q.R, q.MOS = rounded(r, 1), rounded(MOS(r), 2)
	return q, true
}

// defaultPacket is the length of a packet when none is known, in seconds.
const defaultPacket = 0.020

// lossRatio is the share of a stream's packets that never came or came too late.
func (s *StreamStats) lossRatio() float64 {
	missing := float64(s.Lost + s.Late + s.Undecodable - min(s.Lost, s.Recovered))
	whole := float64(s.Packets-min(s.Packets, s.Duplicate)) + float64(s.Lost)
	if whole == 0 {
		return 0
	}
	return min(1, missing/whole)
}

func rounded(v float64, places int) float64 {
	p := math.Pow10(places)
	return math.Round(v*p) / p
}
