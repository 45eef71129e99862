// Package wav writes and reads WAVE files that survive a crash: the writer needs to know nothing but the format before the
// first sample, and the reader trusts the size of the file more than the lengths in the header.
//
// What is written: a RIFF file (RF64, EBU Tech 3306, when it would exceed 4 GiB) with the chunks fmt, fact (for G.711 only)
// and data, in this order. It is pure: it neither opens nor writes files.
package wav

import (
	"encoding/binary"
	"math"
)

// A Tag is the format tag of a WAVE file, from RFC 2361.
type Tag uint16

// The tags that this package knows.
const (
	PCM   Tag = 1 // WAVE_FORMAT_PCM, 16 bits, little endian
	ALaw  Tag = 6 // WAVE_FORMAT_ALAW
	MuLaw Tag = 7 // WAVE_FORMAT_MULAW
)

// extensible is WAVE_FORMAT_EXTENSIBLE, whose real tag stands in its sub-format. It is read, never written.
const extensible Tag = 0xFFFE

func (t Tag) String() string {
	switch t {
	case PCM:
		return "PCM"
	case ALaw:
		return "A-law"
	case MuLaw:
		return "mu-law"
	}
	return "unknown"
}

// A Format says what the samples of a file are.
type Format struct {
	Tag           Tag
	SampleRate    int // in hertz
	Channels      int
	BitsPerSample int // 16 for PCM, 8 for the laws
}

// FrameBytes is the size of one sample of all channels.
func (f Format) FrameBytes() int {
	return f.Channels * f.BitsPerSample / 8
}

// Lengths in a RIFF header that do not fit 32 bits, or are not known, are all ones.
const unknownLength = math.MaxUint32

// Padding is the number of zero bytes, 0 or 1, that must follow dataBytes of data: RIFF chunks are even.
func Padding(dataBytes int64) int {
	return int(dataBytes & 1)
}

// Header is what stands before the data of a file of this format: the samples follow it, interleaved, and then Padding.
// dataBytes below 0 means that the length is not known yet; readers then take what is there.
func Header(f Format, dataBytes int64) []byte {
	body := appendFormat(nil, f)
	frames := int64(0)
	if f.FrameBytes() > 0 && dataBytes > 0 {
		frames = dataBytes / int64(f.FrameBytes())
	}
	if f.Tag != PCM {
		body = append(body, "fact\x04\x00\x00\x00"...)
		body = binary.LittleEndian.AppendUint32(body, clamp(frames))
	}
	body = append(body, "data"...)
	if dataBytes < 0 {
		return finish("RIFF", unknownLength, nil, body, unknownLength)
	}
	const formType = 4 // the word WAVE counts, the first 8 bytes do not
	total := formType + int64(len(body)) + 4 + dataBytes + int64(Padding(dataBytes))
	if total < unknownLength {
		return finish("RIFF", uint32(total), nil, body, uint32(dataBytes))
	}
	const ds64Bytes = 28
	ds64 := append([]byte("ds64"), ds64Bytes, 0, 0, 0)
	ds64 = binary.LittleEndian.AppendUint64(ds64, uint64(total+8+ds64Bytes))
	ds64 = binary.LittleEndian.AppendUint64(ds64, uint64(dataBytes))
	ds64 = binary.LittleEndian.AppendUint64(ds64, uint64(frames))
	ds64 = append(ds64, 0, 0, 0, 0) // no table of further long chunks
	return finish("RF64", unknownLength, ds64, body, unknownLength)
}

func finish(id string, length uint32, ds64, body []byte, data uint32) []byte {
	h := append(make([]byte, 0, 12+len(ds64)+len(body)+4), id...)
	h = binary.LittleEndian.AppendUint32(h, length)
	h = append(h, "WAVE"...)
	h = append(h, ds64...)
	h = append(h, body...)
	return binary.LittleEndian.AppendUint32(h, data)
}

// appendFormat writes the fmt chunk: 16 bytes for PCM, 18 for the others, whose last two say that no extension follows.
func appendFormat(b []byte, f Format) []byte {
	size := uint32(16)
	if f.Tag != PCM {
		size = 18
	}
	b = append(b, "fmt "...)
	b = binary.LittleEndian.AppendUint32(b, size)
	b = binary.LittleEndian.AppendUint16(b, uint16(f.Tag))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.Channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.SampleRate))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.SampleRate*f.FrameBytes()))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.FrameBytes()))
	b = binary.LittleEndian.AppendUint16(b, uint16(f.BitsPerSample))
	if f.Tag != PCM {
		b = append(b, 0, 0)
	}
	return b
}

func clamp(n int64) uint32 {
	return uint32(min(n, unknownLength))
}
