package codec

import (
	"errors"
	"fmt"
)

// Limits of RFC 6716.
const (
	maxOpusFrames = 48   // frames of one packet: 120 ms of 2.5 ms each (section 3.2.5)
	maxOpusFrame  = 1275 // bytes of one frame (section 3.4, rule R2)
	maxOpusTenths = 1200 // tenths of a millisecond of one packet (section 3.4, rule R5)
	// maxOpusPacket is the most bytes of a packet that we decode. 120 ms at the highest bit rate, 510 kbit/s, are 7650.
	maxOpusPacket = 8 << 10
)

// errOpus says that the framing of a packet breaks one of the rules R1 to R7 of RFC 6716 section 3.4.
var errOpus = errors.New("malformed Opus packet (RFC 6716 section 3.4); check that the payload type is Opus")

// An opusPacket is the framing of one packet (RFC 6716 section 3).
type opusPacket struct {
	config uint8                // TOC: mode, bandwidth and frame length (table 2)
	stereo bool                 // TOC: s
	count  int                  // frames
	sizes  [maxOpusFrames]int16 // bytes of each
	first  int                  // where the first frame's bytes begin
}

// parse reads the framing of b.
func (p *opusPacket) parse(b []byte) error {
	if len(b) == 0 || len(b) > maxOpusPacket {
		return fmt.Errorf("read packet of %d bytes: %w", len(b), errOpus) // R1
	}
	p.config, p.stereo = b[0]>>3, b[0]&4 != 0
	ok := false
	switch b[0] & 3 {
	case 0:
		p.count = 1
		ok = p.equal(1, len(b))
	case 1:
		p.count = 2
		ok = p.equal(1, len(b)) // R3
	case 2:
		p.count = 2
		ok = p.explicit(b, 1, len(b)) // R4
	case 3:
		ok = p.arbitrary(b)
	}
	if !ok {
		return fmt.Errorf("read packet of %d bytes: %w", len(b), errOpus)
	}
	return nil
}

// arbitrary reads a packet of code 3: a byte of v, p and M, padding, and the frames (R5 to R7).
func (p *opusPacket) arbitrary(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	p.count = int(b[1] & 0x3F)
	if p.count == 0 || p.count > maxOpusFrames || p.count*p.tenths() > maxOpusTenths {
		return false
	}
	at, end := 2, len(b)
	if b[1]&0x40 != 0 {
		for more := true; more; at++ {
			if at >= len(b) {
				return false
			}
			pad := int(b[at])
			more = pad == 255
			if more {
				pad = 254
			}
			end -= pad
		}
	}
	if at > end {
		return false
	}
	if b[1]&0x80 != 0 {
		return p.explicit(b, at, end)
	}
	return p.equal(at, end)
}

// equal says that the frames share the bytes from at to end evenly.
func (p *opusPacket) equal(at, end int) bool {
	size := (end - at) / p.count
	if size*p.count != end-at || size > maxOpusFrame {
		return false
	}
	for i := range p.count {
		p.sizes[i] = int16(size)
	}
	p.first = at
	return true
}

// explicit reads the sizes of all frames but the last, which has what is left of b[:end] (RFC 6716 section 3.2.1).
func (p *opusPacket) explicit(b []byte, at, end int) bool {
	total := 0
	for i := range p.count - 1 {
		if at >= end {
			return false
		}
		size := int(b[at])
		at++
		if size >= 252 {
			if at >= end {
				return false
			}
			size += 4 * int(b[at])
			at++
		}
		p.sizes[i] = int16(size)
		total += size
	}
	last := end - at - total
	if last < 0 || last > maxOpusFrame {
		return false
	}
	p.sizes[p.count-1] = int16(last)
	p.first = at
	return true
}

// The modes of RFC 6716 section 3.1.
func (p *opusPacket) celt() bool   { return p.config >= 16 }
func (p *opusPacket) hybrid() bool { return p.config >= 12 && p.config < 16 }

// tenths is the length of each frame in tenths of a millisecond (table 2).
func (p *opusPacket) tenths() int {
	switch {
	case p.config < 12:
		return [4]int{100, 200, 400, 600}[p.config&3]
	case p.config < 16:
		return [2]int{100, 200}[p.config&1]
	}
	return [4]int{25, 50, 100, 200}[p.config&3]
}

// samples is the length of each frame at a sample rate.
func (p *opusPacket) samples(rate int) int {
	return rate / 100 * p.tenths() / 100
}

// quiet says that frame i has no sound of its own: the encoder left it out (DTX, RFC 6716 section 2.1.9), or whoever put the
// packet together had lost it. One byte is too little for any mode.
func (p *opusPacket) quiet(i int) bool {
	return p.sizes[i] <= 1
}
