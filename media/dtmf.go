package media

import "math"

// Keys in the sound are found as ITU-T Q.23 has them: two tones at once, of four low and four high ones. Each is looked for in windows
// by the algorithm of Goertzel. What is as loud as the tones and is none is speech, and so is a tone with a second harmonic.

const (
	// toneHop is from one window to the next, in samples at 8 kHz. A window is two hops, 12.75 ms: the first zero of its spectrum is
	// 78 Hz away, the next tone of the group 73 Hz at least.
	toneHop    = 51
	toneWindow = 2 * toneHop
	// toneLeast is how many windows in a row must have a pair: 32 ms. A pair of 40 ms (the least that ITU-T Q.24 wants to be heard)
	// fills them wherever it begins, one of 24 ms never does.
	toneLeast = 4
	// toneGone is how many windows in a row without the pair end a press; a pause of 30 ms has them.
	toneGone = 2
	// toneBridge is the longest loss, in samples, over which a pair is still the same press.
	toneBridge = 40 * ms
	// toneRise is how many samples a tone may take to be a quarter as loud as it gets; the quiet ones before are its own too.
	toneRise = 8
	// toneCame is how many packets are remembered by their arrival; a tone is sure to be one within 16 ms.
	toneCame = 8

	// toneFloor is the least amplitude of each tone, of 32767: -36 dBm0. ITU-T Q.24 has -25 dBm at the receiver as usual.
	toneFloor = 350
	// toneShare is how much of a window's energy must be the two tones'.
	toneShare = 0.7
	// tonePeak is by how much each tone must stand above the others of its group, as energy: 7 dB.
	tonePeak = 5
	// A low tone may be up to 8 dB above its high tone, and up to 4 dB below it. A window this short cannot tell exactly, as each tone
	// leaks into the other's place: limits are 3 dB and 1.4 dB more.
	toneLow  = 12.6
	toneHigh = 3.5
	// toneHarmonic is how much of the energy may be a second harmonic. It is above what the tone itself shows there.
	toneHarmonic = 0.12
)

// The tones, in hertz, and the keys of their pairs (ITU-T Q.23).
var (
	lowTones  = [4]float64{697, 770, 852, 941}
	highTones = [4]float64{1209, 1336, 1477, 1633}
	pairKeys  = [4]string{"123A", "456B", "789C", "*0#D"}
)

// A goertzel is the coefficients of four frequencies.
type goertzel [4]float64

func newGoertzel(hertz [4]float64, harmonic float64) goertzel {
	var g goertzel
	for i, f := range hertz {
		g[i] = 2 * math.Cos(2*math.Pi*f*harmonic/Rate)
	}
	return g
}

var (
	lowGroup, highGroup         = newGoertzel(lowTones, 1), newGoertzel(highTones, 1)
	lowHarmonics, highHarmonics = newGoertzel(lowTones, 2), newGoertzel(highTones, 2)
)

// powers gives the squared magnitude of four frequencies.
func (g *goertzel) powers(x *[toneWindow]int16) [4]float64 {
	var a, b [4]float64
	for _, v := range x {
		f := float64(v)
		a[0], b[0] = f+g[0]*a[0]-b[0], a[0]
		a[1], b[1] = f+g[1]*a[1]-b[1], a[1]
		a[2], b[2] = f+g[2]*a[2]-b[2], a[2]
		a[3], b[3] = f+g[3]*a[3]-b[3], a[3]
	}
	for i := range a {
		a[i] = squared(a[i], b[i], g[i])
	}
	return a
}

func squared(a, b, coefficient float64) float64 { return a*a + b*b - coefficient*a*b }

// power gives that of one of them.
func (g *goertzel) power(i int, x *[toneWindow]int16) float64 {
	var a, b float64
	for _, v := range x {
		a, b = float64(v)+g[i]*a-b, a
	}
	return squared(a, b, g[i])
}

// highest is the strongest of four, and whether it stands out.
func highest(p [4]float64) (best int, alone bool) {
	for i := range p {
		if p[i] > p[best] {
			best = i
		}
	}
	for i := range p {
		if i != best && p[i]*tonePeak > p[best] {
			return best, false
		}
	}
	return best, true
}

// pairOf gives the key whose tones a window has, 0 for none.
func pairOf(x *[toneWindow]int16) byte {
	energy := 0.0
	for _, v := range x {
		energy += float64(v) * float64(v)
	}
	// Of a tone of amplitude a the squared magnitude is (a·N/2)², and the energy a²·N/2.
	const floor = toneFloor * toneFloor * toneWindow * toneWindow / 4
	all := energy * toneWindow / 2
	if all < 2*floor {
		return 0
	}
	lows := lowGroup.powers(x)
	low, alone := highest(lows)
	if !alone || lows[low] < floor || lows[low]*(1+toneHigh) < all*toneShare {
		return 0
	}
	highs := highGroup.powers(x)
	high, alone := highest(highs)
	sum := lows[low] + highs[high]
	switch {
	case !alone, highs[high] < floor, sum < all*toneShare:
		return 0
	case lows[low] > highs[high]*toneLow, highs[high] > lows[low]*toneHigh:
		return 0
	case high != low+1 && lowHarmonics.power(low, x) > sum*toneHarmonic: // else it is too near the high tone to be told from it
		return 0
	case highHarmonics.power(high, x) > sum*toneHarmonic:
		return 0
	}
	return pairKeys[low][high]
}

// A dtmf finds keys in the samples of one stream.
type dtmf struct {
	// Whose samples are next: by packets.
	started    bool
	generation int
	sequence   int64
	end        int64 // time after the last packet
	lost       int64 // source.lost then

	buf   [toneHop + toneWindow]int16 // a hop, and the window after it
	fill  int                         // samples in it, from its end
	due   int                         // samples until the next window is full
	heard int64                       // samples, ever
	came  [toneCame]struct{ from, at int64 }
	packs int

	key     byte // of the newest windows, 0: none
	windows int  // how many
	at      int64
	pressed byte // told, and not gone yet
	without int  // windows since it was there
}

// clear forgets everything.
func (d *dtmf) clear() { *d = dtmf{} }

// gap is told that n samples are missing: silence that was not sent, or a loss.
func (d *dtmf) gap(n int64, lost bool) {
	if !lost {
		d.without += int(min(n, ringSamples) / toneHop)
	}
	if n > toneBridge || d.without >= toneGone {
		d.pressed = 0
	}
	d.key, d.windows, d.fill, d.due = 0, 0, 0, 0
	clear(d.buf[:])
}

// arrived notes when the samples that follow came.
func (d *dtmf) arrived(at int64) {
	d.came[d.packs%toneCame] = struct{ from, at int64 }{d.heard, at}
	d.packs++
}

// hear takes at most toneHop samples. It gives the key that is sure to be pressed now, 0 for none, and the arrival of the packet in
// which that began.
func (d *dtmf) hear(pcm []int16) (key byte, at int64) {
	if d.fill == 0 && d.due == 0 {
		d.due = toneWindow
	}
	n := min(len(pcm), d.due)
	d.push(pcm[:n])
	if d.due == 0 {
		d.due = toneHop
		key, at = d.window(pairOf((*[toneWindow]int16)(d.buf[toneHop:])))
	}
	d.push(pcm[n:])
	return key, at
}

// push moves samples into the end of the buffer.
func (d *dtmf) push(pcm []int16) {
	copy(d.buf[:], d.buf[len(pcm):])
	copy(d.buf[len(d.buf)-len(pcm):], pcm)
	d.fill = min(d.fill+len(pcm), len(d.buf))
	d.due -= len(pcm)
	d.heard += int64(len(pcm))
}

// window takes what the newest window has.
func (d *dtmf) window(key byte) (byte, int64) {
	if d.pressed != 0 {
		if d.without++; key == d.pressed {
			d.without = 0
		} else if d.without >= toneGone {
			d.pressed = 0
		}
	}
	if key == 0 || key != d.key {
		d.key, d.windows = key, 0
	}
	if key == 0 || key == d.pressed {
		return 0, 0
	}
	if d.windows == 0 {
		d.at = d.arrivalOf(d.heard - int64(len(d.buf)-d.onset()))
	}
	if d.windows++; d.windows != toneLeast {
		return 0, 0
	}
	d.pressed, d.without = key, 0
	return key, d.at
}

// onset finds in the buffer where the tone of its window began: not before the second half of the hop before the window, or the window
// before had enough of it.
func (d *dtmf) onset() int {
	peak := 0
	for _, v := range d.buf[toneHop:] {
		peak = max(peak, abs(v))
	}
	at := max(len(d.buf)-d.fill, toneHop/2)
	for abs(d.buf[at]) <= peak/4 {
		at++
	}
	for i := at - toneRise; i < at; i++ {
		if abs(d.buf[i]) > peak/32 {
			return i
		}
	}
	return at
}

func abs(v int16) int { return max(int(v), -int(v)) }

// arrivalOf is when the packet came that has a sample.
func (d *dtmf) arrivalOf(sample int64) int64 {
	at := int64(0)
	for n := min(d.packs, toneCame); n > 0; n-- {
		c := &d.came[(d.packs-n)%toneCame]
		if at == 0 || c.from <= sample {
			at = c.at
		}
	}
	return at
}
