package media

import (
	"fmt"

	"github.com/greffier/greffier/media/codec"
)

// densities are the samples for each position that a recording may have: 8, 16 and 48 kHz.
var densities = [...]int{1, 2, 6}

// A feed takes the decoded samples of a stream to the ring, at the ring's rate. While packets follow on one another it is one run of
// sound, so that nothing is heard where they meet.
type feed struct {
	open      bool
	rate      int // of what comes
	density   int // samples for each position of the ring
	resampler *codec.Resampler
	from, to  int // of the resampler

	low   int64 // positions before it are left as they are
	start int64 // position at which the run began
	end   int64 // after the last packet
	came  int64 // samples
	given int64 // samples written to the ring
	last  int16 // sample
}

// lag is how far behind the ring may be: what a resampler must see before it can say what was.
func (f *feed) lag() int64 {
	if !f.open || f.resampler == nil {
		return 1
	}
	return int64(f.resampler.Delay())*Rate/int64(f.rate) + 1
}

// written is the position up to which the ring has the run.
func (f *feed) written() int64 {
	return f.start + f.given/int64(f.density)
}

// listen takes the samples of a packet that is at pos. Where drift was corrected the run is made longer or shorter.
func (t *timeline) listen(c *channel, f *feed, rate int, pcm []int16, pos, length int64) {
	if f.open && (f.rate != rate || f.density != t.density || magnitude(pos-f.end) > maxRepeat) {
		t.flush(c, f)
	}
	if !f.open && !f.begin(c, rate, t.density, pos) {
		return
	}
	want := (pos - f.start) * int64(rate) / Rate
	if rate%Rate != 0 && magnitude(want-f.came) <= int64(rate/Rate)+1 {
		want = f.came // positions are rounded, and no correction of drift
	}
	switch {
	case want > f.came:
		c.claim(max(f.end, t.committed), pos, t.slotBytes())
		var same [maxRepeat * MaxRate / Rate]int16
		n := int(min(want-f.came, int64(len(same))))
		for i := range same[:n] {
			same[i] = f.last
		}
		t.push(c, f, same[:n])
	case want < f.came:
		pcm = pcm[min(int64(len(pcm)), f.came-want):]
	}
	t.push(c, f, pcm)
	f.end = pos + length
}

// begin opens a run. It goes on from what the channel had when its ring became denser.
func (f *feed) begin(c *channel, rate, density int, pos int64) bool {
	resampler, from, to := f.resampler, f.from, f.to
	if rate == density*Rate {
		resampler = nil
	} else if resampler == nil || from != rate || to != density*Rate {
		var err error
		if resampler, err = codec.NewResampler(rate, density*Rate); err != nil {
			return false
		}
	} else {
		resampler.Reset()
	}
	*f = feed{open: true, rate: rate, density: density, resampler: resampler, from: rate, to: density * Rate, low: pos, start: pos, end: pos}
	if before := c.before; resampler != nil && len(before.pcm) > 0 && before.end == pos && before.rate == rate {
		f.start -= int64(len(before.pcm)) * Rate / int64(rate)
		f.low -= f.lag() // that was made without knowing what follows
		f.came = int64(len(before.pcm))
		f.given = int64(len(resampler.Write(nil, before.pcm)))
		c.before = tail{}
	}
	return true
}

func (t *timeline) push(c *channel, f *feed, pcm []int16) {
	if len(pcm) == 0 {
		return
	}
	f.came += int64(len(pcm))
	f.last = pcm[len(pcm)-1]
	if f.resampler != nil {
		t.work.out = f.resampler.Write(t.work.out[:0], pcm)
		pcm = t.work.out
	}
	t.lay(c, f, pcm)
}

// flush ends a run.
func (t *timeline) flush(c *channel, f *feed) {
	if f.resampler != nil {
		t.work.out = f.resampler.Flush(t.work.out[:0])
		t.lay(c, f, t.work.out)
	}
	f.open = false
}

// lay writes samples to the ring, where their positions are claimed and not committed.
func (t *timeline) lay(c *channel, f *feed, pcm []int16) {
	at := f.start*int64(f.density) + f.given
	f.given += int64(len(pcm))
	if c.data == nil || f.density != t.density {
		return
	}
	density := int64(f.density)
	for len(pcm) > 0 {
		pos, sample := at/density, at%density
		if at < 0 {
			pos, sample = -((-at + density - 1) / density), (at%density+density)%density
		}
		n := min(density-sample, int64(len(pcm)))
		if pos >= max(t.committed, f.low) && pos < t.committed+ringSamples && c.has(pos) {
			b := c.data[(int64(slot(pos))*density+sample)*2:]
			for i, v := range pcm[:n] {
				b[2*i], b[2*i+1] = byte(v), byte(uint16(v)>>8)
			}
		}
		pcm, at = pcm[n:], at+n
	}
}

// raise makes the rings dense enough for sound of a rate. What is in them is converted.
func (t *timeline) raise(rate int) {
	density := t.density
	for _, d := range densities {
		if density*Rate >= rate || d > t.most {
			break
		}
		density = max(density, d)
	}
	if density == t.density {
		return
	}
	for i, s := range t.streams {
		if s.decoder.feed.open {
			t.flush(t.channelOf(i), &s.decoder.feed)
		}
	}
	for _, c := range t.channels {
		if c.data != nil {
			c.densify(t.committed, t.density, density)
		}
	}
	t.density = density
}

// A tail is the last of a channel's samples before its ring became denser, and the position after it.
type tail struct {
	pcm  []int16
	rate int
	end  int64
}

// leadIn is the sound before a ring, in positions, that a resampler must have heard for the ring to go on from it.
const leadIn = 16 * ms

// densify converts a ring of linear samples, which begins at start, to another density. What was committed is still in its place,
// unless the ring is nearly full.
func (c *channel) densify(start int64, from, to int) {
	lead := int64(leadIn)
	if c.end > start+ringSamples-leadIn || start < leadIn-preroll {
		lead = 0
	}
	pcm := make([]int16, 0, (ringSamples+leadIn)*from)
	for pos := start - lead; pos < start+ringSamples; pos++ {
		for k := range from {
			v := int16(0)
			if pos < start || c.has(pos) {
				at := 2 * (slot(pos)*from + k)
				v = int16(uint16(c.data[at]) | uint16(c.data[at+1])<<8)
			}
			pcm = append(pcm, v)
		}
	}
	defer clear(pcm)
	out, err := convertAll(make([]int16, 0, (ringSamples+leadIn)*to), pcm, from*Rate, to*Rate)
	defer clear(out)
	clear(c.data)
	c.data = make([]byte, ringSamples*to*2)
	if err != nil {
		return
	}
	out = out[lead*int64(to):]
	if n := (c.end - start + lead) * int64(from); n > 0 && n <= int64(len(pcm)) {
		c.before = tail{append([]int16(nil), pcm[max(0, n-int64(leadIn*from)):n]...), from * Rate, c.end}
	}
	for i, v := range out[:min(len(out), ringSamples*to)] {
		at := 2 * (slot(start+int64(i/to))*to + i%to)
		c.data[at], c.data[at+1] = byte(v), byte(uint16(v)>>8)
	}
}

// convertAll appends a whole run at another rate.
func convertAll(dst, pcm []int16, from, to int) ([]int16, error) {
	if from == to {
		return append(dst, pcm...), nil
	}
	r, err := codec.NewResampler(from, to)
	if err != nil {
		return dst, fmt.Errorf("convert from %d to %d Hz: %w", from, to, err)
	}
	return r.Flush(r.Write(dst, pcm)), nil
}

// appendSamples appends n samples as 16 bits; what is missing is silent.
func appendSamples(dst []byte, pcm []int16, n int) []byte {
	for _, v := range pcm[:min(n, len(pcm))] {
		dst = append(dst, byte(v), byte(uint16(v)>>8))
	}
	for range 2 * max(0, n-len(pcm)) {
		dst = append(dst, 0)
	}
	return dst
}

// loud says whether a channel has a sample above LoudLevel that is not committed, up to limit.
func (t *timeline) loud(c *channel, limit int64) bool {
	if c.data == nil || c.end <= t.committed {
		return false
	}
	size := t.slotBytes()
	for pos := t.committed; pos < limit; {
		i := slot(pos)
		n := int(min(limit-pos, int64(ringSamples-i)))
		if loud(t.encoding, c.data[i*size:][:n*size]) {
			return true
		}
		pos += int64(n)
	}
	return false
}

func loud(e codec.Encoding, data []byte) bool {
	if e != codec.L16 {
		var pcm [256]int16
		for len(data) > 0 {
			n := codec.Decode(pcm[:], e, data)
			if n == 0 {
				return false
			}
			for _, v := range pcm[:n] {
				if v > LoudLevel || v < -LoudLevel {
					return true
				}
			}
			data = data[n:]
		}
		return false
	}
	for i := 0; i+1 < len(data); i += 2 {
		if v := int16(uint16(data[i]) | uint16(data[i+1])<<8); v > LoudLevel || v < -LoudLevel {
			return true
		}
	}
	return false
}
