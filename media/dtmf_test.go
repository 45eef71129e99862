package media

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// dBm0 is the amplitude of a tone: 0 dBm0 is 3.17 dB below the full scale of the mu-law (ITU-T G.711 section 4).
func dBm0(level float64) float64 { return 32124 * math.Pow(10, (level-3.17)/20) }

// A dialled is what a telephone makes of keys.
type dialled struct {
	keys       string
	low, high  float64 // levels in dBm0
	on, off    int     // in samples
	lead       int     // silence before
	off1, off2 float64 // by how much the tones are off, as a share
	noise      float64 // amplitude
	phase      float64
}

// frequencies gives the two tones of a key.
func frequencies(key byte) (low, high float64) {
	for i, row := range pairKeys {
		for j := range row {
			if row[j] == key {
				return lowTones[i], highTones[j]
			}
		}
	}
	panic(key)
}

func (d dialled) pcm() []int16 {
	r := random()
	x := make([]float64, d.lead)
	for i := range d.keys {
		low, high := frequencies(d.keys[i])
		for k := range d.on {
			t := float64(k) / Rate
			x = append(x, dBm0(d.low)*math.Sin(2*math.Pi*low*(1+d.off1)*t+d.phase)+dBm0(d.high)*math.Sin(2*math.Pi*high*(1+d.off2)*t+2*d.phase))
		}
		x = append(x, make([]float64, d.off)...)
	}
	out := make([]int16, len(x))
	for i, v := range x {
		out[i] = int16(max(-32124, min(32124, v+d.noise*r.NormFloat64())))
	}
	return out
}

// A heardKey is a key and the sample at which the packet begins in which it began.
type heardKey struct {
	key byte
	at  int64
}

// hearAll gives a finder samples in packets, as they are after coding.
func hearAll(pcm []int16, law codec.Encoding, packet int) (keys string, all []heardKey) {
	var d dtmf
	coded := make([]byte, len(pcm))
	for i, v := range pcm {
		coded[i] = encode(law, v)
	}
	var space [toneHop]int16
	for from := 0; from < len(coded); from += packet {
		d.arrived(int64(from) + 1)
		for p := coded[from:min(from+packet, len(coded))]; len(p) > 0; {
			n := codec.Decode(space[:], law, p)
			p = p[n:]
			if key, at := d.hear(space[:n]); key != 0 {
				keys += string(key)
				all = append(all, heardKey{key, at - 1})
			}
		}
	}
	return keys, all
}

const allKeys = "1234567890*#ABCD"

// Every key is heard once, at any usual level, length, twist and deviation, wherever it begins (ITU-T Q.24 table A-1).
func TestKeysInTheSound(t *testing.T) {
	const level = -10
	tests := map[string]dialled{
		"usual":               {on: 800, off: 800},
		"short":               {on: 40 * ms, off: 40 * ms},
		"short pauses":        {on: 100 * ms, off: 30 * ms},
		"long":                {on: 400 * ms, off: 40 * ms},
		"frequencies high":    {on: 40 * ms, off: 40 * ms, off1: 0.015, off2: 0.015},
		"frequencies low":     {on: 40 * ms, off: 40 * ms, off1: -0.015, off2: -0.015},
		"frequencies apart":   {on: 50 * ms, off: 40 * ms, off1: 0.015, off2: -0.015},
		"low tones stronger":  {on: 40 * ms, off: 40 * ms, high: -8},
		"high tones stronger": {on: 40 * ms, off: 40 * ms, low: -4},
		"noise":               {on: 50 * ms, off: 50 * ms, noise: dBm0(level - 15)},
	}
	for name, d := range tests {
		d.keys = allKeys
		d.low, d.high = d.low+level, d.high+level
		t.Run(name, func(t *testing.T) { d.everywhere(t) })
	}
	for level := -3.0; level >= -24; level -= 3 {
		t.Run(fmt.Sprintf("%v dBm0", level), func(t *testing.T) {
			dialled{keys: allKeys, low: level, high: level, on: 40 * ms, off: 40 * ms}.everywhere(t)
		})
	}
	t.Run("the same key", func(t *testing.T) {
		dialled{keys: "1111552222", low: level, high: level, on: 40 * ms, off: 30 * ms}.everywhere(t)
	})
}

// everywhere hears the keys in both laws, in several packetisations, and beginning anywhere in a window.
func (d dialled) everywhere(t *testing.T) {
	t.Helper()
	for lead := range toneWindow {
		law, packet := []codec.Encoding{codec.PCMU, codec.PCMA}[lead%2], []int{160, 80, 240, 40, 480}[lead%5]
		d.lead, d.phase = 800+lead, float64(lead)
		got, all := hearAll(d.pcm(), law, packet)
		if got != d.keys {
			t.Errorf("%v, packets of %d, %d samples before: heard %q of %q", law, packet, lead, got, d.keys)
			continue
		}
		for i, k := range all {
			begun := d.lead + i*(d.on+d.off)
			// A tone that begins with the last two samples of a packet may not be heard in them: they may be 0.
			earliest, latest := begun, begun+2
			if d.noise > 0 {
				earliest -= toneRise + toneHop
			}
			if k.at < int64(earliest/packet*packet) || k.at > int64(latest/packet*packet) {
				t.Errorf("packets of %d: %c is said to begin in the packet at %d; it began at %d", packet, k.key, k.at, begun)
			}
		}
	}
}

// What is no key is none: ITU-T Q.24, and what the telephone network sounds like.
func TestNoKeysInTheSound(t *testing.T) {
	const minute = 60 * Rate
	tests := map[string]func() []int16{
		"too short":       dialled{keys: allKeys, low: -10, high: -10, on: 20 * ms, off: 100 * ms}.pcm,
		"too low":         dialled{keys: allKeys, low: -40, high: -40, on: 80 * ms, off: 80 * ms}.pcm,
		"low twist":       dialled{keys: allKeys, low: -6, high: -18, on: 80 * ms, off: 80 * ms}.pcm,
		"high twist":      dialled{keys: allKeys, low: -16, high: -6, on: 80 * ms, off: 80 * ms}.pcm,
		"low tone alone":  dialled{keys: allKeys, low: -6, high: -90, on: 80 * ms, off: 80 * ms}.pcm,
		"high tone alone": dialled{keys: allKeys, low: -90, high: -6, on: 80 * ms, off: 80 * ms}.pcm,
		"far off":         dialled{keys: allKeys, low: -10, high: -10, on: 80 * ms, off: 80 * ms, off1: 0.05, off2: 0.05}.pcm,
		"noise":           func() []int16 { return noise(minute) },
		"dial tone":       func() []int16 { return chord(minute, 350, 1, 440, 1) },
		"ringing":         func() []int16 { return chord(minute, 440, 1, 480, 1) },
		"busy":            func() []int16 { return chord(minute, 480, 1, 620, 1) },
		"music":           func() []int16 { return chord(minute, 697, 1, 1047, 1, 1319, 1, 1568, 1) },
		"two low tones":   func() []int16 { return chord(minute, 697, 1, 770, 0.6, 1209, 1) },
		"two high tones":  func() []int16 { return chord(minute, 697, 1, 1209, 1, 1336, 0.6) },
		"siren":           func() []int16 { return siren(minute) },
		"silence":         func() []int16 { return make([]int16, minute) },
		"low harmonic":    func() []int16 { return chord(minute, 697, 1, 1209, 1, 1394, 0.6) },
		"high harmonic":   func() []int16 { return chord(minute, 697, 1, 1209, 1, 2418, 0.6) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			for _, law := range []codec.Encoding{codec.PCMU, codec.PCMA} {
				if got, _ := hearAll(make(), law, 160); got != "" {
					t.Errorf("%v: heard %q", law, got)
				}
			}
		})
	}
	t.Run("speech", func(t *testing.T) {
		const minutes = 10
		n := 0
		for seed := range uint64(minutes) {
			got, _ := hearAll(babble(minute, seed), codec.PCMA, 160)
			n += len(got)
		}
		if n > 0 {
			t.Errorf("%d keys heard in %d minutes of speech", n, minutes)
		}
	})
}

func noise(n int) []int16 {
	r, out := random(), make([]int16, n)
	for i := range out {
		out[i] = int16(max(-32000, min(32000, 6000*r.NormFloat64())))
	}
	return out
}

// chord is tones for ever: frequencies, each with its share.
func chord(n int, parts ...float64) []int16 {
	out := make([]int16, n)
	for i := range out {
		for k := 0; k < len(parts); k += 2 {
			out[i] += int16(7000 * parts[k+1] * math.Sin(2*math.Pi*parts[k]*float64(i)/Rate+float64(k)))
		}
	}
	return out
}

// siren is two tones that go up and down through all frequencies, at different speeds.
func siren(n int) []int16 {
	out := make([]int16, n)
	a, b := 0.0, 0.0
	for i := range out {
		t := float64(i) / Rate
		a += 2 * math.Pi * (820 + 200*math.Sin(t*13)) / Rate
		b += 2 * math.Pi * (1420 + 300*math.Sin(t*17.1)) / Rate
		out[i] = int16(10000 * (math.Sin(a) + math.Sin(b)))
	}
	return out
}

// babble is a voice that says vowels and hisses: pulses at a pitch that wanders, through three formants that wander too.
func babble(n int, seed uint64) []int16 {
	r := rand.New(rand.NewPCG(seed, 3))
	vowels := [][3]float64{{730, 1090, 2440}, {270, 2290, 3010}, {300, 870, 2240}, {530, 1840, 2480}, {660, 1720, 2410}, {570, 840, 2410}, {440, 1020, 2240}, {640, 1190, 2390}, {490, 1350, 1690}}
	out := make([]int16, 0, n)
	var formants [3]resonator
	voice := 90 + 160*r.Float64()
	pitch, phase := voice, 0.0
	for len(out) < n {
		target, length := vowels[r.IntN(len(vowels))], 400+r.IntN(2400)
		stretch := 0.85 + 0.4*r.Float64()
		voiced, loud := r.Float64() < 0.8, 2000+20000*r.Float64()
		bend := (r.Float64() - 0.5) * 0.0002
		if r.Float64() < 0.2 {
			loud = 0
		}
		for k := range formants {
			formants[k].width = 50 + 60*float64(k)
		}
		for range min(length, n-len(out)) {
			pitch += pitch*bend + 0.02*(voice-pitch)/Rate*100
			phase += pitch / Rate
			x := 0.0
			if phase >= 1 {
				phase--
				x = 1
			}
			if !voiced {
				x = 0.15 * r.NormFloat64()
			}
			for k := range formants {
				formants[k].hertz += (target[k]*stretch - formants[k].hertz) * 0.003
				x = formants[k].filter(x)
			}
			out = append(out, int16(max(-32000, min(32000, loud*x*4))))
		}
	}
	return out
}

type resonator struct{ hertz, width, a, b float64 }

func (f *resonator) filter(x float64) float64 {
	decay := math.Exp(-math.Pi * f.width / Rate)
	y := (1-decay)*x*4 + 2*decay*math.Cos(2*math.Pi*f.hertz/Rate)*f.a - decay*decay*f.b
	f.a, f.b = y, f.a
	return y
}

// A press goes on over a short loss, ends with a long one and with a silence that was not sent.
func TestKeysAcrossGaps(t *testing.T) {
	tone := dialled{keys: "5", low: -10, high: -10, on: 200 * ms}.pcm()
	for _, c := range []struct {
		name string
		gap  int64
		lost bool
		want string
	}{
		{"a packet is lost", 20 * ms, true, "5"},
		{"two are lost", 40 * ms, true, "5"},
		{"many are lost", 100 * ms, true, "55"},
		{"silence is not sent", 40 * ms, false, "55"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d dtmf
			got := ""
			for i := range 2 {
				if i == 1 {
					d.gap(c.gap, c.lost)
				}
				for x := tone; len(x) > 0; x = x[min(toneHop, len(x)):] {
					if key, _ := d.hear(x[:min(toneHop, len(x))]); key != 0 {
						got += string(key)
					}
				}
			}
			if got != c.want {
				t.Errorf("heard %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzTones looks for keys in anything: how it is cut into packets makes no difference, and no two presses are nearer than they can be.
func FuzzTones(f *testing.F) {
	var coded []byte
	for _, v := range (dialled{keys: "159D", low: -10, high: -10, on: 40 * ms, off: 40 * ms}).pcm() {
		coded = append(coded, encode(codec.PCMU, v))
	}
	f.Add(coded, uint8(17))
	f.Add([]byte{0, 255, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, coded []byte, cut uint8) {
		pcm := make([]int16, len(coded))
		codec.Decode(pcm, codec.PCMU, coded)
		hear := func(step int) (keys string, at []int64) {
			var d dtmf
			d.arrived(1)
			for x := pcm; len(x) > 0; x = x[min(step, len(x)):] {
				if key, _ := d.hear(x[:min(step, len(x))]); key != 0 {
					keys, at = keys+string(key), append(at, d.heard)
				}
			}
			return keys, at
		}
		whole, at := hear(toneHop)
		parts, _ := hear(1 + int(cut)%toneHop)
		if whole != parts {
			t.Fatalf("heard %q in hops, %q in parts", whole, parts)
		}
		for i := range at {
			if i > 0 && at[i]-at[i-1] < (toneLeast-1)*toneHop {
				t.Fatalf("two presses within %d samples", at[i]-at[i-1])
			}
		}
	})
}

// BenchmarkTones is 20 ms of speech that may hold keys.
func BenchmarkTones(b *testing.B) {
	pcm := babble(10*Rate, 1)
	var d dtmf
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		from := i * 160 % (len(pcm) - 160)
		for x := pcm[from : from+160]; len(x) > 0; x = x[min(toneHop, len(x)):] {
			d.hear(x[:min(toneHop, len(x))])
		}
	}
}
