package codec

import "fmt"

// Recover decodes the copy, at a lower bit rate, of the frame before next that its sender may have put in next (LBRR, RFC 6716
// section 2.1.7). The library would fill with sound of its own what the copy lacks; so it is asked only for what is there:
//   - a loss shorter than the copy, or after a packet that the copy cannot continue, is not recovered;
//   - of a frame of 40 or 60 ms, the runs of 20 ms without a copy are zeros;
//   - of a frame in hybrid mode the copy holds the band up to 8 kHz, and it is decoded as that.
func (d *opus) Recover(dst []int16, next []byte, samples int) ([]int16, error) {
	p := &d.packet
	if err := p.parse(next); err != nil {
		return dst, err
	}
	n := p.samples(d.rate)
	if samples < n || d.afterCELT {
		return dst, nil
	}
	frame := next[p.first:][:p.sizes[0]]
	copies, runs := p.redundant(frame)
	if copies == 0 {
		return dst, nil
	}
	config := p.config
	if p.hybrid() {
		config = 8 | p.config&1 // SILK, wide band, 10 or 20 ms
	}
	d.copy[0] = config<<3 | next[0]&4
	packet := d.copy[:1+copy(d.copy[1:], frame)]
	got, err := d.guard(func() (int, error) { return d.lib.DecodeWithFEC(packet, d.recovered[:n], true) })
	if err != nil || got != n {
		return dst, fmt.Errorf("recover %d samples from an Opus packet: got %d: %w", n, got, err)
	}
	dst, out := extend(dst, n)
	for i, v := range d.recovered[:n] {
		out[i] = toInt16(v * 32768)
	}
	for i := range runs {
		if copies>>i&1 == 0 {
			clear(out[i*n/runs : (i+1)*n/runs])
		}
	}
	return dst, nil
}

// redundant says which runs of the frame before this one have a copy in it, one bit each, the first run lowest; and how many
// runs there are: one, or one for each 20 ms. Of a stereo frame it counts the copies of the middle channel, which is what is
// decoded.
func (p *opusPacket) redundant(frame []byte) (copies, runs int) {
	if p.celt() || len(frame) <= 1 {
		return 0, 0
	}
	runs = max(1, p.tenths()/200)
	var r rangeDecoder
	r.init(frame)
	r.bits(runs) // voice activity of the middle channel (RFC 6716 section 4.2.3)
	if r.bits(1) == 0 {
		return 0, runs
	}
	if runs == 1 {
		return 1, runs
	}
	if p.stereo {
		r.bits(runs + 1) // the same of the side channel
	}
	return r.symbol(lbrrFlags[runs-2]) + 1, runs // section 4.2.4
}

// lbrrFlags are the likelihoods, of 256, of the flags of 40 and of 60 ms, from 1 up (RFC 6716 table 4).
var lbrrFlags = [2][]uint32{{53, 53, 150}, {41, 20, 29, 41, 15, 28, 82}}

// A rangeDecoder reads the head of an Opus frame (RFC 6716 section 4.1).
type rangeDecoder struct {
	b    []byte
	rng  uint32
	val  uint32
	last uint32 // the byte whose lowest bit is not read yet
}

func (r *rangeDecoder) init(frame []byte) {
	*r = rangeDecoder{b: frame, rng: 128}
	r.last = r.next()
	r.val = 127 - r.last>>1
	r.normalise()
}

func (r *rangeDecoder) next() uint32 {
	if len(r.b) == 0 {
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return uint32(v)
}

func (r *rangeDecoder) normalise() {
	for r.rng <= 1<<23 {
		previous := r.last
		r.last = r.next()
		r.rng <<= 8
		r.val = (r.val<<8 + (255 - (previous<<7|r.last>>1)&255)) & 0x7FFFFFFF
	}
}

// bits reads n flags that are as likely set as not, and returns the last.
func (r *rangeDecoder) bits(n int) int {
	bit := 0
	for range n {
		half := r.rng >> 1
		if r.val >= half {
			r.val -= half
			r.rng -= half
			bit = 0
		} else {
			r.rng = half
			bit = 1
		}
		r.normalise()
	}
	return bit
}

// symbol reads one of the symbols whose likelihoods, together 256, are given.
func (r *rangeDecoder) symbol(likelihoods []uint32) int {
	unit := r.rng >> 8
	above := uint32(256) // the likelihoods of this symbol and all after it
	for i, p := range likelihoods {
		above -= p
		if low := unit * above; r.val >= low || i == len(likelihoods)-1 {
			r.val -= low
			if i == 0 {
				r.rng -= low
			} else {
				r.rng = unit * p
			}
			r.normalise()
			return i
		}
	}
	return 0
}

// toInt16 rounds and saturates.
func toInt16(v float32) int16 {
	switch {
	case v >= 32767:
		return 32767
	case v <= -32768:
		return -32768
	case v >= 0:
		return int16(v + 0.5)
	}
	return int16(v - 0.5)
}
