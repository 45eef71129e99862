package recorder

import (
	"math"
	"math/rand/v2"
)

// speechSecond is some seconds of two parties that take turns: vowels of moving pitch, and noise as on a line. Mu-law.
func speechSecond() [][]byte {
	const rate, seconds = 8000, 8
	random := rand.New(rand.NewPCG(5, 6))
	out := make([][]byte, seconds)
	phase := 0.0
	for s := range out {
		out[s] = make([]byte, 2*rate)
		for i := range rate {
			at := float64(s) + float64(i)/rate
			phase += 2 * math.Pi * (130 + 30*math.Sin(3*at)) / rate
			voice := 0.0
			for k := 1; k <= 12; k++ { // formants near 500 and 1500 Hz
				f := float64(k) * 130
				voice += math.Sin(float64(k)*phase) * (math.Exp(-math.Pow((f-500)/200, 2)) + 0.5*math.Exp(-math.Pow((f-1500)/200, 2)))
			}
			voice *= 7000 * math.Max(0, math.Sin(2*math.Pi*2.2*at)) // syllables
			talking := s / 4 % 2
			for c := range 2 {
				v := 30 * random.NormFloat64()
				if c == talking {
					v += voice
				}
				out[s][2*i+c] = toMuLaw(v)
			}
		}
	}
	return out
}

// toMuLaw is ITU-T G.711.
func toMuLaw(v float64) byte {
	sign := byte(0x80)
	if v < 0 {
		sign, v = 0, -v
	}
	m := int(math.Min(v, 32635)) + 132
	segment := 7
	for m>>(segment+7) == 0 && segment > 0 {
		segment--
	}
	return ^(sign ^ 0x80 | byte(segment<<4) | byte(m>>(segment+3)&15))
}
