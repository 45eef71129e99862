package media

import (
	"slices"

	"github.com/greffier/greffier/media/codec"
)

const (
	// EdgeSnap is the silence on all channels that is trimmed at the edges of a recording when it is shorter, in positions.
	// Positions count from the answer to the INVITE, and signalling is not clocked to sound.
	EdgeSnap = 500 * ms
	// holdSnap: silence of other causes beside a hold or a pause, when it is shorter than this, is counted to it. The last packet
	// before and the first after are not clocked to signalling either.
	holdSnap = 200 * ms
	// leastGap is the shortest gap that the list shows: it is exact to the millisecond.
	leastGap = 1 * ms
	// maxDepth bounds how far back a block may reach behind what was given before it. The timeline's patches stay below it.
	maxDepth = 60 * Rate
	// maxMissing bounds the silence that stands for blocks that are missing, so that a damaged position does no harm: a week.
	maxMissing = 7 * 24 * 3600 * Rate
)

// An Assembly notes what the blocks of a recording amount to: extent, encodings, gaps. It is the first of two passes; Finish
// gives the plan of the second. It holds the gaps, and no samples.
//
// Blocks are added in the order in which the sink took them. A block that overlaps earlier ones (it was offered again after an
// error that was none) replaces what they had there.
type Assembly struct {
	any        bool
	rate       int // the highest
	start, end int64
	depth      int64
	heard      [4]bool // by encoding: some sample came in it
	channels   []assembled
}

// assembled is one channel: its gaps, ascending, not overlapping.
type assembled struct{ gaps []Gap }

// Add notes a block. It ignores one that cannot be of this recording: further away than any gap.
func (a *Assembly) Add(b Block) {
	if b.Rate < Rate || b.Rate%Rate != 0 || !b.Encoding.Valid() || b.Channels < 1 || b.Channels > MaxChannels {
		return
	}
	if !a.any {
		if b.Late {
			return
		}
		a.any, a.start, a.end = true, b.Start, b.Start
	}
	if b.Start > a.end+maxMissing || b.Start < a.end-maxDepth || b.Start < a.start {
		return
	}
	a.depth = max(a.depth, a.end-b.Start)
	a.rate = max(a.rate, b.Rate)
	a.widen(b)
	if b.Late {
		a.channels[b.Channel].clear(b.Start, min(b.End(), a.end))
		a.heard[b.Encoding] = true
		return
	}
	a.extend(b)
}

// widen makes room for the channels of a block; those that are new were silent until now.
func (a *Assembly) widen(b Block) {
	for len(a.channels) < b.Channels {
		var c assembled
		c.add(Gap{Channel: len(a.channels), Start: a.start, Samples: b.Start - a.start, Cause: CauseNotStarted})
		a.channels = append(a.channels, c)
	}
}

func (a *Assembly) extend(b Block) {
	for i := range a.channels {
		c := &a.channels[i]
		c.clear(b.Start, a.end)
		if b.Start > a.end {
			c.add(Gap{Channel: i, Start: a.end, Samples: b.Start - a.end, Cause: CauseUnsaved})
		}
		if i >= b.Channels {
			c.add(Gap{Channel: i, Start: b.Start, Samples: int64(b.Samples), Cause: CauseNotStarted})
		}
	}
	silent := int64(0)
	for _, g := range b.Gaps {
		if g.Channel >= 0 && g.Channel < b.Channels {
			a.channels[g.Channel].add(g)
			silent += g.Samples
		}
	}
	if silent < int64(b.Samples)*int64(b.Channels) {
		a.heard[b.Encoding] = true
	}
	a.end = max(a.end, b.End())
}

// add appends a gap. Silence whose cause was open takes the cause of the silence that goes on from it.
func (c *assembled) add(g Gap) {
	if n := len(c.gaps); n > 0 {
		last := &c.gaps[n-1]
		if end := last.Start + last.Samples; g.Start < end {
			return // it contradicts what is there
		} else if end == g.Start {
			open := last.Cause == causeOpen && (g.Cause == CauseSuppressed || g.Cause == CauseLost)
			if open || last.Cause == g.Cause {
				last.Samples += g.Samples
				last.Cause = g.Cause
				return
			}
		}
	}
	if g.Samples > 0 {
		c.gaps = append(c.gaps, g)
	}
}

// clear takes start to end out of the gaps.
func (c *assembled) clear(start, end int64) {
	if start >= end {
		return
	}
	i, _ := slices.BinarySearchFunc(c.gaps, start, func(g Gap, pos int64) int {
		if g.Start+g.Samples <= pos {
			return -1
		}
		return 1
	})
	for i < len(c.gaps) && c.gaps[i].Start < end {
		g := c.gaps[i]
		before, after := g, g
		before.Samples = start - g.Start
		after.Start, after.Samples = end, g.Start+g.Samples-end
		switch {
		case before.Samples > 0 && after.Samples > 0:
			c.gaps[i] = before
			c.gaps = slices.Insert(c.gaps, i+1, after)
			return
		case before.Samples > 0:
			c.gaps[i] = before
			i++
		case after.Samples > 0:
			c.gaps[i] = after
			return
		default:
			c.gaps = slices.Delete(c.gaps, i, i+1)
		}
	}
}

// Finish says what the finished recording is.
func (a *Assembly) Finish() Plan {
	density := int64(max(1, a.rate/Rate))
	p := Plan{
		Encoding: a.encoding(), Rate: a.rate, Channels: len(a.channels),
		density: density, depth: a.depth * density, start: a.start * density, end: a.end * density,
	}
	if !a.any {
		return p
	}
	first, last := int64(never), a.start
	for i := range a.channels {
		c := &a.channels[i]
		c.resolve(a.end)
		from, to := c.sound(a.start, a.end)
		if from >= to {
			c.nothing()
			continue
		}
		first, last = min(first, from), max(last, to)
	}
	end := a.end
	if first < last {
		p.Offset = max(0, a.start)
		if first < EdgeSnap {
			p.Offset = first
		}
		if end-last < EdgeSnap {
			end = last
		}
	}
	p.Samples = max(0, end-p.Offset)
	for i := range a.channels {
		p.take(i, a.start, a.channels[i].gaps)
	}
	p.scale(density)
	return p
}

// scale turns positions into samples.
func (p *Plan) scale(density int64) {
	p.Offset *= density
	p.Samples *= density
	for i := range p.Gaps {
		p.Gaps[i].Start *= density
		p.Gaps[i].Samples *= density
	}
}

// take notes a channel's gaps, relative to the plan's offset. Start is the position of the first block.
func (p *Plan) take(channel int, start int64, gaps []Gap) {
	if start > p.Offset {
		p.Gaps = append(p.Gaps, Gap{Channel: channel, Samples: min(p.Samples, start-p.Offset), Cause: CauseUnsaved})
	}
	for _, g := range gaps {
		from, to := max(0, g.Start-p.Offset), min(p.Samples, g.Start+g.Samples-p.Offset)
		if to-from >= min(leastGap, max(1, p.Samples)) {
			p.Gaps = append(p.Gaps, Gap{Channel: channel, Start: from, Samples: to - from, Cause: g.Cause})
		}
	}
}

// encoding is the one that all sound came in, or linear.
func (a *Assembly) encoding() codec.Encoding {
	switch {
	case a.heard[codec.L16], a.heard[codec.PCMU] && a.heard[codec.PCMA], a.rate > Rate:
		return codec.L16
	case a.heard[codec.PCMA]:
		return codec.PCMA
	}
	return codec.PCMU
}

// resolve gives a cause to silence that was left open, and counts short silence beside a hold to it.
func (c *assembled) resolve(end int64) {
	for i := range c.gaps {
		if g := &c.gaps[i]; g.Cause == causeOpen {
			g.Cause = CauseLost
			if g.Start+g.Samples == end {
				g.Cause = CauseEnded
			}
		}
	}
	for i := range c.gaps {
		if i > 0 {
			beside(&c.gaps[i], &c.gaps[i-1])
		}
		if i+1 < len(c.gaps) {
			beside(&c.gaps[i], &c.gaps[i+1])
		}
	}
	merged := c.gaps[:0]
	for _, g := range c.gaps {
		if n := len(merged); n > 0 && merged[n-1].Cause == g.Cause && merged[n-1].Start+merged[n-1].Samples == g.Start {
			merged[n-1].Samples += g.Samples
			continue
		}
		merged = append(merged, g)
	}
	c.gaps = merged
}

// beside gives short silence the cause of the hold that touches it.
func beside(g, hold *Gap) {
	touch := g.Start+g.Samples == hold.Start || hold.Start+hold.Samples == g.Start
	if touch && g.Samples < holdSnap && unheld(g.Cause) && !unheld(hold.Cause) {
		g.Cause = hold.Cause
	}
}

// unheld says that silence came about by itself: not by a hold, a pause, or a sink that failed.
func unheld(c Cause) bool {
	return c == CauseLost || c == CauseSuppressed || c == CauseEnded || c == CauseNotStarted || c == CauseUnsaved
}

// sound finds the first position of a channel that is no gap, and the one after the last; from >= to when there is none.
func (c *assembled) sound(start, end int64) (from, to int64) {
	from, to = start, end
	for _, g := range c.gaps {
		if g.Start > from {
			break
		}
		from = g.Start + g.Samples
	}
	for i := len(c.gaps) - 1; i >= 0 && c.gaps[i].Start+c.gaps[i].Samples >= to; i-- {
		to = c.gaps[i].Start
	}
	return from, to
}

// nothing is for a channel without any sound.
func (c *assembled) nothing() {
	for i := range c.gaps {
		if c.gaps[i].Cause == CauseNotStarted {
			c.gaps[i].Cause = CauseNoMedia
		}
	}
}
