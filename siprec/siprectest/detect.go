package siprectest

import (
	"math"
	"slices"
	"time"
)

// An Onset is a tone burst that was found in a recording.
type Onset struct {
	At        time.Duration // of the burst's first sample, from the recording's start
	Length    time.Duration
	Frequency float64 // Hz: the one of those looked for that it is
	Amplitude float64 // peak, of 32767
}

const (
	// detectWindow is how much sound one measurement takes in: long enough to tell tones 50 Hz apart.
	detectWindow = 20 * time.Millisecond
	// detectAmplitude is the peak below which a tone is not one.
	detectAmplitude = 1000
	// detectPurity is the least share of the sound's energy that a tone must have.
	detectPurity = 0.5
	// detectBridge is the longest hole in a burst: a lost packet or two do not make it two bursts.
	detectBridge = 75 * time.Millisecond
	// detectLength is the shortest burst.
	detectLength = 15 * time.Millisecond
)

// Detect finds the bursts of the given frequencies (in Hz) in one channel at the given sampling rate. The instants are
// exact to about a millisecond in G.711's noise.
//
// The tone's amplitude in a window that slides over the sound is measured for each frequency, by Goertzel's filter in
// its sliding form. While the window slides into a burst the amplitude grows linearly, so that it has half its final
// value exactly when the window's middle is at the onset.
func Detect(channel []int16, rate int, frequencies ...float64) []Onset {
	window := int(int64(detectWindow) * int64(rate) / int64(time.Second))
	if len(channel) < window || window == 0 {
		return nil
	}
	levels := make([][]float32, len(frequencies))
	for i, f := range frequencies {
		levels[i] = slide(channel, rate, window, f)
	}
	energy := slideEnergy(channel, window)
	var all []Onset
	for i := range frequencies {
		for _, r := range runs(levels, i, energy, rate) {
			all = append(all, edges(levels[i], r, window, rate, frequencies[i]))
		}
	}
	all = slices.DeleteFunc(all, func(o Onset) bool { return o.Length < detectLength })
	slices.SortFunc(all, func(a, b Onset) int { return int(a.At - b.At) })
	return all
}

// slide measures the amplitude of a frequency in the window centred on each sample; beyond the ends there is silence.
func slide(channel []int16, rate, window int, frequency float64) []float32 {
	out := make([]float32, len(channel))
	step := 2 * math.Pi * frequency / float64(rate)
	at := func(i int) (re, im float64) {
		if i < 0 || i >= len(channel) {
			return 0, 0
		}
		sin, cos := math.Sincos(step * float64(i))
		return float64(channel[i]) * cos, float64(channel[i]) * sin
	}
	var re, im float64
	half := window / 2
	for i := -half; i < len(channel); i++ {
		a, b := at(i + half)
		c, d := at(i + half - window)
		re, im = re+a-c, im+b-d
		if i >= 0 {
			out[i] = float32(2 * math.Hypot(re, im) / float64(window))
		}
	}
	return out
}

// slideEnergy is the mean square of the same windows.
func slideEnergy(channel []int16, window int) []float32 {
	out := make([]float32, len(channel))
	var sum int64
	half := window / 2
	for i := -half; i < len(channel); i++ {
		if j := i + half; j < len(channel) {
			sum += int64(channel[j]) * int64(channel[j])
		}
		if j := i + half - window; j >= 0 {
			sum -= int64(channel[j]) * int64(channel[j])
		}
		if i >= 0 {
			out[i] = float32(float64(sum) / float64(window))
		}
	}
	return out
}

// runs finds the spans of windows in which the frequency is there, is the strongest, and is most of the sound.
func runs(levels [][]float32, f int, energy []float32, rate int) [][2]int {
	bridge := int(int64(detectBridge) * int64(rate) / int64(time.Second))
	var all [][2]int
	for i, a := range levels[f] {
		if a < detectAmplitude || float64(a)*float64(a)/2 < detectPurity*float64(energy[i]) {
			continue
		}
		if slices.ContainsFunc(levels, func(other []float32) bool { return other[i] > a }) {
			continue
		}
		if n := len(all); n > 0 && i-all[n-1][1] <= bridge {
			all[n-1][1] = i + 1
			continue
		}
		all = append(all, [2]int{i, i + 1})
	}
	return all
}

// edges finds where the amplitude passes half of its greatest value, outside of a run in both directions.
func edges(level []float32, run [2]int, window, rate int, frequency float64) Onset {
	peak := slices.Max(level[run[0]:run[1]])
	first := run[0]
	for first < run[1] && level[first] < peak/2 {
		first++
	}
	for first > 0 && run[0]-first < window && level[first-1] >= peak/2 {
		first--
	}
	last := run[1] - 1
	for last > first && level[last] < peak/2 {
		last--
	}
	for last+1 < len(level) && last-run[1] < window && level[last+1] >= peak/2 {
		last++
	}
	at := func(i int) time.Duration { return time.Duration(i) * time.Second / time.Duration(rate) }
	return Onset{At: at(first), Length: at(last+1) - at(first), Frequency: frequency, Amplitude: float64(peak)}
}
