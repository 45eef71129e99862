package media

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAdhoc(t *testing.T) {
	for _, most := range []float64{0.02, 0.06, 0.1} {
		for _, mode := range []string{"free", "ordered", "stalls", "loss20", "all"} {
			worst, bad, missing, gaps := 0.0, 0, 0, 0
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, 5))
				c := plainCall(12)
				for i := range c.packets {
					last := 0.0
					stallEnd := 0.0
					if mode == "loss20" || mode == "all" {
						c.packets[i] = keep(c.packets[i], func(int, sent) bool { return r.Float64() > 0.1 })
					}
					each(c.packets[i], func(_ int, s *sent) {
						s.at += most * r.Float64()
						if mode == "stalls" || mode == "all" {
							if r.Float64() < 0.005 {
								stallEnd = s.at + r.Float64()*0.8
							}
							s.at = max(s.at, stallEnd)
						}
						if mode != "free" {
							s.at = max(s.at, last+0.0001)
							last = s.at
						}
					})
				}
				c.end += 1
				res := c.run(t)
				for ch, f := range tones {
					for k := range 12 {
						truth := burstFirst + float64(k)
						found := onset(res.samples[ch], f, int((truth-float64(res.plan.Offset)/Rate)*Rate)-1600, 3200)
						if found < 0 {
							missing++
							continue
						}
						e := math.Abs(float64(found+int(res.plan.Offset))/Rate - truth)
						lostHere := true
						for _, p := range c.packets[ch] {
							if p.spoken < truth+0.0001 && p.spoken+p.length > truth+0.0001 {
								lostHere = false
							}
						}
						if lostHere {
							continue
						}
						if e > 0.02 {
							bad++
						}
						worst = max(worst, e)
					}
				}
				gaps += len(res.plan.Gaps)
			}
			t.Logf("jitter %.2f %-8s worst %.1f ms, bad %d of %d, missing %d, gaps %d", most, mode, worst*1000, bad, 40*24, missing, gaps)
		}
	}
}
