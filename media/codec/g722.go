package codec

// g722Codec is G.722 in its 64 kbit/s mode (ITU-T G.722 mode 1). Its clock rate of 8000 is an old mistake that stays (RFC 3551
// section 4.5.2): the sound is at 16 kHz, two samples for each byte.
func g722Codec(f Format) (Codec, bool) {
	c := Codec{Name: "G722", ClockRate: 8000, Rate: 16000, New: func() (Decoder, error) {
		d := new(g722)
		d.Reset()
		return d, nil
	}}
	return c, f.ClockRate == 8000 && f.Channels == 1
}

// g722 decodes the two sub-bands, 0 to 4 and 4 to 8 kHz, each with its own adaptive predictor, and joins them.
type g722 struct {
	low, high band
	qmf       [24]int32 // the sums (even) and differences (odd) of the last 12 pairs of the two bands, oldest first
}

// Reset puts the state to that of ITU-T G.722 table 19: the two step sizes at their smallest, all else 0.
func (d *g722) Reset() {
	*d = g722{}
	d.low.step, d.high.step = 32, 8
}

// Recover appends nothing: G.722 has no redundancy.
func (d *g722) Recover(dst []int16, _ []byte, _ int) ([]int16, error) {
	return dst, nil
}

// Frames says that each byte is two samples.
func (d *g722) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	return sound(dst, 2*len(payload)), nil
}

// Decode decodes bytes of 2 bits of the higher band and 6 of the lower.
func (d *g722) Decode(dst []int16, payload []byte) ([]int16, error) {
	dst, out := extend(dst, 2*len(payload))
	for i, b := range payload {
		low := d.decodeLow(b & 0x3F)
		high := d.decodeHigh(b >> 6)
		out[2*i], out[2*i+1] = d.join(low, high)
	}
	return dst, nil
}

// decodeLow is ITU-T G.722 section 6.2.1: the sound comes from all 6 bits, the predictor is fed by the upper 4, so that a
// network that robs the lower two does not lead it astray.
func (d *g722) decodeLow(code byte) int32 {
	b := &d.low
	out := clamp(b.predicted+b.step*g722Low6[code]>>15, 14)
	upper := code >> 2
	b.predict(b.step * g722Low4[upper] >> 15)
	b.scale(g722LowWeight[upper], 18432, 8)
	return out
}

// decodeHigh is ITU-T G.722 section 6.2.2.
func (d *g722) decodeHigh(code byte) int32 {
	b := &d.high
	difference := b.step * g722High2[code] >> 15
	out := clamp(b.predicted+difference, 14)
	b.predict(difference)
	b.scale(g722HighWeight[code], 22528, 10)
	return out
}

// join is the receiving quadrature mirror filter (ITU-T G.722 section 4.4): 24 taps, symmetric.
func (d *g722) join(low, high int32) (first, second int16) {
	copy(d.qmf[:22], d.qmf[2:])
	d.qmf[22], d.qmf[23] = low+high, low-high
	var even, odd int32
	for i, c := range g722QMF {
		odd += d.qmf[2*i+1] * g722QMF[11-i]
		even += d.qmf[2*i] * c
	}
	return int16(clamp(odd>>11, 15)), int16(clamp(even>>11, 15))
}

// A band is the state of one sub-band's adaptive predictor (ITU-T G.722 section 6.2.1.4 to 6.2.1.6, in its words: block 4).
// Numbers are fixed point of the standard's word lengths.
type band struct {
	predicted int32    // s: the prediction of the next sample
	zeros     int32    // sz: the part of it that the zero section gives
	step      int32    // det: the quantiser's step
	logStep   int32    // nb: its logarithm
	rec       [2]int32 // rlt: the last two reconstructed samples, newest first
	partial   [2]int32 // plt: the last two partial reconstructions, newest first
	pole      [2]int32 // al: the coefficients of the pole section
	diff      [6]int32 // dlt: the last six quantised differences, newest first
	zero      [6]int32 // bl: the coefficients of the zero section
}

// predict takes the quantised difference of a sample, adapts both sections, and predicts the next sample.
func (b *band) predict(difference int32) {
	rec := clamp(b.predicted+difference, 15)
	partial := clamp(b.zeros+difference, 15)

	// The second pole first: the limit of the first depends on it.
	same0 := sign(partial) == sign(b.partial[0])
	same1 := sign(partial) == sign(b.partial[1])
	lead := clamp(b.pole[0]<<2, 15)
	if same0 {
		lead = -lead
	}
	lead = min(lead, 32767) >> 7
	if same1 {
		lead += 128
	} else {
		lead -= 128
	}
	pole1 := max(min(lead+b.pole[1]*32512>>15, 12288), -12288)
	pole0 := b.pole[0] * 32640 >> 15
	if same0 {
		pole0 += 192
	} else {
		pole0 -= 192
	}
	limit := 15360 - pole1
	pole0 = max(min(pole0, limit), -limit)

	for i, d := range b.diff {
		b.zero[i] = b.zero[i] * 32640 >> 15
		switch {
		case difference == 0:
		case sign(d) == sign(difference):
			b.zero[i] += 128
		default:
			b.zero[i] -= 128
		}
	}
	copy(b.diff[1:], b.diff[:5])
	b.diff[0] = difference

	b.partial = [2]int32{partial, b.partial[0]}
	b.rec = [2]int32{rec, b.rec[0]}
	b.pole = [2]int32{pole0, pole1}

	var zeros int32
	for i, c := range b.zero {
		zeros += c * clamp(b.diff[i]<<1, 15) >> 15
	}
	b.zeros = clamp(zeros, 15)
	poles := clamp(pole0*clamp(2*rec, 15)>>15+pole1*clamp(2*b.rec[1], 15)>>15, 15)
	b.predicted = clamp(poles+b.zeros, 15)
}

// scale adapts the quantiser's step (ITU-T G.722 section 6.2.1.3): its logarithm leaks towards 0 and moves by the code's weight.
func (b *band) scale(weight, most, shift int32) {
	b.logStep = max(0, min(b.logStep*127>>7+weight, most))
	mantissa := g722Exp[b.logStep>>6&31]
	exponent := shift - b.logStep>>11
	if exponent < 0 {
		b.step = mantissa << -exponent << 2
	} else {
		b.step = mantissa >> exponent << 2
	}
}

// clamp saturates v to a signed number of the given bits beside the sign.
func clamp(v int32, bits uint) int32 {
	most := int32(1)<<bits - 1
	return max(-most-1, min(v, most))
}

// sign is -1 for negative numbers, else 0: the standard counts 0 as positive.
func sign(v int32) int32 {
	return v >> 31
}
