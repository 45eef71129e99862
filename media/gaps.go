package media

import (
	"encoding/binary"

	"github.com/greffier/greffier/media/codec"
)

// gaps finds the silent runs of a channel up to limit, fills them with silence and appends them to the block. A hole of a few
// samples between sound is a correction of drift: it repeats the sample before it.
func (t *timeline) gaps(index int, c *channel, limit int64) {
	start := t.committed
	if c.open && c.next(start, limit, true) == start && c.suppressed(start-maxRepeat, start+1) {
		// The silence ended with the last block, which could not know why.
		t.block.Gaps = append(t.block.Gaps, Gap{Channel: index, Start: start, Cause: CauseSuppressed})
	}
	for pos := c.next(start, limit, false); pos < limit; {
		end := c.next(pos, limit, true)
		if !t.repeat(c, pos, end) {
			t.silence(c, pos, end)
			t.explain(index, c, pos, end)
		}
		pos = c.next(end, limit, false)
	}
}

// repeat fills a hole that a correction of drift has left.
func (t *timeline) repeat(c *channel, start, end int64) bool {
	if c.end <= start || end-start > maxRepeat || start == t.committed && c.silent {
		return false
	}
	if c.next(start, start+maxRepeat+1, true)-start > maxRepeat {
		return false // it is longer than this block shows
	}
	size := t.slotBytes()
	last := c.data[slot(start-1)*size:][:size]
	for pos := start; pos < end; pos++ {
		copy(c.data[slot(pos)*size:], last)
	}
	return true
}

// silence writes the encoding's silence.
func (t *timeline) silence(c *channel, start, end int64) {
	if c.data != nil {
		c.silence(start, end, t.slotBytes(), t.encoding.Silence())
	}
}

// explain appends a silent run as gaps, split where the cause changes.
func (t *timeline) explain(index int, c *channel, start, end int64) {
	for i := range t.epochs {
		from, to := start, end
		if i > 0 {
			from = max(from, t.epochs[i].pos)
		}
		if i+1 < len(t.epochs) {
			to = min(to, t.epochs[i+1].pos)
		}
		if from >= to {
			continue
		}
		if cause := t.epochs[i].refusal(index); cause != "" {
			t.gap(index, from, to, cause)
			continue
		}
		if n := min(to, c.first); from < n {
			t.gap(index, from, n, CauseNotStarted)
			from = n
		}
		switch {
		case from >= to:
		case c.end <= from:
			t.gap(index, from, to, causeOpen)
		case c.suppressed(from, to):
			t.gap(index, from, to, CauseSuppressed)
		default:
			t.gap(index, from, to, CauseLost)
		}
	}
}

// gap appends a gap, or makes the last one longer.
func (t *timeline) gap(channel int, start, end int64, cause Cause) {
	if n := len(t.block.Gaps); n > 0 {
		last := &t.block.Gaps[n-1]
		if last.Channel == channel && last.Cause == cause && last.Start+last.Samples == start {
			last.Samples += end - start
			return
		}
	}
	t.block.Gaps = append(t.block.Gaps, Gap{Channel: channel, Start: start, Samples: end - start, Cause: cause})
}

// interleave fills the block's data from the rings.
func (t *timeline) interleave(b *Block) {
	size, n := t.slotBytes(), len(t.channels)
	total := b.Samples * n * size
	if cap(t.scratch) < total {
		clear(t.scratch)
		t.scratch = make([]byte, total)
	}
	t.scratch = t.scratch[:max(len(t.scratch), total)] // as far as it is used
	b.Data = t.scratch[:total]
	for done := 0; done < b.Samples; {
		i := slot(b.Start + int64(done))
		k := min(b.Samples-done, ringSamples-i)
		part := b.Data[done*n*size:][:k*n*size]
		if n == 2 && size == 1 && t.channels[0].data != nil && t.channels[1].data != nil {
			interleave2(part, t.channels[0].data[i:][:k], t.channels[1].data[i:][:k])
		} else {
			t.interleaveAny(part, b.Encoding, i*size, k*size)
		}
		done += k
	}
}

// interleaveAny fills dst from count bytes of each ring, from a byte on.
func (t *timeline) interleaveAny(dst []byte, e codec.Encoding, from, count int) {
	n := len(t.channels)
	for at, c := range t.channels {
		switch {
		case c.data == nil && e.BytesPerSample() == 1:
			for j := range count {
				dst[j*n+at] = e.Silence()
			}
		case c.data == nil:
			for j := 0; j < count; j += 2 {
				dst[j*n+at*2], dst[j*n+at*2+1] = 0, 0
			}
		case e.BytesPerSample() == 1:
			for j, b := range c.data[from:][:count] {
				dst[j*n+at] = b
			}
		default:
			src := c.data[from:][:count]
			for j := 0; j+1 < len(src); j += 2 {
				dst[j*n+at*2], dst[j*n+at*2+1] = src[j], src[j+1]
			}
		}
	}
}

// interleave2 is the common case, two channels of bytes: eight samples of each at a time.
func interleave2(dst, a, b []byte) {
	for len(a) >= 8 && len(b) >= 8 && len(dst) >= 16 {
		x, y := binary.LittleEndian.Uint64(a), binary.LittleEndian.Uint64(b)
		binary.LittleEndian.PutUint64(dst, spread(uint32(x))|spread(uint32(y))<<8)
		binary.LittleEndian.PutUint64(dst[8:], spread(uint32(x>>32))|spread(uint32(y>>32))<<8)
		a, b, dst = a[8:], b[8:], dst[16:]
	}
	for i := range a {
		dst[2*i], dst[2*i+1] = a[i], b[i]
	}
}

// spread puts the four bytes of x into the even bytes of eight.
func spread(x uint32) uint64 {
	v := uint64(x)
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	return (v | v<<8) & 0x00FF00FF00FF00FF
}
