package media

import (
	"fmt"

	"github.com/greffier/greffier/media/codec"
)

// A lift brings blocks to the rate of the plan, when sound of a higher rate came later in the call. Blocks that follow on one
// another are one run, so that nothing is heard where they meet.
type lift struct {
	open       bool
	rate       int
	channels   int
	pos        int64 // of the next sample, in samples of the plan
	end        int64 // position after the last block
	resamplers []*codec.Resampler
	in         []int16
	out        [][]int16
	data       []byte
}

// raise lays a block of a lower rate than the plan's.
func (o *overlay) raise(b *Block) error {
	if b.Late {
		return o.raisePatch(b)
	}
	l := &o.lift
	if l.open && (b.Start != l.end || b.Rate != l.rate || b.Channels != l.channels) {
		o.settle(nil)
	}
	if !l.open {
		l.open, l.rate, l.channels, l.pos = true, b.Rate, b.Channels, b.Start*o.plan.density
		l.resamplers, l.out = l.resamplers[:0], make([][]int16, b.Channels)
		for range b.Channels {
			r, err := codec.NewResampler(b.Rate, o.plan.Rate)
			if err != nil {
				return fmt.Errorf("raise a block to %d Hz: %w", o.plan.Rate, err)
			}
			l.resamplers = append(l.resamplers, r)
		}
	}
	data := o.linear(b)
	for c, r := range l.resamplers {
		l.in = channelOf(l.in[:0], data, c, b.Channels)
		l.out[c] = r.Write(l.out[c][:0], l.in)
	}
	l.end = b.End()
	o.lower()
	return nil
}

// linear is the block's data as 16 bits, silent in its gaps: what the A-law has for silence is not 0.
func (o *overlay) linear(b *Block) []byte {
	if b.Encoding == codec.L16 {
		return b.Data
	}
	o.pcm = appendLinear(o.pcm[:0], b.Encoding, b.Data)
	for _, g := range b.Gaps {
		for i := g.Start - b.Start; i < g.Start-b.Start+g.Samples; i++ {
			at := 2 * (int(i)*b.Channels + g.Channel)
			o.pcm[at], o.pcm[at+1] = 0, 0
		}
	}
	return o.pcm
}

// settle ends the run that is raised. What it goes on to in the next block, if that follows on it, is heard first: every so many
// samples of it, which is right for the channels that go on at the old rate, and of no matter for the others.
func (o *overlay) settle(next *Block) {
	l := &o.lift
	if !l.open {
		return
	}
	left := int(l.end*o.plan.density - l.pos)
	for c, r := range l.resamplers {
		l.in = l.in[:0]
		if next != nil && next.Start == l.end && next.Encoding == codec.L16 && !next.Late && c < next.Channels {
			step := next.Rate / l.rate * next.Channels * 2
			for at := 2 * c; at+1 < len(next.Data) && len(l.in) < r.Delay(); at += step {
				l.in = append(l.in, int16(uint16(next.Data[at])|uint16(next.Data[at+1])<<8))
			}
		}
		l.out[c] = r.Flush(r.Write(l.out[c][:0], l.in))[:left]
	}
	o.lower()
	l.open = false
}

// lower lays what the resamplers gave.
func (o *overlay) lower() {
	l := &o.lift
	n := len(l.out[0])
	l.data = l.data[:0]
	for i := range n {
		for c := range l.out {
			v := l.out[c][i]
			l.data = append(l.data, byte(v), byte(uint16(v)>>8))
		}
	}
	o.reach(l.pos + int64(n))
	o.lay(l.pos, l.data, l.channels, 0)
	l.pos += int64(n)
}

// raisePatch lays a patch of a lower rate: a run of its own.
func (o *overlay) raisePatch(b *Block) error {
	o.settle(nil) // what is patched is there first
	in := channelOf(nil, o.linear(b), 0, 1)
	out, err := convertAll(nil, in, b.Rate, o.plan.Rate)
	if err != nil {
		return err
	}
	o.lay(b.Start*o.plan.density, appendSamples(nil, out, b.Samples*int(o.plan.density)), 1, b.Channel)
	return nil
}

// channelOf appends one channel of interleaved 16 bit samples.
func channelOf(dst []int16, data []byte, channel, channels int) []int16 {
	for at := 2 * channel; at+1 < len(data); at += 2 * channels {
		dst = append(dst, int16(uint16(data[at])|uint16(data[at+1])<<8))
	}
	return dst
}
