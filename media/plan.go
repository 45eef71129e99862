package media

import (
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/greffier/greffier/media/codec"
)

// A Plan says what a finished recording is, and writes its samples.
type Plan struct {
	Encoding codec.Encoding // the law that all sound came in, else L16
	Rate     int            // in hertz: the highest that sound came at, of 8000, 16000 and 48000
	Channels int            // 0: there were no blocks
	Offset   int64          // of the first sample from the recording's start, in samples; below 0 when the sound began before the answer
	Samples  int64          // per channel
	Gaps     []Gap          // in samples, by channel and start, which counts from the first sample

	density    int64 // samples for each position
	depth      int64 // how far a block may reach back, in samples
	start, end int64 // of the blocks, in samples
}

// DataBytes is the length of what Write writes.
func (p *Plan) DataBytes() int64 {
	return p.Samples * int64(p.Channels*p.Encoding.BytesPerSample())
}

// Write writes the samples, interleaved, from the same blocks that the assembly was given, in the same order. Every gap of the
// plan is silence. Its memory does not grow with the recording. Errors are those of blocks and of w.
func (p *Plan) Write(w io.Writer, blocks iter.Seq2[Block, error]) error {
	if p.Channels == 0 {
		return nil
	}
	o := overlay{plan: p, w: w, frame: p.Channels * p.Encoding.BytesPerSample(), out: min(p.start, p.Offset), end: p.start, hush: newHush(p)}
	for b, err := range blocks {
		if err != nil {
			return fmt.Errorf("read block: %w", err)
		}
		if err := o.add(&b); err != nil {
			return fmt.Errorf("write samples: %w", err)
		}
	}
	o.settle(nil)
	if err := o.advance(p.Offset + p.Samples); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

// An overlay holds the newest samples until no block can reach back to them. Its positions count samples of the plan.
type overlay struct {
	plan    *Plan
	w       io.Writer
	frame   int    // bytes
	out     int64  // position of the next frame to be written
	end     int64  // position after the newest block
	buf     []byte // frames from out
	silence []byte
	pcm     []byte
	lift    lift
	hush    hush
}

// add lays a block over what is held.
func (o *overlay) add(b *Block) error {
	d := o.plan.density
	start, end := b.Start*d, b.End()*d
	if b.Rate > o.plan.Rate || b.Channels > o.plan.Channels || start < o.plan.start || end > o.plan.end {
		return nil // the assembly did not count it either
	}
	o.end = max(o.end, end)
	low := min(start, o.end-o.plan.depth)
	if o.lift.open {
		low = min(low, o.lift.pos)
	}
	if err := o.advance(low); err != nil {
		return err
	}
	o.reach(end)
	if b.Rate < o.plan.Rate {
		return o.raise(b)
	}
	o.settle(b)
	step, first := b.channelsInData(), b.Channel
	if !b.Late {
		first = 0
	}
	o.lay(start, o.convert(b), step, first)
	return nil
}

// lay puts interleaved samples of step channels, the first of which is channel first, over what is held from start.
func (o *overlay) lay(start int64, data []byte, step, first int) {
	size := o.plan.Encoding.BytesPerSample()
	if step == o.plan.Channels && start >= o.out {
		copy(o.buf[int(start-o.out)*o.frame:], data)
		return
	}
	count := int64(len(data) / (step * size))
	for at := range step {
		for i := max(0, o.out-start); i < count; i++ {
			dst := o.buf[int(start+i-o.out)*o.frame+(first+at)*size:]
			copy(dst[:size], data[(int(i)*step+at)*size:])
		}
	}
}

// reach makes the buffer long enough for frames up to pos, silent where nothing was laid.
func (o *overlay) reach(pos int64) {
	need := int(max(0, pos-o.out)) * o.frame
	for len(o.buf) < need {
		o.buf = append(o.buf, o.plan.Encoding.Silence())
	}
}

// convert gives the block's data in the plan's encoding.
func (o *overlay) convert(b *Block) []byte {
	e := o.plan.Encoding
	if b.Encoding == e {
		return b.Data
	}
	if e != codec.L16 {
		// Only a block without sound may differ.
		return bytes.Repeat([]byte{e.Silence()}, b.Samples*b.channelsInData()*e.BytesPerSample())
	}
	o.pcm = appendLinear(o.pcm[:0], b.Encoding, b.Data)
	return o.pcm
}

// advance writes all before pos that is within the plan.
func (o *overlay) advance(pos int64) error {
	for o.out < pos {
		n := pos - o.out
		if held := int64(len(o.buf) / o.frame); held > 0 {
			n = min(n, held)
			if err := o.write(o.buf, n, true); err != nil {
				return err
			}
			o.buf = o.buf[:copy(o.buf, o.buf[int(n)*o.frame:])]
			o.out += n
			continue
		}
		if o.silence == nil {
			o.silence = bytes.Repeat([]byte{o.plan.Encoding.Silence()}, 4096*o.frame)
		}
		n = min(n, 4096)
		if err := o.write(o.silence, n, false); err != nil {
			return err
		}
		o.out += n
	}
	return nil
}

// write writes those of n frames from out that are within the plan; some of them may be sound.
func (o *overlay) write(b []byte, n int64, sound bool) error {
	from, to := max(o.out, o.plan.Offset), min(o.out+n, o.plan.Offset+o.plan.Samples)
	if from >= to {
		return nil
	}
	part := b[int(from-o.out)*o.frame : int(to-o.out)*o.frame]
	if sound {
		o.hush.apply(part, from-o.plan.Offset)
	}
	_, err := o.w.Write(part)
	return err
}

// A hush makes the gaps of a plan silent, so that the list is true whatever the blocks hold.
type hush struct {
	size, frame int
	fill        byte
	channels    [][]Gap // those that are still to come
}

func newHush(p *Plan) hush {
	h := hush{size: p.Encoding.BytesPerSample(), fill: p.Encoding.Silence(), channels: make([][]Gap, p.Channels)}
	h.frame = p.Channels * h.size
	for _, g := range p.Gaps {
		h.channels[g.Channel] = append(h.channels[g.Channel], g)
	}
	return h
}

// apply silences the gaps in frames that begin at a sample of the plan. It is called in ascending order.
func (h *hush) apply(frames []byte, start int64) {
	end := start + int64(len(frames)/h.frame)
	for c, gaps := range h.channels {
		for len(gaps) > 0 && gaps[0].Start < end {
			g := gaps[0] // one that ended before start was written as silence
			from, to := max(g.Start, start), min(g.Start+g.Samples, end)
			for at, n := int(from-start)*h.frame+c*h.size, to-from; n > 0; at, n = at+h.frame, n-1 {
				frames[at] = h.fill
				if h.size == 2 {
					frames[at+1] = h.fill
				}
			}
			if g.Start+g.Samples > end {
				break
			}
			gaps = gaps[1:]
		}
		h.channels[c] = gaps
	}
}
