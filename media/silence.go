package media

import (
	"cmp"
	"slices"
)

// Silence makes a span silent on every channel, whatever the blocks hold, and lists it as a gap of the cause. The span is in samples
// from the first one, and is cut to the recording.
func (p *Plan) Silence(from, to int64, cause Cause) {
	from, to = max(0, from), min(p.Samples, to)
	if from >= to {
		return
	}
	var gaps []Gap
	for _, g := range p.Gaps {
		before, after := g, g
		before.Samples = min(g.Samples, from-g.Start)
		after.Start = max(g.Start, to)
		after.Samples = g.Start + g.Samples - after.Start
		for _, part := range []Gap{before, after} {
			if part.Samples > 0 {
				gaps = append(gaps, part)
			}
		}
	}
	for channel := range p.Channels {
		gaps = append(gaps, Gap{Channel: channel, Start: from, Samples: to - from, Cause: cause})
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Start, b.Start)) })
	p.Gaps = gaps
}
