package wav

import (
	"encoding/binary"
	"errors"
	"io"
)

// A Reader decodes the samples of a file, in order. It holds one buffer, whatever the length of the file.
type Reader struct {
	r      io.ReaderAt
	info   Info
	offset int64 // of the next frame, within the data
	buf    []byte
	table  *[256]int16 // nil for PCM
}

// bufferFrames is how many frames a Reader decodes at once.
const bufferFrames = 4096

// NewReader reads the file that Parse described.
func NewReader(r io.ReaderAt, info Info) *Reader {
	reader := &Reader{r: r, info: info}
	switch info.Tag {
	case MuLaw:
		reader.table = expand(mulaw)
	case ALaw:
		reader.table = expand(alaw)
	}
	return reader
}

// Read fills dst, one slice per channel, all of one length, and returns how many samples per channel it decoded. At the end of
// the data it returns 0 and io.EOF.
func (r *Reader) Read(dst [][]int16) (int, error) {
	frame := r.info.FrameBytes()
	if len(dst) != r.info.Channels || frame == 0 {
		return 0, errors.New("read samples: one slice per channel is needed")
	}
	n := min(bufferFrames, int((r.info.DataBytes-r.offset)/int64(frame)))
	for _, channel := range dst {
		n = min(n, len(channel))
	}
	if n <= 0 {
		return 0, io.EOF
	}
	if cap(r.buf) < n*frame {
		r.buf = make([]byte, n*frame)
	}
	b := r.buf[:n*frame]
	if got, err := r.r.ReadAt(b, r.info.DataOffset+r.offset); got < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	r.offset += int64(len(b))
	r.decode(dst, b, n)
	return n, nil
}

func (r *Reader) decode(dst [][]int16, b []byte, n int) {
	channels := len(dst)
	for c, out := range dst {
		for i := range n {
			at := i*channels + c
			if r.table != nil {
				out[i] = r.table[b[at]]
			} else {
				out[i] = int16(binary.LittleEndian.Uint16(b[2*at:]))
			}
		}
	}
}

// ReadSamples parses a file of size bytes and decodes all of it: one slice per channel. It needs twice the file's size, or four
// times, of memory; a Reader needs none.
func ReadSamples(r io.ReaderAt, size int64) (Info, [][]int16, error) {
	info, err := Parse(r, size)
	if err != nil {
		return Info{}, nil, err
	}
	samples := make([][]int16, info.Channels)
	rest := make([][]int16, info.Channels)
	for c := range samples {
		samples[c] = make([]int16, info.Frames())
		rest[c] = samples[c]
	}
	reader := NewReader(r, info)
	for {
		n, err := reader.Read(rest)
		if errors.Is(err, io.EOF) {
			return info, samples, nil
		}
		if err != nil {
			return Info{}, nil, err
		}
		for c := range rest {
			rest[c] = rest[c][n:]
		}
	}
}

func expand(law func(byte) int) *[256]int16 {
	var t [256]int16
	for code := range t {
		t[code] = int16(law(byte(code)))
	}
	return &t
}

// mulaw and alaw are ITU-T G.711 at 16 bits. Package codec has the same; this package imports nothing, so that whoever checks a
// recording needs nothing else.
func mulaw(b byte) int {
	b = ^b
	magnitude := (int(b&15)<<3+132)<<(b>>4&7) - 132
	if b&0x80 != 0 {
		return -magnitude
	}
	return magnitude
}

func alaw(b byte) int {
	b ^= 0x55
	segment := b >> 4 & 7
	magnitude := int(b&15)<<4 + 8
	if segment > 0 {
		magnitude = (magnitude + 256) << (segment - 1)
	}
	if b&0x80 == 0 {
		return -magnitude
	}
	return magnitude
}
