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
	Rate     int            // in hertz
	Channels int            // 0: there were no blocks
	Offset   int64          // of the first sample from the recording's start; below 0 when the sound began before the answer
	Samples  int64          // per channel
	Gaps     []Gap          // by channel and start, which counts from the first sample

	depth      int64 // how far a block may reach back
	start, end int64 // of the blocks
}

// DataBytes is the length of what Write writes.
func (p *Plan) DataBytes() int64 {
	return p.Samples * int64(p.Channels*p.Encoding.BytesPerSample())
}

// Write writes the samples, interleaved, from the same blocks that the assembly was given, in the same order. Its memory does not
// grow with the recording. Errors are those of blocks and of w.
func (p *Plan) Write(w io.Writer, blocks iter.Seq2[Block, error]) error {
	if p.Channels == 0 {
		return nil
	}
	o := overlay{plan: p, w: w, frame: p.Channels * p.Encoding.BytesPerSample(), out: min(p.start, p.Offset), end: p.start}
	for b, err := range blocks {
		if err != nil {
			return fmt.Errorf("read block: %w", err)
		}
		if err := o.add(&b); err != nil {
			return fmt.Errorf("write samples: %w", err)
		}
	}
	if err := o.advance(p.Offset + p.Samples); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

// An overlay holds the newest samples until no block can reach back to them.
type overlay struct {
	plan    *Plan
	w       io.Writer
	frame   int    // bytes
	out     int64  // position of the next frame to be written
	end     int64  // position after the newest block
	buf     []byte // frames from out
	silence []byte
	pcm     []byte
}

// add lays a block over what is held.
func (o *overlay) add(b *Block) error {
	if b.Rate != o.plan.Rate || b.Channels > o.plan.Channels || b.Start < o.plan.start || b.End() > o.plan.end {
		return nil // the assembly did not count it either
	}
	o.end = max(o.end, b.End())
	if err := o.advance(min(b.Start, o.end-o.plan.depth)); err != nil {
		return err
	}
	o.reach(b.End())
	size := o.plan.Encoding.BytesPerSample()
	data, step := o.convert(b), b.channelsInData()
	if step == o.plan.Channels && b.Start >= o.out {
		copy(o.buf[int(b.Start-o.out)*o.frame:], data)
		return nil
	}
	for at := range step {
		channel := at
		if b.Late {
			channel = b.Channel
		}
		for i := max(0, o.out-b.Start); i < int64(b.Samples); i++ {
			dst := o.buf[int(b.Start+i-o.out)*o.frame+channel*size:]
			copy(dst[:size], data[(int(i)*step+at)*size:])
		}
	}
	return nil
}

// reach makes the buffer long enough for frames up to pos, silent where nothing was laid.
func (o *overlay) reach(pos int64) {
	need := int(max(0, pos-o.out)) * o.frame
	for len(o.buf) < need {
		o.buf = append(o.buf, o.plan.Encoding.Silence())
	}
}

// convert gives the block's data in the plan's encoding, silent in its gaps.
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
	if b.Late {
		return o.pcm
	}
	// The A-law byte for silence is not 0 when it is decoded.
	for _, g := range b.Gaps {
		for i := g.Start - b.Start; i < g.Start-b.Start+g.Samples; i++ {
			at := 2 * (int(i)*b.Channels + g.Channel)
			o.pcm[at], o.pcm[at+1] = 0, 0
		}
	}
	return o.pcm
}

// advance writes all before pos that is within the plan.
func (o *overlay) advance(pos int64) error {
	for o.out < pos {
		n := pos - o.out
		if held := int64(len(o.buf) / o.frame); held > 0 {
			n = min(n, held)
			if err := o.write(o.buf, n); err != nil {
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
		if err := o.write(o.silence, n); err != nil {
			return err
		}
		o.out += n
	}
	return nil
}

// write writes those of n frames from out that are within the plan.
func (o *overlay) write(b []byte, n int64) error {
	from, to := max(o.out, o.plan.Offset), min(o.out+n, o.plan.Offset+o.plan.Samples)
	if from >= to {
		return nil
	}
	_, err := o.w.Write(b[int(from-o.out)*o.frame : int(to-o.out)*o.frame])
	return err
}
