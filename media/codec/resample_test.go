package codec_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

var rates = []int{8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}

func mustResampler(t testing.TB, from, to int) *codec.Resampler {
	t.Helper()
	r, err := codec.NewResampler(from, to)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// everyPair runs a test for each pair of rates.
func everyPair(t *testing.T, f func(t *testing.T, from, to int)) {
	for _, from := range rates {
		for _, to := range rates {
			t.Run(fmt.Sprintf("%d to %d", from, to), func(t *testing.T) { f(t, from, to) })
		}
	}
}

// resampled is the whole of in at another rate.
func resampled(t testing.TB, in []int16, from, to int) []int16 {
	t.Helper()
	r := mustResampler(t, from, to)
	return r.Flush(r.Write(nil, in))
}

func TestResamplerRefusesOtherRates(t *testing.T) {
	for _, c := range [][2]int{{0, 8000}, {8000, 96000}, {-8000, 8000}, {8001, 48000}} {
		if _, err := codec.NewResampler(c[0], c[1]); err == nil {
			t.Errorf("%d to %d Hz is taken", c[0], c[1])
		}
	}
}

// sweep is a tone that rises from low to high hertz: sample k stands at k/rate seconds.
func sweep(rate int, seconds, low, high float64) []int16 {
	out := make([]int16, int(math.Ceil(seconds*float64(rate))))
	for i := range out {
		at := float64(i) / float64(rate)
		out[i] = int16(math.Round(16000 * math.Sin(2*math.Pi*(low*at+(high-low)/(2*seconds)*at*at))))
	}
	return out
}

// The sweep of the pass band is the same sweep at the other rate: amplitude, phase and instant, and no mirror image beside it.
func TestResamplerKeepsThePassBand(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		high := 0.43 * float64(min(from, to))
		got, want := resampled(t, sweep(from, 1, 50, high), from, to), sweep(to, 1, 50, high)
		if len(got) != len(want) {
			t.Fatalf("%d samples, want %d", len(got), len(want))
		}
		// The ends are cut: there the sweep stops, which is not in the pass band.
		edge := to / 50
		if db := snr(want[edge:len(want)-edge], got[edge:len(got)-edge]); db < 60 {
			t.Errorf("%.1f dB", db)
		}
	})
}

// A tone above half of the lower rate must not come out as another.
func TestResamplerDoesNotFold(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		for hz := 0.5 * float64(to); hz < 0.49*float64(from); hz += 0.06 * float64(from) {
			in := sine(from, from/4, hz, 20000)
			got := resampled(t, in, from, to)
			edge := to / 20
			power := 0.0
			for _, v := range got[edge : len(got)-edge] {
				power += float64(v) * float64(v)
			}
			power /= float64(len(got) - 2*edge)
			if db := 10 * math.Log10((power+1e-9)/(20000*20000/2)); db > -60 {
				t.Errorf("%.0f Hz comes out at %.1f dB", hz, db)
			}
		}
	})
}

func TestResamplerPlacesAnImpulse(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		for _, at := range []int{0, 7, 1023, 1999} {
			in := make([]int16, 2000)
			in[at] = 30000
			got := resampled(t, in, from, to)
			peak := 0
			for i, v := range got {
				if math.Abs(float64(v)) > math.Abs(float64(got[peak])) {
					peak = i
				}
			}
			want := float64(at) * float64(to) / float64(from)
			if last := float64(len(got) - 1); want > last {
				want = last // the very end of the input may stand between the last two samples
			}
			if d := math.Abs(float64(peak) - want); d > 0.5+1e-9 {
				t.Errorf("impulse at %d is at %d, want %.2f", at, peak, want)
			}
		}
	})
}

// However the stream is cut, the samples and their number are the same.
func TestResamplerTakesAnyPieces(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		for _, total := range []int{0, 1, 3, 1024, 2801} {
			in := noise(total, 6000, uint64(total))
			want := resampled(t, in, from, to)
			if n := (total*to + from - 1) / from; len(want) != n {
				t.Fatalf("%d samples give %d, want %d", total, len(want), n)
			}
			r := mustResampler(t, from, to)
			for _, piece := range []int{1, 160, 882, 5000} {
				var got []int16
				for p := range slices.Chunk(in, piece) {
					got = r.Write(got, p)
				}
				if got = r.Flush(got); !slices.Equal(want, got) {
					t.Fatalf("in pieces of %d: %d samples, other than the %d of the whole", piece, len(got), len(want))
				}
			}
		}
	})
}

// Until Flush the output lags by Delay samples of input, no more.
func TestResamplerDelay(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		r := mustResampler(t, from, to)
		in, out := 0, 0
		for range 50 {
			out += len(r.Write(nil, make([]int16, 160)))
			in += 160
			if seen := max(0, in-r.Delay()) * to / from; out < seen || out > seen+1 && r.Delay() > 0 {
				t.Fatalf("%d samples in, %d out, want %d", in, out, seen)
			}
		}
		if r.Reset(); len(r.Flush(nil)) != 0 {
			t.Error("Reset leaves something to flush")
		}
	})
}

func TestResamplerDoesNotAllocate(t *testing.T) {
	everyPair(t, func(t *testing.T, from, to int) {
		r := mustResampler(t, from, to)
		in, dst := make([]int16, from/50), make([]int16, 0, 2*to)
		if n := testing.AllocsPerRun(100, func() { r.Write(dst, in) }); n != 0 {
			t.Errorf("%v allocations for 20 ms", n)
		}
		if n := testing.AllocsPerRun(100, func() { r.Flush(dst) }); n != 0 {
			t.Errorf("%v allocations for the tail", n)
		}
	})
}

func FuzzResampler(f *testing.F) {
	f.Add(uint8(0), uint8(8), []byte{1, 2, 3, 200}, uint8(3))
	f.Add(uint8(7), uint8(1), make([]byte, 400), uint8(17))
	f.Fuzz(func(t *testing.T, a, b uint8, data []byte, piece uint8) {
		from, to := rates[int(a)%len(rates)], rates[int(b)%len(rates)]
		r := mustResampler(t, from, to)
		in := make([]int16, len(data))
		for i, v := range data {
			in[i] = int16(v) << 8
		}
		var out []int16
		for p := range slices.Chunk(in, int(piece)+1) {
			out = r.Write(out, p)
		}
		out = r.Flush(out)
		if want := (len(in)*to + from - 1) / from; len(out) != want {
			t.Errorf("%d samples from %d to %d Hz give %d, want %d", len(in), from, to, len(out), want)
		}
	})
}

func BenchmarkResampler(b *testing.B) {
	for _, c := range [][2]int{{8000, 48000}, {16000, 48000}, {44100, 48000}, {48000, 8000}, {48000, 16000}, {8000, 16000}} {
		b.Run(fmt.Sprintf("%d to %d", c[0], c[1]), func(b *testing.B) {
			r := mustResampler(b, c[0], c[1])
			in, dst := noise(c[0]/50, 5000, 1), make([]int16, 0, 2*c[1])
			b.ReportAllocs()
			for b.Loop() {
				r.Write(dst, in)
			}
		})
	}
}
