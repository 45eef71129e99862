package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of what Parse reads. A file of ours has four chunks before its samples end.
const (
	maxChunks   = 64
	maxChannels = 1024
	maxRate     = 1 << 20 // hertz
)

// ErrFormat is wrapped by the errors of Parse that say the file is no WAVE file that this package reads.
var ErrFormat = errors.New("not a WAVE file of a known format")

// Info is what the header of a file says, corrected by the file's size.
type Info struct {
	Format
	DataOffset int64 // of the first sample, in bytes
	DataBytes  int64 // whole frames
}

// Frames is the number of samples per channel.
func (i Info) Frames() int64 {
	if i.FrameBytes() == 0 {
		return 0
	}
	return i.DataBytes / int64(i.FrameBytes())
}

// Parse reads the header of a file of size bytes. A header that was written before its data, and never corrected, is no error:
// a data length that is unknown (all ones), larger than what is there, or 0 in a file whose header says that it ends there,
// means that the data runs to the end of the file.
//
// Errors wrap ErrFormat, or are those of r.
func Parse(r io.ReaderAt, size int64) (Info, error) {
	var h [12]byte
	if err := readAt(r, h[:], 0, size); err != nil {
		return Info{}, fmt.Errorf("read RIFF header: %w", err)
	}
	id := string(h[:4])
	if id != "RIFF" && id != "RF64" || string(h[8:]) != "WAVE" {
		return Info{}, fmt.Errorf("read RIFF header: %w", ErrFormat)
	}
	p := parser{r: r, size: size, riffEnd: 8 + int64(binary.LittleEndian.Uint32(h[4:])), long: -1}
	offset := int64(len(h))
	for range maxChunks {
		next, done, err := p.chunk(offset)
		if err != nil {
			return Info{}, err
		}
		if done {
			return p.info, nil
		}
		offset = next
	}
	return Info{}, fmt.Errorf("find data chunk: %w", ErrFormat)
}

type parser struct {
	r       io.ReaderAt
	size    int64
	riffEnd int64 // where the header says that the file ends
	long    int64 // data length by the ds64 chunk; -1: none
	info    Info
}

// chunk reads the chunk at offset, and says where the next one is, or that the data has been found.
func (p *parser) chunk(offset int64) (next int64, done bool, err error) {
	var h [8]byte
	if err := readAt(p.r, h[:], offset, p.size); err != nil {
		return 0, false, fmt.Errorf("find data chunk: %w", err)
	}
	length, body := int64(binary.LittleEndian.Uint32(h[4:])), offset+8
	switch string(h[:4]) {
	case "ds64":
		var b [16]byte
		if err := readAt(p.r, b[:], body, p.size); err != nil {
			return 0, false, fmt.Errorf("read ds64 chunk: %w", err)
		}
		// A length beyond any file is a lie like any other, and clipped where it is used.
		p.long = int64(min(binary.LittleEndian.Uint64(b[8:]), 1<<62))
	case "fmt ":
		if err := p.format(body, length); err != nil {
			return 0, false, fmt.Errorf("read fmt chunk: %w", err)
		}
	case "data":
		if p.info.Channels == 0 {
			return 0, false, fmt.Errorf("find fmt chunk before the data: %w", ErrFormat)
		}
		p.data(body, length)
		return 0, true, nil
	}
	return body + length + length&1, false, nil
}

func (p *parser) data(body, length int64) {
	there := p.size - body
	switch {
	case length == unknownLength && p.long >= 0:
		length = p.long
	case length == unknownLength, length == 0 && p.riffEnd <= body:
		length = there
	}
	length = min(length, there)
	p.info.DataOffset = body
	p.info.DataBytes = length - length%int64(p.info.FrameBytes())
}

func (p *parser) format(body, length int64) error {
	var b [40]byte
	n := min(length, int64(len(b)))
	if n < 16 {
		return ErrFormat
	}
	if err := readAt(p.r, b[:n], body, p.size); err != nil {
		return err
	}
	f := Format{
		Tag:           Tag(binary.LittleEndian.Uint16(b[0:])),
		Channels:      int(binary.LittleEndian.Uint16(b[2:])),
		SampleRate:    int(binary.LittleEndian.Uint32(b[4:])),
		BitsPerSample: int(binary.LittleEndian.Uint16(b[14:])),
	}
	if f.Tag == extensible && n >= 26 {
		f.Tag = Tag(binary.LittleEndian.Uint16(b[24:]))
	}
	bits := 8
	if f.Tag == PCM {
		bits = 16
	}
	if f.Tag.String() == "unknown" || f.BitsPerSample != bits || f.Channels < 1 || f.Channels > maxChannels ||
		f.SampleRate < 1 || f.SampleRate > maxRate || int(binary.LittleEndian.Uint16(b[12:])) != f.FrameBytes() {
		return fmt.Errorf("tag %d, %d channels, %d Hz, %d bits: %w", f.Tag, f.Channels, f.SampleRate, f.BitsPerSample, ErrFormat)
	}
	p.info.Format = f
	return nil
}

// readAt fills b. What lies beyond size is a matter of format, not of reading.
func readAt(r io.ReaderAt, b []byte, offset, size int64) error {
	if offset < 0 || offset+int64(len(b)) > size {
		return fmt.Errorf("%w: it ends too early", ErrFormat)
	}
	n, err := r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
