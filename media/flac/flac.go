// Package flac writes FLAC (RFC 9639): 16-bit samples without loss, in about half the bytes of linear ones.
//
// It is an encoder of our own because it is short, and because what G.711 becomes when it is decoded has two properties that
// a general encoder of the Go world does not use: the lowest two or three bits are always zero, and speech is loud for a part
// of a block only. It writes STREAMINFO, then frames of 4096 samples, each channel by itself (two parties of a call have nothing in
// common), by the fixed predictors or a linear one of order 8, with partitioned Rice codes. It needs no seeking: the number of
// samples is known before the first one, and the MD5 of the samples is left out, which the format allows; whoever stores the
// file keeps a better hash of it.
//
// A Decoder reads what an Encoder wrote, and nothing else: what is silenced later must be heard again first.
//
// The package is pure: it neither opens nor reads files.
package flac

import (
	"errors"
	"fmt"
	"io"
)

// Limits of what is written.
const (
	MaxChannels = 8         // RFC 9639 section 9.1.3
	maxRate     = 1<<20 - 1 // hertz; 20 bits in STREAMINFO
	maxSamples  = 1<<36 - 1 // per channel; 36 bits in STREAMINFO
	blockSize   = 4096      // samples per channel in a frame; half a second of telephone speech
)

// A Config says what a file holds.
type Config struct {
	Rate     int   // in hertz
	Channels int   // 1 to MaxChannels
	Samples  int64 // per channel; must be what is written until Close
}

// Check says whether a file of this kind can be written.
func (c Config) Check() error {
	switch {
	case c.Channels < 1 || c.Channels > MaxChannels:
		return fmt.Errorf("FLAC has 1 to %d channels, not %d: store this recording as wav", MaxChannels, c.Channels)
	case c.Rate < 1 || c.Rate > maxRate:
		return fmt.Errorf("FLAC has 1 to %d Hz, not %d: store this recording as wav", maxRate, c.Rate)
	case c.Samples < 0 || c.Samples > maxSamples:
		return fmt.Errorf("FLAC has at most %d samples, not %d: store this recording as wav", int64(maxSamples), c.Samples)
	}
	return nil
}

// An Encoder writes one file. Its memory does not grow with the file. It is used by one goroutine.
type Encoder struct {
	w      io.Writer
	config Config
	err    error // of the first write that failed; every later one fails like it

	block   [][]int32 // one slice per channel, of held samples
	held    int
	written int64 // samples per channel that are in frames
	frame   uint64
	bits    bitWriter
	work    subframe
}

// NewEncoder writes the head of a file.
func NewEncoder(w io.Writer, c Config) (*Encoder, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	e := &Encoder{w: w, config: c, block: make([][]int32, c.Channels)}
	for i := range e.block {
		e.block[i] = make([]int32, blockSize)
	}
	b := &e.bits
	b.bytes([]byte("fLaC"))
	b.put(1, 1)                     // the last metadata block
	b.put(0, 7)                     // STREAMINFO, RFC 9639 section 8.2
	b.put(34, 24)                   // its length
	b.put(blockSize, 16)            // smallest block, the last one left aside
	b.put(blockSize, 16)            // largest
	b.put(0, 24)                    // smallest frame: not known
	b.put(0, 24)                    // largest
	b.put(uint64(c.Rate), 20)       //
	b.put(uint64(c.Channels-1), 3)  //
	b.put(bitsPerSample-1, 5)       //
	b.put(uint64(c.Samples)>>32, 4) //
	b.put(uint64(c.Samples)&0xFFFFFFFF, 32)
	b.put(0, 64) // MD5: not computed
	b.put(0, 64)
	if err := e.flush(); err != nil {
		return nil, err
	}
	return e, nil
}

// Write adds samples, interleaved, in whole frames: one of each channel.
func (e *Encoder) Write(samples []int16) error {
	channels := e.config.Channels
	if e.err == nil && len(samples)%channels != 0 {
		e.err = fmt.Errorf("write FLAC: %d samples are no whole frames of %d channels", len(samples), channels)
	}
	for len(samples) > 0 && e.err == nil {
		n := min(len(samples)/channels, blockSize-e.held)
		for c, block := range e.block {
			at := c
			for i := e.held; i < e.held+n; i++ {
				block[i] = int32(samples[at])
				at += channels
			}
		}
		e.held += n
		samples = samples[n*channels:]
		if e.held == blockSize {
			e.err = e.writeFrame()
		}
	}
	return e.err
}

// Close writes what is held. It does not close the writer. It fails when there were not as many samples as the head says.
func (e *Encoder) Close() error {
	if e.err == nil && e.held > 0 {
		e.err = e.writeFrame()
	}
	if e.err != nil {
		return e.err
	}
	e.err = errors.New("write FLAC: the file is closed")
	if e.written != e.config.Samples {
		return fmt.Errorf("write FLAC: %d samples were written, and the head says %d", e.written, e.config.Samples)
	}
	return nil
}

func (e *Encoder) flush() error {
	if _, err := e.w.Write(e.bits.buf); err != nil {
		return fmt.Errorf("write FLAC: %w", err)
	}
	e.bits.buf = e.bits.buf[:0]
	return nil
}
