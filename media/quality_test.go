package media

import (
	"math"
	"testing"
	"time"

	"github.com/greffier/greffier/media/codec"
)

// TestMOS: ITU-T G.107 annex B, table B.1, which rounds 4.024 up, and the rating of its default connection.
func TestMOS(t *testing.T) {
	for _, c := range []struct{ r, mos float64 }{
		{90, 4.34}, {80, 4.03}, {70, 3.60}, {60, 3.10}, {50, 2.58}, {93.2, 4.41}, {0, 1}, {-5, 1}, {100, 4.5}, {120, 4.5},
	} {
		if got := MOS(c.r); math.Abs(got-c.mos) > 0.0061 {
			t.Errorf("MOS of R %v is %.3f, want %.2f", c.r, got, c.mos)
		}
	}
	last := 0.0
	for r := 0.0; r <= 100; r += 0.1 {
		got := MOS(r)
		if got < 1 || got > 4.5 || r > 7 && got < last {
			t.Fatalf("MOS of R %v is %v, after %v", r, got, last)
		}
		last = got
	}
}

// TestRFactor: worked by hand from the formulas of G.107 section 7.5, with the figures of G.113 appendix I.
func TestRFactor(t *testing.T) {
	for _, c := range []struct {
		codec       string
		loss, burst float64
		delay       time.Duration
		r           float64
	}{
		{"PCMU", 0, 1, 0, 93.2},
		{"pcma", 0.01, 1, 0, 93.2 - 95.0/5.3},
		{"PCMU", 0.05, 1, 0, 93.2 - 95*5/9.3},
		{"PCMU", 0.05, 2, 0, 93.2 - 95*5/6.8},
		{"PCMU", 1, 1, 0, 93.2 - 9500/104.3},
		{"G729", 0, 1, 0, 82.2},
		{"G729", 0.02, 1, 0, 82.2 - 84*2.0/21},
		{"AMR", 0, 1, 0, 88.2},
		{"opus", 0, 1, 0, 93.2},
		{"PCMU", 0, 0.2, 0, 93.2},
		{"PCMU", 0, 1, 100 * time.Millisecond, 90.8},
		{"PCMU", 0, 1, 277300 * time.Microsecond, 93.2 - 6.6552 - 11},
		{"PCMU", 7, 1, 0, 93.2 - 9500/104.3},
		{"PCMU", 1, 8, time.Second, 0},
	} {
		if got := RFactor(RobustnessOf(c.codec), c.loss, c.burst, c.delay); math.Abs(got-c.r) > 0.001 {
			t.Errorf("%s, loss %v, burst %v, delay %v: R %.3f, want %.3f", c.codec, c.loss, c.burst, c.delay, got, c.r)
		}
	}
}

func TestMeasure(t *testing.T) {
	second := int64(8000)
	plan := &Plan{Encoding: codec.PCMU, Rate: 8000, Channels: 3, Samples: 100 * second, Gaps: []Gap{
		{Channel: 0, Start: 0, Samples: second, Cause: CauseNotStarted},
		{Channel: 0, Start: 10 * second, Samples: 160, Cause: CauseLost},
		{Channel: 0, Start: 20 * second, Samples: 3 * 160, Cause: CauseLost},
		{Channel: 0, Start: 30 * second, Samples: 5 * second, Cause: CauseInactive},
		{Channel: 1, Start: 0, Samples: 50 * second, Cause: CauseLost},
		{Channel: 2, Start: 0, Samples: 100 * second, Cause: CauseNoMedia},
	}}
	placed := uint64(94*50 - 4) // 94 s less 4 packets
	for _, c := range []struct {
		name    string
		channel int
		stats   *StreamStats
		want    Quality
		ok      bool
	}{
		{"losses in bursts of two", 0, &StreamStats{Packets: placed + 10, Duplicate: 10, Placed: placed, Lost: 4, Jitter: 3210 * time.Microsecond},
			Quality{Loss: 0.000851, Burst: 2, JitterMS: 3.21, LongestGap: 60, R: 91.3, MOS: 4.37}, true},
		{"late is lost", 0, &StreamStats{Packets: 100, Placed: 90, Late: 10}, Quality{Loss: 0.1, Burst: 1, LongestGap: 60, R: 26.8, MOS: 1.48}, true},
		{"after a crash", 1, nil, Quality{Loss: 0.5, Burst: 1250, LongestGap: 50000, R: 0, MOS: 1}, true},
		{"nothing came", 2, &StreamStats{}, Quality{}, false},
		{"nothing came, after a crash", 2, nil, Quality{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := Measure(plan, c.channel, "PCMU", c.stats)
			if ok != c.ok || got != c.want {
				t.Errorf("%+v, %v, want %+v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}
