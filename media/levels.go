package media

import (
	"errors"
	"math"

	"github.com/greffier/greffier/media/codec"
)

// What levels are measured by.
const (
	// SilenceLevel is the RMS level, in dB below full scale, under which a window counts as silent.
	SilenceLevel = -50.0
	// LevelFloor is the level of what is below it, digital silence too, in dBFS. One step of 16 bits is at -90.3.
	LevelFloor = -100.0
	// MaxWavePoints is the most points that a channel's waveform has.
	MaxWavePoints = 4096

	ticksPerSecond = 100 // a tick is 10 ms
	windowTicks    = 2   // of the windows that are silent or not
	waveTicks      = 5   // of a point of the waveform, until there are too many

	fullScale = 32768 // 0 dBFS: the level of a square wave that fills 16 bits
)

// ChannelLevels say how loud a channel is. They are measured on what is stored, gaps and pauses included.
type ChannelLevels struct {
	RMS     float64 `json:"rms_dbfs"`      // of the whole channel, to 0.1 dB, LevelFloor to 0
	Peak    float64 `json:"peak_dbfs"`     // of the loudest sample
	Silence float64 `json:"silence_ratio"` // share of the 20 ms windows whose RMS level is below SilenceLevel, 0 to 1
	Talk    int64   `json:"talk_ms"`       // length of the other windows
}

// A Waveform shows the course of every channel: the greatest magnitude in each interval, 0 to 255 of full scale.
type Waveform struct {
	IntervalMS int      `json:"interval_ms"`
	Channels   [][]byte `json:"channels"` // base64 in JSON
}

// Levels measures samples as they are written. It is an io.Writer that keeps some bytes per point of the waveform, and nothing of
// the sound.
type Levels struct {
	encoding codec.Encoding
	channels []channelMeter
	rate     int64
	frame    int    // bytes
	rest     []byte // less than a frame
	pos      int64  // frames measured
	tick     int64  // ticks ended
	factor   int64  // waveTicks in a point, a power of two
	law      *[256]lawEntry
}

// A lawEntry is what a G.711 byte adds.
type lawEntry struct {
	square    uint32
	magnitude uint32
}

// A channelMeter is the state of one channel.
type channelMeter struct {
	sum, total     uint64 // of squares: of this tick, of this window's ticks before it
	energy         float64
	peak, loudest  uint32 // of this tick, of all
	point          uint32 // of the point that is being made
	points         []byte
	windows, quiet int64
	windowFrames   int64
}

// NewLevels measures interleaved samples of an encoding at a rate in hertz.
func NewLevels(e codec.Encoding, rate, channels int) *Levels {
	l := &Levels{encoding: e, rate: int64(rate), frame: channels * e.BytesPerSample(), channels: make([]channelMeter, channels), factor: 1}
	if e == codec.PCMU || e == codec.PCMA {
		l.law = lawTable(e)
	}
	return l
}

// lawTable expands a law once. A-law has no 0: its byte for silence is taken for it.
func lawTable(e codec.Encoding) *[256]lawEntry {
	var codes [256]byte
	for i := range codes {
		codes[i] = byte(i)
	}
	var linear [256]int16
	codec.Decode(linear[:], e, codes[:])
	linear[e.Silence()] = 0
	var t [256]lawEntry
	for i, v := range linear {
		m := uint32(max(int32(v), -int32(v)))
		t[i] = lawEntry{square: m * m, magnitude: m}
	}
	return &t
}

// tickEnd is the position at which a tick ends. Not every rate has a whole number of samples in one.
func (l *Levels) tickEnd() int64 { return (l.tick + 1) * l.rate / ticksPerSecond }

// Write measures samples. It fails only when there is nothing that it could measure.
func (l *Levels) Write(p []byte) (int, error) {
	if l.frame == 0 || l.rate < ticksPerSecond {
		return 0, errors.New("measure levels: samples without channels, encoding or rate")
	}
	n := len(p)
	if len(l.rest) > 0 {
		k := min(len(p), l.frame-len(l.rest))
		l.rest = append(l.rest, p[:k]...)
		p = p[k:]
		if len(l.rest) < l.frame {
			return n, nil
		}
		l.frames(l.rest)
		l.rest = l.rest[:0]
	}
	whole := len(p) - len(p)%l.frame
	l.frames(p[:whole])
	l.rest = append(l.rest, p[whole:]...)
	return n, nil
}

// frames measures whole frames, tick by tick.
func (l *Levels) frames(p []byte) {
	for len(p) > 0 {
		n := min(int64(len(p)/l.frame), l.tickEnd()-l.pos)
		part := p[:int(n)*l.frame]
		for c := range l.channels {
			if l.law != nil {
				l.channels[c].addLaw(l.law, part[c:], len(l.channels))
			} else {
				l.channels[c].addLinear(part[2*c:], l.frame)
			}
		}
		l.pos += n
		p = p[len(part):]
		if l.pos == l.tickEnd() {
			l.endTick()
		}
	}
}

func (m *channelMeter) addLaw(law *[256]lawEntry, p []byte, step int) {
	sum, peak := m.sum, m.peak
	for i := 0; i < len(p); i += step {
		e := law[p[i]]
		sum += uint64(e.square)
		peak = max(peak, e.magnitude)
	}
	m.sum, m.peak = sum, peak
}

func (m *channelMeter) addLinear(p []byte, step int) {
	sum, peak := m.sum, m.peak
	for i := 0; i+1 < len(p); i += step {
		v := int32(int16(uint16(p[i]) | uint16(p[i+1])<<8))
		sum += uint64(v * v)
		peak = max(peak, uint32(max(v, -v)))
	}
	m.sum, m.peak = sum, peak
}

// endTick closes a tick, and the window and the point that end with it.
func (l *Levels) endTick() {
	frames := l.tickEnd() - l.tick*l.rate/ticksPerSecond
	l.tick++
	for c := range l.channels {
		m := &l.channels[c]
		m.endTick(frames)
		if l.tick%windowTicks == 0 {
			m.endWindow()
		}
		if l.tick%(waveTicks*l.factor) == 0 {
			m.endPoint()
		}
	}
	if len(l.channels[0].points) >= MaxWavePoints { // a last, shorter one may follow
		l.halve()
	}
}

func (m *channelMeter) endTick(frames int64) {
	m.total += m.sum
	m.windowFrames += frames
	m.energy += float64(m.sum)
	m.loudest, m.point = max(m.loudest, m.peak), max(m.point, m.peak)
	m.sum, m.peak = 0, 0
}

func (m *channelMeter) endWindow() {
	m.windows++
	if decibels(float64(m.total)/float64(m.windowFrames)) < SilenceLevel {
		m.quiet++
	}
	m.total, m.windowFrames = 0, 0
}

func (m *channelMeter) endPoint() {
	m.points = append(m.points, byte(min(255, m.point*256/fullScale)))
	m.point = 0
}

// halve joins each two points. The last of an odd number becomes the beginning of the point that is being made.
func (l *Levels) halve() {
	l.factor *= 2
	for c := range l.channels {
		m := &l.channels[c]
		n := len(m.points) / 2
		for i := range n {
			m.points[i] = max(m.points[2*i], m.points[2*i+1])
		}
		if len(m.points)%2 == 1 {
			m.point = max(m.point, uint32(m.points[len(m.points)-1])*fullScale/256)
		}
		m.points = m.points[:n]
	}
}

// decibels gives the level of a mean square.
func decibels(meanSquare float64) float64 {
	return max(LevelFloor, 10*math.Log10(meanSquare/(fullScale*fullScale)))
}

// Results gives the figures of all samples that were written. A last window or point may be shorter. Nothing may be written after it.
func (l *Levels) Results() (levels []ChannelLevels, wave Waveform) {
	if left := l.pos - l.tick*l.rate/ticksPerSecond; left > 0 {
		for c := range l.channels {
			l.channels[c].endTick(left)
		}
		l.tick++
	}
	wave.IntervalMS = int(l.factor) * waveTicks * 1000 / ticksPerSecond
	for c := range l.channels {
		m := &l.channels[c]
		if m.windowFrames > 0 {
			m.endWindow()
		}
		if l.tick%(waveTicks*l.factor) != 0 {
			m.endPoint()
		}
		levels = append(levels, m.levels(l.pos))
		wave.Channels = append(wave.Channels, m.points)
	}
	return levels, wave
}

func (m *channelMeter) levels(samples int64) ChannelLevels {
	out := ChannelLevels{RMS: LevelFloor, Peak: LevelFloor, Silence: 1}
	if m.windows > 0 {
		out.RMS = tenth(decibels(m.energy / float64(samples)))
		out.Peak = tenth(decibels(float64(m.loudest) * float64(m.loudest)))
		out.Silence = math.Round(1e4*float64(m.quiet)/float64(m.windows)) / 1e4
		out.Talk = (m.windows - m.quiet) * windowTicks * 1000 / ticksPerSecond
	}
	return out
}

func tenth(v float64) float64 { return math.Round(10*v) / 10 }
