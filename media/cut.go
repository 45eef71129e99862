package media

import (
	"github.com/greffier/greffier/media/codec"
)

// roomStep is what is committed beyond need when packets run out of the ring, so that not every packet makes a block.
const roomStep = 100 * ms

// maxBlockBytes bounds the samples of a block; the spool takes records of 1 MiB.
const maxBlockBytes = 768 << 10

// cut is told that everything that arrived up to drained was given. It commits what is older than commitDelay, when that is
// enough to be worth a block.
func (t *timeline) cut(drained int64) {
	now := t.position(drained)
	for i, s := range t.streams {
		if n := len(s.held.packets); n > 0 && drained-s.held.packets[n-1].arrival > int64(limboTime) {
			t.release(s)
		}
		if c := t.channelOf(i); s.clock.anchored && !s.clock.settled && now >= s.clock.until {
			t.settle(s, c)
		}
	}
	due := now - commitDelay
	limit := t.hold(due)
	// What is held back grows to a second, which is what a crash may cost: then nothing else may wait beside it.
	if n := limit - t.committed; n >= cutInterval || limit < due && n > 0 {
		t.commit(limit)
	}
	if t.inBand {
		t.deafen(drained)
	}
	t.forget(drained)
}

// hold keeps back what a source that has just begun may still have to be moved to.
func (t *timeline) hold(limit int64) int64 {
	for _, s := range t.streams {
		if k := &s.clock; k.anchored && !k.settled && !k.jumped {
			limit = min(limit, k.from-commitDelay)
		}
	}
	return limit
}

// channelOf is the channel of a stream.
func (t *timeline) channelOf(stream int) *channel {
	return t.channels[t.streams[stream].stats.Channel]
}

// close commits everything. The recording ended at an instant; sound that was placed after it is kept.
func (t *timeline) close(at int64) Summary {
	for i, s := range t.streams {
		t.release(s)
		if s.clock.anchored && !s.clock.settled {
			t.settle(s, t.channelOf(i))
		}
	}
	end := max(t.position(at), t.committed, 0)
	for _, c := range t.channels {
		end = max(end, c.end)
	}
	t.commit(end)
	if t.committed < end {
		t.commit(end) // the sink may only have been out of breath
	}
	if t.committed < end {
		t.unsaved += end - t.committed
		t.skip(end)
	}
	for _, s := range t.streams {
		s.decoder.close()
	}
	return Summary{
		Samples: end, Rate: Rate * t.density, Channels: len(t.channels), Streams: t.stats(nil),
		SinkErrors: t.sinkErrors, Unsaved: t.unsaved, Err: t.sinkError,
	}
}

// commit gives the sink all up to limit, in blocks of no more than a ring. What the sink refuses stays, to be offered again.
func (t *timeline) commit(limit int64) {
	if limit-t.committed > maxSilence {
		t.commitTo(t.committed + t.blockSamples())
		t.skip(limit - ringSamples)
	}
	for t.committed < limit {
		if !t.commitTo(min(limit, t.committed+t.blockSamples())) {
			return
		}
	}
}

// blockSamples is the most that one block holds, so that the sink takes it in one piece.
func (t *timeline) blockSamples() int64 {
	return min(ringSamples, int64(maxBlockBytes/(t.slotBytes()*len(t.channels))))
}

// makeRoom commits as much as must be for the ring to reach end. What the sink refuses is lost then.
func (t *timeline) makeRoom(end int64) {
	need := end - ringSamples
	t.commit(need + roomStep)
	if t.committed < need {
		t.unsaved += need - t.committed
		t.skip(need)
	}
}

// commitTo gives the sink one block, from what is committed to limit.
func (t *timeline) commitTo(limit int64) bool {
	for i, s := range t.streams {
		t.decode(s, t.channelOf(i), limit)
	}
	b := &t.block
	*b = Block{
		Start: t.committed, Samples: int(limit - t.committed), Rate: Rate * t.density, Channels: len(t.channels),
		Encoding: t.stored(), Gaps: b.Gaps[:0],
	}
	for i, c := range t.channels {
		t.gaps(i, c, limit)
	}
	for i, s := range t.streams {
		s.stats.Loud = s.stats.Loud || t.loud(t.channelOf(i), limit)
	}
	t.interleave(b)
	if !t.append(b) {
		return false
	}
	for _, g := range b.Gaps {
		if g.Samples > 0 {
			t.channels[g.Channel].hole(run{g.Start, g.Start + g.Samples})
		}
	}
	t.skip(limit)
	return true
}

// skip frees the ring up to limit.
func (t *timeline) skip(limit int64) {
	for _, c := range t.channels {
		c.silent = c.data == nil || limit-t.committed > ringSamples || !c.has(limit-1)
		c.open = c.silent && c.end < limit && c.first != never
		if c.data != nil {
			c.mark(t.committed, int(min(limit-t.committed, ringSamples)), false)
		}
		c.committedTo(limit)
	}
	t.committed = limit
}

// stored is the encoding of a block; of one without any sound it does not matter.
func (t *timeline) stored() codec.Encoding {
	if t.encoding == 0 {
		return codec.PCMU
	}
	return t.encoding
}

// append offers a block to the sink.
func (t *timeline) append(b *Block) bool {
	if err := t.sink.Append(b); err != nil {
		t.sinkErrors++
		t.sinkError = err
		return false
	}
	return true
}

// Samples are a run of sound: linear ones, or in a law.
type samples struct {
	encoding codec.Encoding
	density  int // samples for each position
	data     []byte
}

// patch gives the sink those of the samples from pos to end that fill committed silence. It returns how many positions.
func (t *timeline) patch(s *stream, c *channel, index int, v samples, pos, end int64) int {
	placed, size := 0, int64(v.density*v.encoding.BytesPerSample())
	for {
		r := c.takeHole(max(pos, t.committed-LateLimit), end)
		if r.start == r.end {
			break
		}
		t.block = Block{
			Start: r.start, Samples: int(r.end - r.start), Rate: Rate * v.density, Channels: len(t.channels), Encoding: v.encoding,
			Data: v.data[(r.start-pos)*size : (r.end-pos)*size], Late: true, Channel: index,
		}
		if !t.append(&t.block) {
			t.unsaved += r.end - r.start
		}
		placed += t.block.Samples
	}
	if placed > 0 {
		s.stats.Patched++
		c.first = min(c.first, pos)
	}
	return placed
}
