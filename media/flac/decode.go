package flac

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrFormat is wrapped by the errors of a Decoder that say the file is damaged, or is none of those that this package writes.
var ErrFormat = errors.New("not a FLAC file of ours")

// A Decoder reads one file that an Encoder wrote: 16 bits, every channel by itself. Its memory does not grow with the file, and it
// checks every frame's sums. It is used by one goroutine.
type Decoder struct {
	Config // of the file
	bits   bitReader
	read   int64  // samples per channel
	frame  uint64 // number of the next
	block  []int32
	out    []int16 // interleaved
}

// NewDecoder reads the head of a file. Errors wrap ErrFormat, or are those of r.
func NewDecoder(r io.Reader) (*Decoder, error) {
	d := &Decoder{bits: bitReader{r: bufio.NewReader(r)}, block: make([]int32, blockSize)}
	b := &d.bits
	magic, kind, length := b.take(32), b.take(8), b.take(24)
	least, most := b.take(16), b.take(16)
	b.take(48) // frame sizes
	d.Rate, d.Channels = int(b.take(20)), int(b.take(3))+1
	depth := b.take(5) + 1
	d.Samples = int64(b.take(4)<<32 | b.take(32))
	b.take(64) // MD5
	b.take(64)
	switch {
	case b.err != nil:
		return nil, fmt.Errorf("read FLAC head: %w", b.err)
	case magic != 0x664C6143 || kind != 0x80 || length != 34 || least != blockSize || most != blockSize || depth != bitsPerSample || d.Check() != nil:
		return nil, fmt.Errorf("read FLAC head: %w", ErrFormat)
	}
	return d, nil
}

// Next gives the next samples, interleaved, some thousand of each channel. They are valid until the call after. At the end of the file,
// when it has as many as its head says, it is io.EOF.
func (d *Decoder) Next() ([]int16, error) {
	if d.read == d.Samples {
		return nil, io.EOF
	}
	n := int(min(blockSize, d.Samples-d.read))
	if err := d.next(n); err != nil {
		return nil, fmt.Errorf("read FLAC frame %d: %w", d.frame, err)
	}
	d.frame++
	d.read += int64(n)
	return d.out, nil
}

// next reads a frame of n samples per channel.
func (d *Decoder) next(n int) error {
	b := &d.bits
	b.crc8, b.crc16 = 0, 0
	if err := d.head(n); err != nil {
		return err
	}
	if need := n * d.Channels; cap(d.out) < need {
		d.out = make([]int16, need)
	}
	d.out = d.out[:n*d.Channels]
	for c := range d.Channels {
		if err := b.subframe(d.block[:n]); err != nil {
			return err
		}
		for i, v := range d.block[:n] {
			if v != int32(int16(v)) {
				return ErrFormat
			}
			d.out[i*d.Channels+c] = int16(v)
		}
	}
	b.n = 0 // what fills the last byte
	want := b.crc16
	if got := b.take(16); b.err == nil && got != uint64(want) {
		return fmt.Errorf("%w: its sum is wrong", ErrFormat)
	}
	return b.err
}

// head reads a frame's header, and checks that it is the one that the encoder writes.
func (d *Decoder) head(n int) error {
	b := &d.bits
	want := bitWriter{}
	want.put(0xFFF8, 16)
	size := uint64(12)
	if n != blockSize {
		size = 7
	}
	want.put(size, 4)
	want.put(rateCodes[d.Rate], 4)
	want.put(uint64(d.Channels-1), 4)
	want.put(4, 3)
	want.put(0, 1)
	e := Encoder{bits: want}
	e.number(d.frame)
	want = e.bits
	if n != blockSize {
		want.put(uint64(n-1), 16)
	}
	for _, x := range want.buf {
		if got := b.take(8); b.err == nil && got != uint64(x) {
			return ErrFormat
		}
	}
	sum := b.crc8
	if got := b.take(8); b.err == nil && got != uint64(sum) {
		return fmt.Errorf("%w: its head's sum is wrong", ErrFormat)
	}
	return b.err
}

// A bitReader takes bits, most significant first, and sums the bytes that they are of. After an error all bits are 0.
type bitReader struct {
	r     *bufio.Reader
	acc   uint64 // the lowest n bits wait
	n     uint
	crc8  uint8
	crc16 uint16
	err   error
}

// take gives the next n bits, n from 0 to 64.
func (b *bitReader) take(n uint) uint64 {
	if n > 32 {
		high := b.take(n - 32)
		return high<<32 | b.take(32)
	}
	for b.n < n {
		x, err := b.r.ReadByte()
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it is cut off", ErrFormat)
		}
		if err != nil && b.err == nil {
			b.err = err
		}
		if b.err != nil {
			return 0
		}
		b.crc8 = crc8Table[b.crc8^x]
		b.crc16 = b.crc16<<8 ^ crc16Table[byte(b.crc16>>8)^x]
		b.acc = b.acc<<8 | uint64(x)
		b.n += 8
	}
	b.n -= n
	return b.acc >> b.n & (1<<n - 1)
}

// signed gives the next n bits as a number in two's complement, n from 1 to 32.
func (b *bitReader) signed(n uint) int32 {
	return int32(b.take(n)<<(32-n)) >> (32 - n)
}

// unary counts zeros up to a one, and at most so many.
func (b *bitReader) unary(most uint64) uint64 {
	for q := uint64(0); q <= most; q++ {
		if b.take(1) == 1 {
			return q
		}
		if b.err != nil {
			return 0
		}
	}
	b.err = ErrFormat
	return 0
}
