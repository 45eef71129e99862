package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/greffier/greffier/media/codec"
)

// tone is n frames of a sine in channel 0 while on says so, and silence elsewhere.
func tone(rate, channels, n int, amplitude float64, on func(i int) bool) []byte {
	var out []byte
	for i := range n {
		for c := range channels {
			v := 0.0
			if c == 0 && on(i) {
				v = amplitude * math.Sin(2*math.Pi*500*float64(i)/float64(rate))
			}
			out = binary.LittleEndian.AppendUint16(out, uint16(int16(v)))
		}
	}
	return out
}

func TestLevels(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 48000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			p := tone(rate, 2, 4*rate, 16384, func(i int) bool { return i >= rate && i < 2*rate })
			l := NewLevels(codec.L16, rate, 2)
			for len(p) > 0 { // never a whole number of frames
				n := min(len(p), 1001)
				if k, err := l.Write(p[:n]); k != n || err != nil {
					t.Fatalf("wrote %d of %d: %v", k, n, err)
				}
				p = p[n:]
			}
			levels, wave := l.Results()
			// A sine of half of full scale is at -9.03 dBFS; a quarter of the time, 6.02 less.
			want := ChannelLevels{RMS: -15.1, Peak: -6, Silence: 0.75, Talk: 1000}
			if got := levels[0]; math.Abs(got.RMS-want.RMS) > 0.11 || got.Peak != want.Peak || math.Abs(got.Silence-want.Silence) > 0.01 || math.Abs(float64(got.Talk-want.Talk)) > 20 {
				t.Errorf("levels %+v, want %+v", got, want)
			}
			if want := (ChannelLevels{RMS: LevelFloor, Peak: LevelFloor, Silence: 1}); levels[1] != want {
				t.Errorf("levels of silence %+v, want %+v", levels[1], want)
			}
			if wave.IntervalMS != 50 || len(wave.Channels) != 2 || len(wave.Channels[0]) != 80 || !bytes.Equal(wave.Channels[1], make([]byte, 80)) {
				t.Fatalf("a waveform of %d ms, %d points, %v", wave.IntervalMS, len(wave.Channels[0]), wave.Channels[1])
			}
			for i, v := range wave.Channels[0] {
				if loud := i >= 20 && i < 40; loud != (v >= 126) || !loud && v != 0 {
					t.Errorf("point %d is %d", i, v)
				}
			}
		})
	}
}

// TestWaveformStaysSmall: whatever the length, at most MaxWavePoints points, and a click is where it was.
func TestWaveformStaysSmall(t *testing.T) {
	for _, seconds := range []int{1, 204, 205, 206, 411, 3600, 86400} {
		l := NewLevels(codec.PCMU, 100, 1) // the rate does not matter, and few samples are faster
		p := bytes.Repeat([]byte{0xFF}, 100*seconds+3)
		click := len(p) * 2 / 3
		p[click] = 0x00 // the loudest
		if _, err := l.Write(p); err != nil {
			t.Fatal(err)
		}
		_, wave := l.Results()
		points := wave.Channels[0]
		interval := float64(wave.IntervalMS) / 10 // samples
		if n := int(math.Ceil(float64(len(p)) / interval)); len(points) > MaxWavePoints || len(points) != n {
			t.Errorf("%d s: %d points of %d ms, want %d", seconds, len(points), wave.IntervalMS, n)
		}
		if seconds > 410 && len(points) < MaxWavePoints/2 {
			t.Errorf("%d s: only %d points", seconds, len(points))
		}
		for i, v := range points {
			if here := i == int(float64(click)/interval); here != (v > 200) {
				t.Errorf("%d s: point %d is %d, the click is at %v", seconds, i, v, float64(click)/interval)
			}
		}
	}
}

// TestLevelsOfLaws: the laws give what their linear samples give.
func TestLevelsOfLaws(t *testing.T) {
	for _, e := range []codec.Encoding{codec.PCMU, codec.PCMA} {
		p := make([]byte, 8000)
		for i := range p {
			p[i] = byte(i * 7 / 3)
		}
		linear := make([]int16, len(p))
		codec.Decode(linear, e, p)
		var q []byte
		for i, v := range linear {
			if p[i] == e.Silence() {
				v = 0
			}
			q = binary.LittleEndian.AppendUint16(q, uint16(v))
		}
		a, b := NewLevels(e, 8000, 2), NewLevels(codec.L16, 8000, 2)
		a.Write(p)
		b.Write(q)
		la, wa := a.Results()
		lb, wb := b.Results()
		if fmt.Sprint(la, wa) != fmt.Sprint(lb, wb) {
			t.Errorf("%v: %v, linear %v", e, la, lb)
		}
		quiet := NewLevels(e, 8000, 1)
		quiet.Write(bytes.Repeat([]byte{e.Silence()}, 8000))
		if got, _ := quiet.Results(); got[0].Peak != LevelFloor {
			t.Errorf("%v: silence is at %v dBFS", e, got[0].Peak)
		}
	}
}

func TestLevelsOfNothing(t *testing.T) {
	levels, wave := NewLevels(codec.PCMU, 8000, 1).Results()
	if len(levels) != 1 || levels[0].Silence != 1 || len(wave.Channels[0]) != 0 {
		t.Errorf("%+v %+v", levels, wave)
	}
	if _, err := NewLevels(codec.PCMU, 0, 1).Write([]byte{1}); err == nil {
		t.Error("samples of no rate were measured")
	}
}

// BenchmarkLevelsHour measures an hour of two channels of mu-law.
func BenchmarkLevelsHour(b *testing.B) {
	p := make([]byte, 2*8000*60)
	for i := range p {
		p[i] = byte(i * 31)
	}
	for b.Loop() {
		l := NewLevels(codec.PCMU, 8000, 2)
		for range 60 {
			l.Write(p)
		}
		l.Results()
	}
}
