package flac

// maxUnary bounds the zeros of a Rice code: no residual of 32 bits has more.
const maxUnary = 1<<32 - 1

// subframe reads one channel of a frame.
func (b *bitReader) subframe(out []int32) error {
	kind := b.take(7)
	wasted := uint(0)
	if b.take(1) == 1 {
		wasted = uint(b.unary(bitsPerSample-2)) + 1
	}
	width := uint(bitsPerSample) - wasted
	switch {
	case b.err != nil:
	case kind == kindConstant:
		v := b.signed(width)
		for i := range out {
			out[i] = v
		}
	case kind == kindVerbatim:
		for i := range out {
			out[i] = b.signed(width)
		}
	case kind >= kindFixed && kind <= kindFixed+maxFixedOrder:
		b.fixed(out, int(kind-kindFixed), width)
	case kind == kindLinear+linearOrder-1:
		b.linear(out, width)
	default:
		b.err = ErrFormat
	}
	for i := range out {
		out[i] <<= wasted
	}
	return b.err
}

// fixed undoes a fixed predictor.
func (b *bitReader) fixed(out []int32, order int, width uint) {
	if !b.warm(out, order, width) {
		return
	}
	b.residual(out, order)
	for o := order; o > 0; o-- { // the residual is the order-th difference
		// Differences of the samples before, of order o-1, from the samples themselves.
		var d [maxFixedOrder]int32
		copy(d[:order], out[:order])
		for k := range o - 1 {
			for i := order - 1; i > k; i-- {
				d[i] -= d[i-1]
			}
		}
		last := d[order-1]
		for i := order; i < len(out); i++ {
			last += out[i]
			out[i] = last
		}
	}
}

// linear undoes the linear predictor.
func (b *bitReader) linear(out []int32, width uint) {
	if !b.warm(out, linearOrder, width) {
		return
	}
	if got := b.take(4); got != precision-1 && b.err == nil {
		b.err = ErrFormat
	}
	shift := uint(b.take(5))
	if shift > maxShift && b.err == nil {
		b.err = ErrFormat
	}
	var k [linearOrder]int64
	for i := range k {
		k[i] = int64(b.signed(precision))
	}
	b.residual(out, linearOrder)
	for i := linearOrder; i < len(out) && b.err == nil; i++ {
		sum := int64(0)
		for j, c := range k {
			sum += c * int64(out[i-1-j])
		}
		v := int64(out[i]) + sum>>shift
		if v != int64(int16(v)) {
			b.err = ErrFormat
			return
		}
		out[i] = int32(v)
	}
}

// warm reads the samples that come before the residual.
func (b *bitReader) warm(out []int32, order int, width uint) bool {
	if order > len(out) {
		b.err = ErrFormat
		return false
	}
	for i := range order {
		out[i] = b.signed(width)
	}
	return b.err == nil
}

// residual reads Rice codes into out, behind the first ones.
func (b *bitReader) residual(out []int32, order int) {
	if method := b.take(2); method != 0 && b.err == nil {
		b.err = ErrFormat
	}
	partition := uint(b.take(4))
	size := len(out) >> partition
	if b.err == nil && (partition > maxPartition || size<<partition != len(out) || size < order) {
		b.err = ErrFormat
	}
	for at, next := order, size; at < len(out) && b.err == nil; next += size {
		k := uint(b.take(4))
		if k > maxRice && b.err == nil {
			b.err = ErrFormat
		}
		for ; at < next && b.err == nil; at++ {
			q := b.unary(maxUnary >> k)
			u := uint32(q<<k | b.take(k))
			out[at] = int32(u>>1) ^ -int32(u&1)
		}
	}
}
