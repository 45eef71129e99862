package siprectest

import (
	"math"
	"time"
)

// sampleRate is the sampling rate of every source, and of G.711, in Hz.
const sampleRate = 8000

// A Source is what a party says: samples at 8000 Hz, by position. Position 0 is the call's epoch. Read fills dst with
// the samples from pos on and gives how many there are; fewer than len(dst) means that the source ends there.
type Source interface {
	Read(dst []int16, pos int64) int
}

// A SourceFunc is a function as a Source.
type SourceFunc func(dst []int16, pos int64) int

// Read calls the function.
func (f SourceFunc) Read(dst []int16, pos int64) int { return f(dst, pos) }

// PCM is a source of samples at 8000 Hz.
type PCM []int16

// Read gives the samples from pos on.
func (p PCM) Read(dst []int16, pos int64) int {
	if pos >= int64(len(p)) {
		return 0
	}
	return copy(dst, p[pos:])
}

// Silence is a source that never ends and is never heard.
func Silence() Source {
	return SourceFunc(func(dst []int16, _ int64) int { clear(dst); return len(dst) })
}

// A BurstSource is silence with a tone burst at (k+1/2)·Every for each k, so that a call's edges are silent. It never ends.
type BurstSource struct {
	Frequency     float64 // Hz
	Every, Length time.Duration
	Amplitude     float64 // peak, of 32767
}

// burstAmplitude is 10 dB below full scale.
const burstAmplitude = 10000

// Bursts is a source for judging alignment: bursts of a frequency, each of a length, at (k+1/2)·every.
func Bursts(frequency float64, every, length time.Duration) *BurstSource {
	return &BurstSource{Frequency: frequency, Every: every, Length: length, Amplitude: burstAmplitude}
}

func samples(d time.Duration) int64 { return int64(d) * sampleRate / int64(time.Second) }

func duration(samples int64) time.Duration {
	return time.Duration(samples * int64(time.Second) / sampleRate)
}

// Read gives the samples from pos on.
func (b *BurstSource) Read(dst []int16, pos int64) int {
	every, length := samples(b.Every), samples(b.Length)
	for i := range dst {
		at := pos + int64(i) - every/2
		in := at % every
		if at < 0 || in >= length {
			dst[i] = 0
			continue
		}
		dst[i] = int16(math.Round(b.Amplitude * math.Sin(2*math.Pi*b.Frequency*float64(in)/sampleRate)))
	}
	return len(dst)
}

// Onsets lists the positions in [from, to) at which a burst starts.
func (b *BurstSource) Onsets(from, to int64) []int64 {
	every := samples(b.Every)
	k := max(0, (from-every/2+every-1)/every)
	var all []int64
	for p := every/2 + k*every; p < to; p += every {
		if p >= from {
			all = append(all, p)
		}
	}
	return all
}

// onsetSource is a source whose onsets are known, so that they can be looked for in a recording.
type onsetSource interface {
	Source
	Onsets(from, to int64) []int64
}
