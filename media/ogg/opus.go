// Package ogg writes Ogg Opus files (RFC 7845): speech at about a tenth of G.711's bytes, with loss.
//
// Every channel is a mono stream of its own. Opus's stereo saves bytes by what two channels have in common, and at these bit rates
// puts what one party says onto the other party's channel, 17 dB below: that would be sound which nobody said there. So one channel is
// mapping family 0, two are family 1 (left and right, in two streams that are not coupled, which players know as they know
// surround sound), and more are family 255, channels that mean nothing to each other.
//
// The length of the file is exact to the sample, by pre-skip and by the granule position of the last page. It needs no seeking. What
// is written depends on the samples alone.
//
// The package is pure: it neither opens nor reads files.
package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/thesyncim/gopus"
)

const (
	// MaxChannels is the most channels that a recording has; family 255 could have as many as its number.
	MaxChannels = 32
	// BitRate is the mean bit rate of a channel, in bit/s: more than RFC 7587 section 3.1.1 recommends for narrow-band speech
	// (8 to 12 kbit/s) and for wide-band speech (16 to 20).
	BitRate = 24000
	// complexity of the encoder's search, 0 to 10. At 10 it takes almost twice as long (docs/performance.md).
	complexity = 5

	granuleRate   = 48000 // of granule positions, whatever the rate of the sound (RFC 7845 section 4)
	packetsPerSec = 50
	maxPacket     = 1275 // bytes of one stream (RFC 6716 section 3.4)
	vendor        = "greffier"
)

// A Config says what a file holds.
type Config struct {
	Rate     int // in hertz: 8000, 12000, 16000, 24000 or 48000
	Channels int // 1 to MaxChannels
}

// Check says whether a file of this kind can be written.
func (c Config) Check() error {
	if c.Channels < 1 || c.Channels > MaxChannels {
		return fmt.Errorf("an Opus file has 1 to %d channels, not %d: store this recording as wav", MaxChannels, c.Channels)
	}
	switch c.Rate {
	case 8000, 12000, 16000, 24000, 48000:
		return nil
	}
	return fmt.Errorf("an Opus file cannot be made of samples at %d Hz: store this recording as wav", c.Rate)
}

// Channel mapping families, RFC 7845 section 5.1.1.
const (
	familyMono     = 0
	familyVorbis   = 1
	familyDiscrete = 255
)

// A packer is an encoder of gopus, for one or several streams.
type packer interface {
	EncodeInt16(pcm []int16, data []byte) (int, error)
	Lookahead() int
	SetBitrate(int) error
	SetComplexity(int) error
	SetSignal(gopus.Signal) error
}

// An Encoder writes one file. Its memory does not grow with the file. It is used by one goroutine.
type Encoder struct {
	config  Config
	packer  packer
	pages   pageWriter
	err     error   // of the first write that failed; every later one fails like it
	held    []int16 // less than a packet
	frame   int     // samples of a packet, all channels
	packet  []byte
	skip    int64 // samples per channel, at the file's rate, that the decoder makes before the first one
	samples int64 // per channel, taken
	coded   int64 // per channel, in packets
}

// NewEncoder writes the head of a file.
func NewEncoder(w io.Writer, c Config) (*Encoder, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	e := &Encoder{config: c, pages: pageWriter{w: w}, frame: c.Rate / packetsPerSec * c.Channels}
	if err := e.open(); err != nil {
		return nil, fmt.Errorf("make Opus encoder: %w", err)
	}
	e.skip = int64(e.packer.Lookahead())
	e.packet = make([]byte, c.Channels*(maxPacket+2))
	if err := e.pages.alone(e.head(), true); err != nil {
		return nil, fmt.Errorf("write Opus: %w", err)
	}
	if err := e.pages.alone(tags(), false); err != nil {
		return nil, fmt.Errorf("write Opus: %w", err)
	}
	return e, nil
}

func (e *Encoder) open() (err error) {
	c := e.config
	if c.Channels == 1 {
		e.packer, err = gopus.NewEncoder(gopus.EncoderConfig{SampleRate: c.Rate, Channels: 1, Application: gopus.ApplicationAudio})
	} else {
		e.packer, err = gopus.NewMultistreamEncoder(c.Rate, c.Channels, c.Channels, 0, mapping(c.Channels), gopus.ApplicationAudio)
	}
	if err != nil {
		return err
	}
	return errors.Join(e.packer.SetBitrate(BitRate*c.Channels), e.packer.SetComplexity(complexity), e.packer.SetSignal(gopus.SignalVoice))
}

// mapping gives each channel the mono stream of its number.
func mapping(channels int) []byte {
	m := make([]byte, channels)
	for i := range m {
		m[i] = byte(i)
	}
	return m
}

// head is the identification header, RFC 7845 section 5.1.
func (e *Encoder) head() []byte {
	c := e.config
	b := append([]byte("OpusHead"), 1, byte(c.Channels))
	b = binary.LittleEndian.AppendUint16(b, uint16(e.granule(e.skip)))
	b = binary.LittleEndian.AppendUint32(b, uint32(c.Rate))
	b = append(b, 0, 0) // no gain
	switch c.Channels {
	case 1:
		return append(b, familyMono)
	case 2:
		b = append(b, familyVorbis)
	default:
		b = append(b, familyDiscrete)
	}
	return append(append(b, byte(c.Channels), 0), mapping(c.Channels)...) // as many streams, none coupled
}

// tags is the comment header, RFC 7845 section 5.2: who wrote the file, and nothing about the call.
func tags() []byte {
	b := binary.LittleEndian.AppendUint32([]byte("OpusTags"), uint32(len(vendor)))
	return append(append(b, vendor...), 0, 0, 0, 0)
}

// granule turns a number of samples into one at granuleRate, which every rate divides.
func (e *Encoder) granule(samples int64) int64 { return samples * int64(granuleRate/e.config.Rate) }

// Write adds samples, interleaved, in whole frames: one of each channel.
func (e *Encoder) Write(samples []int16) error {
	if e.err == nil && len(samples)%e.config.Channels != 0 {
		e.err = fmt.Errorf("write Opus: %d samples are no whole frames of %d channels", len(samples), e.config.Channels)
	}
	if e.err == nil {
		e.samples += int64(len(samples) / e.config.Channels)
	}
	for e.err == nil && len(samples) > 0 {
		if len(e.held) == 0 && len(samples) >= e.frame {
			e.err = e.code(samples[:e.frame])
			samples = samples[e.frame:]
			continue
		}
		n := min(len(samples), e.frame-len(e.held))
		e.held = append(e.held, samples[:n]...)
		samples = samples[n:]
		if len(e.held) == e.frame {
			e.err = e.code(e.held)
			e.held = e.held[:0]
		}
	}
	return e.err
}

// code makes one packet.
func (e *Encoder) code(samples []int16) error {
	n, err := e.packer.EncodeInt16(samples, e.packet)
	if err != nil {
		return fmt.Errorf("encode Opus: %w", err)
	}
	e.coded += int64(e.frame / e.config.Channels)
	if err := e.pages.add(e.packet[:n], e.granule(e.coded)); err != nil {
		return fmt.Errorf("write Opus: %w", err)
	}
	return nil
}

// Close codes what is held, and as much silence as brings the last sample out of the encoder; the last page says where the sound
// ends. It does not close the writer.
func (e *Encoder) Close() error {
	end := e.samples + e.skip
	for e.err == nil && e.coded < end {
		e.held = append(e.held, make([]int16, e.frame-len(e.held))...)
		e.err = e.code(e.held)
		e.held = e.held[:0]
	}
	if e.err != nil {
		return e.err
	}
	e.err = errors.New("write Opus: the file is closed")
	if err := e.pages.end(e.granule(end)); err != nil {
		return fmt.Errorf("write Opus: %w", err)
	}
	return nil
}
