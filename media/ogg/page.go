package ogg

import (
	"encoding/binary"
	"io"
)

// Bounds of a page (RFC 3533 section 6).
const (
	maxSegments = 255
	headerBytes = 27
	// pagePackets is how many packets a page holds at most: a second, so that seeking is exact to it.
	pagePackets = packetsPerSec
)

// Flags of a page.
const (
	flagBegin = 2
	flagEnd   = 4
)

// serial is the number of the only logical stream of a file. It need not be random where nothing else is in the file.
const serial = 1

// A pageWriter groups packets into pages.
type pageWriter struct {
	w        io.Writer
	sequence uint32
	lacing   []byte
	body     []byte
	packets  int
	granule  int64 // after the last packet of the page
	out      []byte
}

// alone writes a packet as a page of its own, as headers are.
func (p *pageWriter) alone(packet []byte, first bool) error {
	p.take(packet, 0)
	flags := byte(0)
	if first {
		flags = flagBegin
	}
	return p.flush(flags)
}

// add takes a packet; granule is the position after it. A page is written only when a packet comes that is not on it, so that there
// is one left for end.
func (p *pageWriter) add(packet []byte, granule int64) error {
	if p.packets >= pagePackets || len(p.lacing)+len(packet)/255+1 > maxSegments {
		if err := p.flush(0); err != nil {
			return err
		}
	}
	p.take(packet, granule)
	return nil
}

// end writes the last page, whose granule position cuts off what is behind it (RFC 7845 section 4.4).
func (p *pageWriter) end(granule int64) error {
	p.granule = granule
	return p.flush(flagEnd)
}

func (p *pageWriter) take(packet []byte, granule int64) {
	for n := len(packet); ; n -= 255 {
		p.lacing = append(p.lacing, byte(min(n, 255)))
		if n < 255 {
			break
		}
	}
	p.body = append(p.body, packet...)
	p.packets++
	p.granule = granule
}

func (p *pageWriter) flush(flags byte) error {
	b := append(p.out[:0], "OggS"...)
	b = append(b, 0, flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.granule))
	b = binary.LittleEndian.AppendUint32(b, serial)
	b = binary.LittleEndian.AppendUint32(b, p.sequence)
	b = append(b, 0, 0, 0, 0, byte(len(p.lacing)))
	b = append(append(b, p.lacing...), p.body...)
	binary.LittleEndian.PutUint32(b[headerBytes-5:], crc(b))
	p.out, p.lacing, p.body, p.packets = b, p.lacing[:0], p.body[:0], 0
	p.sequence++
	_, err := p.w.Write(b)
	return err
}

var crcTable = makeCRC()

// makeCRC is the CRC-32 of RFC 3533: polynomial 0x04C11DB7, not reflected, which hash/crc32 does not have.
func makeCRC() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			c = c<<1 ^ c>>31*0x04C11DB7
		}
		t[i] = c
	}
	return t
}

func crc(p []byte) (c uint32) {
	for _, b := range p {
		c = c<<8 ^ crcTable[byte(c>>24)^b]
	}
	return c
}
