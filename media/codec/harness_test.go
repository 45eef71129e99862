package codec_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// mustDecoder makes the decoder of a format.
func mustDecoder(t testing.TB, f codec.Format) (codec.Codec, codec.Decoder) {
	t.Helper()
	c, ok := codec.Lookup(f)
	if !ok {
		t.Fatalf("Lookup(%+v) finds nothing", f)
	}
	d, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// decodeAll decodes payloads, checks each against its frames, and returns the samples and the frames.
func decodeAll(t testing.TB, d codec.Decoder, payloads [][]byte) (pcm []int16, frames []codec.Frame) {
	t.Helper()
	for i, p := range payloads {
		before, first := len(pcm), len(frames)
		var err error
		if frames, err = d.Frames(frames, p); err != nil {
			t.Fatalf("payload %d of %d bytes: Frames: %v", i, len(p), err)
		}
		if pcm, err = d.Decode(pcm, p); err != nil {
			t.Fatalf("payload %d of %d bytes: Decode: %v", i, len(p), err)
		}
		agree(t, frames[first:], pcm[before:])
	}
	return pcm, frames
}

// agree fails when the samples are not as many as the frames say, or not zeros where they must be.
func agree(t testing.TB, frames []codec.Frame, pcm []int16) {
	t.Helper()
	for _, f := range frames {
		if f.Samples > len(pcm) {
			t.Fatalf("frame of %d samples, %d left", f.Samples, len(pcm))
		}
		if f.Kind != codec.Sound && slices.ContainsFunc(pcm[:f.Samples], func(v int16) bool { return v != 0 }) {
			t.Fatalf("a frame of kind %d is not silent", f.Kind)
		}
		pcm = pcm[f.Samples:]
	}
	if len(pcm) != 0 {
		t.Fatalf("%d samples more than the frames say", len(pcm))
	}
}

// speech makes sound that goes through a codec as speech does: a gliding voice of many harmonics with formants, in
// syllables, and noise between them. It is the same for the same arguments.
func speech(rate int, seconds float64, seed uint64) []int16 {
	rnd := rand.New(rand.NewPCG(seed, 7))
	out := make([]int16, int(float64(rate)*seconds))
	phase := 0.0
	for i := range out {
		t := float64(i) / float64(rate)
		pitch := 130 + 30*math.Sin(2*math.Pi*0.7*t+float64(seed))
		phase += 2 * math.Pi * pitch / float64(rate)
		v := 0.0
		for k := 1.0; k*pitch < 0.45*float64(rate) && k <= 40; k++ {
			hz := k * pitch
			gain := 1/(1+math.Pow((hz-600)/250, 2)) + 0.5/(1+math.Pow((hz-1500-400*math.Sin(4*t))/300, 2)) + 0.02
			v += gain * math.Sin(k*phase)
		}
		envelope := 0.55 - 0.45*math.Cos(2*math.Pi*4*t)
		out[i] = int16(2600*envelope*v + 250*(1-envelope)*rnd.NormFloat64() + 20*rnd.NormFloat64())
	}
	return out
}

// noise is white, at the given root mean square.
func noise(n int, rms float64, seed uint64) []int16 {
	rnd := rand.New(rand.NewPCG(seed, 9))
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(max(-32768, min(32767, rms*rnd.NormFloat64())))
	}
	return out
}

// sine is a tone.
func sine(rate, n int, hz, amplitude float64) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return out
}

// snr is how far got is from want, in decibels; 200 when they are the same.
func snr(want, got []int16) float64 {
	signal, wrong := 0.0, 0.0
	for i, w := range want {
		e := float64(w) - float64(got[i])
		signal += float64(w) * float64(w)
		wrong += e * e
	}
	if wrong == 0 {
		return 200
	}
	return 10 * math.Log10(signal/wrong)
}

// little is samples as bytes, little endian.
func little(pcm []int16) []byte {
	out := make([]byte, 0, 2*len(pcm))
	for _, v := range pcm {
		out = append(out, byte(v), byte(uint16(v)>>8))
	}
	return out
}

// cut cuts b into pieces of n bytes.
func cut(b []byte, n int) [][]byte {
	return slices.Collect(slices.Chunk(b, n))
}

// decodeHostile decodes a payload of anybody's and checks that what comes out is as many samples as the frames say, at most
// most of them.
func decodeHostile(t *testing.T, d codec.Decoder, payload []byte, most int) {
	t.Helper()
	before := []int16{1, 2, 3}
	frames, malformed := d.Frames(nil, payload)
	pcm, err := d.Decode(before, payload)
	if !slices.Equal(pcm[:3], before) {
		t.Fatal("what was in dst is changed")
	}
	if malformed != nil {
		if err == nil || len(pcm) != 3 {
			t.Fatalf("Frames fails with %v; Decode gives %d samples, %v", malformed, len(pcm)-3, err)
		}
		return
	}
	agree(t, frames, pcm[3:])
	if len(pcm)-3 > most {
		t.Fatalf("%d samples, at most %d were to come", len(pcm)-3, most)
	}
}
