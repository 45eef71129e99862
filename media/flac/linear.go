package flac

import "math"

// Bounds of the linear predictor (RFC 9639 section 9.2.6).
const (
	linearOrder = 8
	precision   = 12 // bits of a coefficient, sign included
	maxShift    = 15
)

// A linear predictor is the one that fits a block best, with whole coefficients.
type linear struct {
	shift  uint
	coeffs [linearOrder]int32
	window []float64
	faded  []float64
}

// tryLinear computes the residual of the linear predictor into s.trial, and its Rice parameters into s.rice.
func (s *subframe) tryLinear(width uint) (coding, bool) {
	if len(s.samples) != blockSize || !s.linear.fit(s.samples) {
		return coding{}, false
	}
	s.trial = s.trial[:0]
	k := &s.linear.coeffs
	for i := linearOrder; i < len(s.samples); i++ {
		x := s.samples[i-linearOrder : i : i]
		sum := int64(k[0])*int64(x[7]) + int64(k[1])*int64(x[6]) + int64(k[2])*int64(x[5]) + int64(k[3])*int64(x[4]) +
			int64(k[4])*int64(x[3]) + int64(k[5])*int64(x[2]) + int64(k[6])*int64(x[1]) + int64(k[7])*int64(x[0])
		r := int64(s.samples[i]) - sum>>s.linear.shift
		if r != int64(int32(r)) || r == math.MinInt32 { // RFC 9639 section 9.2.7.3
			return coding{}, false
		}
		s.trial = append(s.trial, int32(r))
	}
	partition, cost := s.partitions(s.trial, linearOrder)
	head := uint64(4 + 5 + linearOrder*precision)
	return coding{
		kind: kindLinear + linearOrder - 1, order: linearOrder, partition: partition, cost: cost + head + linearOrder*uint64(width),
	}, true
}

func (l *linear) write(b *bitWriter) {
	b.put(precision-1, 4)
	b.put(uint64(l.shift), 5)
	for _, c := range l.coeffs {
		b.put(uint64(c), precision)
	}
}

// fit finds the coefficients by autocorrelation and the recursion of Levinson and Durbin, and rounds them.
func (l *linear) fit(samples []int32) bool {
	if l.window == nil {
		l.window, l.faded = make([]float64, blockSize), make([]float64, blockSize)
		for i := range l.window { // Welch's
			x := (float64(i) - (blockSize-1)/2.0) / ((blockSize + 1) / 2.0)
			l.window[i] = 1 - x*x
		}
	}
	for i, v := range samples {
		l.faded[i] = float64(v) * l.window[i]
	}
	var auto [linearOrder + 1]float64
	for lag := range auto {
		sum, a, b := 0.0, l.faded[lag:], l.faded
		for i, v := range a {
			sum += v * b[i]
		}
		auto[lag] = sum
	}
	coeffs, ok := levinson(auto)
	return ok && l.quantise(coeffs)
}

func levinson(auto [linearOrder + 1]float64) (a [linearOrder]float64, ok bool) {
	left := auto[0]
	for i := range a {
		if left <= 0 {
			return a, false
		}
		r := auto[i+1]
		for j := range i {
			r -= a[j] * auto[i-j]
		}
		r /= left
		before := a
		a[i] = r
		for j := range i {
			a[j] = before[j] - r*before[i-1-j]
		}
		left *= 1 - r*r
	}
	return a, true
}

// quantise rounds the coefficients to a common number of binary places; what one rounding loses the next one gets.
func (l *linear) quantise(a [linearOrder]float64) bool {
	most := 0.0
	for _, v := range a {
		most = max(most, math.Abs(v))
	}
	if most == 0 || math.IsNaN(most) || math.IsInf(most, 0) {
		return false
	}
	_, exponent := math.Frexp(most)
	shift := min(maxShift, precision-1-exponent)
	if shift < 0 {
		return false
	}
	l.shift = uint(shift)
	const limit = 1<<(precision-1) - 1
	left := 0.0
	for i, v := range a {
		exact := math.Ldexp(v, shift) + left
		q := max(-limit-1, min(limit, math.Round(exact)))
		left = exact - q
		l.coeffs[i] = int32(q)
	}
	return true
}
