package flac

import "math/bits"

// Kinds of subframes (RFC 9639 section 9.2.1).
const (
	kindConstant = 0x00
	kindVerbatim = 0x01
	kindFixed    = 0x08 // plus the order
	kindLinear   = 0x20 // plus the order less 1
)

const (
	maxFixedOrder = 4
	maxRice       = 14 // 15 is the escape
	maxPartition  = 6  // order of Rice partitions: 64 of 64 samples
)

// A subframe is the work on one channel of one frame. Its memory is used again.
type subframe struct {
	samples []int32 // without the wasted bits
	diff    []int32
	best    []int32 // residual of the best predictor so far
	trial   []int32 // residual of another one
	sums    [1 << maxPartition]uint64
	chosen  [1 << maxPartition]uint // Rice parameters of best
	rice    [1 << maxPartition]uint // of what partitions looked at last
	linear  linear
}

// A coding is one way to write a channel.
type coding struct {
	kind      uint64
	order     int
	partition uint // order of the Rice partitions
	cost      uint64
}

// write writes one channel.
func (s *subframe) write(b *bitWriter, in []int32) {
	wasted := wastedBits(in)
	s.samples = s.samples[:0]
	for _, v := range in {
		s.samples = append(s.samples, v>>wasted)
	}
	width := uint(bitsPerSample) - wasted
	if constant(s.samples) {
		writeHead(b, kindConstant, wasted)
		b.put(uint64(s.samples[0]), width)
		return
	}
	best := s.fixed(width)
	s.chosen = s.rice
	if l, ok := s.tryLinear(width); ok && l.cost < best.cost {
		best, s.chosen = l, s.rice
		s.best, s.trial = s.trial, s.best
	}
	if best.cost >= uint64(len(s.samples))*uint64(width) {
		writeHead(b, kindVerbatim, wasted)
		for _, v := range s.samples {
			b.put(uint64(v), width)
		}
		return
	}
	writeHead(b, best.kind, wasted)
	for _, v := range s.samples[:best.order] {
		b.put(uint64(v), width)
	}
	if best.kind >= kindLinear {
		s.linear.write(b)
	}
	s.writeResidual(b, best)
}

func writeHead(b *bitWriter, kind uint64, wasted uint) {
	b.put(kind, 7) // the first bit is 0
	if wasted == 0 {
		b.put(0, 1)
		return
	}
	b.put(1, 1)
	b.unary(uint64(wasted - 1))
}

// wastedBits is how many of the lowest bits are 0 in all samples: 2 in mu-law, 3 in A-law.
func wastedBits(in []int32) uint {
	var all int32
	for _, v := range in {
		all |= v
	}
	if all == 0 {
		return 0
	}
	return uint(bits.TrailingZeros32(uint32(all)))
}

func constant(in []int32) bool {
	for _, v := range in[1:] {
		if v != in[0] {
			return false
		}
	}
	return true
}

// fixed finds the fixed predictor (RFC 9639 section 9.2.5) whose residual is smallest.
func (s *subframe) fixed(width uint) coding {
	var sum [maxFixedOrder + 1]uint64
	var d [maxFixedOrder]int32 // the differences of the sample before, of order 0 to 3
	for i, v := range s.samples {
		x := v
		for order := range sum {
			if i >= maxFixedOrder {
				sum[order] += magnitude(x)
			}
			if order < maxFixedOrder {
				x, d[order] = x-d[order], x
			}
		}
	}
	order := 0
	for o := range sum {
		if sum[o] < sum[order] && o < len(s.samples) {
			order = o
		}
	}
	s.fixedResidual(order)
	partition, cost := s.partitions(s.best, order)
	return coding{kind: kindFixed + uint64(order), order: order, partition: partition, cost: cost + uint64(order)*uint64(width)}
}

// fixedResidual computes into s.best what the fixed predictor of an order does not foresee.
func (s *subframe) fixedResidual(order int) {
	s.diff = append(s.diff[:0], s.samples...)
	for o := range order {
		for i := len(s.diff) - 1; i > o; i-- {
			s.diff[i] -= s.diff[i-1]
		}
	}
	s.best = append(s.best[:0], s.diff[order:]...)
}

func magnitude(v int32) uint64 { return uint64(max(v, -v)) }

// zigzag folds the sign into the lowest bit.
func zigzag(v int32) uint32 { return uint32(v)<<1 ^ uint32(v>>31) }

// partitions finds the number of partitions for which Rice codes are shortest, leaves their parameters in s.rice and gives a
// cost in bits that is never below the true one.
func (s *subframe) partitions(residual []int32, order int) (partition uint, cost uint64) {
	size := len(residual) + order
	top := uint(0)
	for top < maxPartition && size%(2<<top) == 0 && size>>(top+1) > order {
		top++
	}
	s.finest(residual, order, size>>top)
	cost = ^uint64(0)
	var params [1 << maxPartition]uint
	for p := int(top); p >= 0; p-- {
		total := uint64(6) // method and partition order
		for i := range 1 << p {
			n := uint64(size >> p)
			if i == 0 {
				n -= uint64(order)
			}
			k, c := riceOf(s.sums[i], n)
			params[i] = k
			total += 4 + c
		}
		if total < cost {
			cost, partition, s.rice = total, uint(p), params
		}
		for i := range 1 << p / 2 {
			s.sums[i] = s.sums[2*i] + s.sums[2*i+1]
		}
	}
	return partition, cost
}

// finest sums the residual in partitions of a size; the first lacks the warm-up samples.
func (s *subframe) finest(residual []int32, order, size int) {
	n := size - order
	for i := 0; len(residual) > 0; i++ {
		sum := uint64(0)
		for _, v := range residual[:n] {
			sum += uint64(zigzag(v))
		}
		s.sums[i] = sum
		residual, n = residual[n:], size
	}
}

// riceOf gives the Rice parameter for n values of a sum, and the bits that they take at most.
func riceOf(sum, n uint64) (k uint, cost uint64) {
	if n == 0 {
		return 0, 0
	}
	k = min(maxRice, uint(max(0, bits.Len64(sum/n)-1)))
	cost = n*uint64(k+1) + sum>>k
	if next := n*uint64(k+2) + sum>>(k+1); next < cost && k < maxRice {
		return k + 1, next
	}
	return k, cost
}

// writeResidual writes s.best in partitions (RFC 9639 section 9.2.7).
func (s *subframe) writeResidual(b *bitWriter, c coding) {
	b.put(0, 2) // parameters of 4 bits
	b.put(uint64(c.partition), 4)
	size := (len(s.best) + c.order) >> c.partition
	rest, n := s.best, size-c.order
	for i := range 1 << c.partition {
		k := s.chosen[i]
		b.put(uint64(k), 4)
		for _, v := range rest[:n] {
			u := uint64(zigzag(v))
			if q := u >> k; q+uint64(k) < 32 {
				b.put(1<<k|u&(1<<k-1), uint(q)+1+k)
			} else {
				b.unary(q)
				b.put(u, k)
			}
		}
		rest, n = rest[n:], size
	}
}
