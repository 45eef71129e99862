package codec

import (
	"fmt"
	"math"
)

const (
	// resampleLobes is the length of the filter: so many zero crossings of the sinc on either side. With the window below the
	// pass band reaches to 0.87 of half the lower rate, 3.5 kHz at 8000 Hz.
	resampleLobes = 40
	// resampleBeta is the Kaiser window's, for 80 dB of stop band.
	resampleBeta = 7.857
	// resampleCutoff is the middle of the transition, in parts of the lower rate: the stop band begins at its half, so that
	// nothing is folded.
	resampleCutoff = 0.5 - 0.0314
	// resampleChunk is how many samples of input are taken at a time.
	resampleChunk = 1024
)

// A Resampler changes the sample rate of one stream, piece by piece. Sample k of what it gives stands at time k/to of the
// input, and of n samples of input it makes exactly ceil(n·to/from). It works without allocation when the destination is large
// enough. It is used by one goroutine.
type Resampler struct {
	up, down int         // to and from, reduced
	half     int         // samples of input that the filter sees on either side
	filter   [][]float32 // by phase: 2·half weights, of the samples from 1-half to half of the one at or before the output
	history  []float32   // the input that is still needed
	at       int         // of the next output: the sample of history at or before it
	phase    int         // and how far behind it, in parts of up
	owed     int64       // input taken, times up, less output given, times down
}

// NewResampler makes a converter between two of the sample rates that decoders give: 8000, 11025, 12000, 16000, 22050, 24000,
// 32000, 44100 and 48000 Hz.
func NewResampler(from, to int) (*Resampler, error) {
	if !validRate(from) || !validRate(to) {
		return nil, fmt.Errorf("make resampler from %d to %d Hz: choose from %v", from, to, rates)
	}
	g := gcd(from, to)
	r := &Resampler{up: to / g, down: from / g}
	if from != to {
		r.design(float64(min(from, to)) / float64(from))
	}
	r.Reset()
	return r, nil
}

// design computes the filter, an ideal low pass within a Kaiser window; low is the lower rate in parts of the input's.
func (r *Resampler) design(low float64) {
	r.half = int(math.Ceil(resampleLobes / low))
	r.filter = make([][]float32, r.up)
	weights := make([]float64, 2*r.half)
	for phase := range r.filter {
		sum := 0.0
		for i := range weights {
			t := float64(i+1-r.half) - float64(phase)/float64(r.up) // in samples of input
			weights[i] = sinc(2*resampleCutoff*low*t) * kaiser(t/float64(r.half))
			sum += weights[i]
		}
		r.filter[phase] = make([]float32, len(weights))
		for i, w := range weights {
			r.filter[phase][i] = float32(w / sum) // each phase passes a constant as it is
		}
	}
	r.history = make([]float32, 0, 2*r.half+resampleChunk+r.down/r.up+1)
}

// Delay is how many samples of input the output lags behind until Flush.
func (r *Resampler) Delay() int { return r.half }

// Reset forgets the stream: the next sample is the first of another.
func (r *Resampler) Reset() {
	r.phase, r.owed = 0, 0
	if r.half > 0 {
		clear(r.history[:cap(r.history)])
		r.history = r.history[:r.half-1] // before the stream there is silence
		r.at = r.half - 1
	}
}

// Write takes the next samples of the stream and appends what they make ready.
func (r *Resampler) Write(dst, in []int16) []int16 {
	if r.half == 0 {
		return append(dst, in...)
	}
	r.owed += int64(len(in)) * int64(r.up)
	for len(in) > 0 {
		n := min(len(in), cap(r.history)-len(r.history))
		for _, v := range in[:n] {
			r.history = append(r.history, float32(v))
		}
		in = in[n:]
		dst = r.ready(dst)
	}
	return dst
}

// Flush appends what is still owed, as if silence followed, and forgets the stream.
func (r *Resampler) Flush(dst []int16) []int16 {
	if r.half > 0 {
		for r.owed > 0 {
			n := min(r.half, cap(r.history)-len(r.history))
			r.history = r.history[:len(r.history)+n]
			clear(r.history[len(r.history)-n:])
			dst = r.ready(dst)
		}
	}
	r.Reset()
	return dst
}

// ready appends the output for which history has all input, and drops the history that is no longer needed.
func (r *Resampler) ready(dst []int16) []int16 {
	at, phase, taps := r.at, r.phase, 2*r.half
	for at+r.half < len(r.history) && r.owed > 0 {
		dst = append(dst, toInt16(dot(r.history[at+1-r.half:][:taps], r.filter[phase])))
		r.owed -= int64(r.down)
		phase += r.down
		at += phase / r.up
		phase %= r.up
	}
	if drop := min(at+1-r.half, len(r.history)); drop > 0 {
		r.history = r.history[:copy(r.history, r.history[drop:])]
		at -= drop
	}
	r.at, r.phase = at, phase
	return dst
}

// dot is the scalar product of a and b, which are of one even length. Four sums at a time keep the processor busy.
func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for len(a) >= 4 && len(b) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	for i := range min(len(a), len(b)) {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window at x, from -1 to 1; it is 0 outside.
func kaiser(x float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel(resampleBeta*math.Sqrt(1-x*x)) / bessel(resampleBeta)
}

// bessel is the modified Bessel function of the first kind, of order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
