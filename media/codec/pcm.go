package codec

import (
	"fmt"
	"slices"
	"strings"
)

// stateless is the part of Decoder that a codec without memory and without redundancy has.
type stateless struct{}

func (stateless) Recover(dst []int16, _ []byte, _ int) ([]int16, error) { return dst, nil }
func (stateless) Reset()                                                {}

// extend lengthens dst by n samples and returns it with the new part, which may hold anything.
func extend(dst []int16, n int) (whole, part []int16) {
	whole = slices.Grow(dst, n)[:len(dst)+n]
	return whole, whole[len(dst):]
}

// sound appends one run of n samples of sound, if there are any.
func sound(dst []Frame, n int) []Frame {
	if n == 0 {
		return dst
	}
	return append(dst, Frame{Samples: n})
}

// lawCodec is G.711 (RFC 3551 section 4.5.14): one byte is one sample.
func lawCodec(f Format, e Encoding) (Codec, bool) {
	c := Codec{Name: e.String(), ClockRate: 8000, Rate: 8000, Law: e, New: func() (Decoder, error) { return lawDecoder{law: e}, nil }}
	return c, f.ClockRate == 8000 && f.Channels == 1
}

type lawDecoder struct {
	stateless
	law Encoding
}

func (d lawDecoder) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	return sound(dst, len(payload)), nil
}

func (d lawDecoder) Decode(dst []int16, payload []byte) ([]int16, error) {
	dst, out := extend(dst, len(payload))
	Decode(out, d.law, payload)
	return dst, nil
}

// linearCodec is L16 (RFC 3551 section 4.5.11): big endian, the channels interleaved. Two channels become their mean.
func linearCodec(f Format) (Codec, bool) {
	channels := f.Channels
	c := Codec{Name: "L16", ClockRate: f.ClockRate, Rate: f.ClockRate, New: func() (Decoder, error) {
		return linearDecoder{channels: channels}, nil
	}}
	return c, validRate(f.ClockRate) && f.ClockRate != 12000 && (channels == 1 || channels == 2)
}

type linearDecoder struct {
	stateless
	channels int
}

// samples counts those of a payload, for one channel.
func (d linearDecoder) samples(payload []byte) (int, error) {
	if len(payload)%(2*d.channels) != 0 {
		return 0, fmt.Errorf("read L16: %d bytes are no whole samples of %d channels; check a=rtpmap", len(payload), d.channels)
	}
	return len(payload) / (2 * d.channels), nil
}

func (d linearDecoder) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	n, err := d.samples(payload)
	return sound(dst, n), err
}

func (d linearDecoder) Decode(dst []int16, payload []byte) ([]int16, error) {
	n, err := d.samples(payload)
	if err != nil {
		return dst, err
	}
	dst, out := extend(dst, n)
	for i := range out {
		if d.channels == 1 {
			out[i] = bigEndian(payload[2*i:])
		} else {
			// The sum of two 16-bit samples has 17 bits; halved, it fits again.
			out[i] = int16((int32(bigEndian(payload[4*i:])) + int32(bigEndian(payload[4*i+2:]))) >> 1)
		}
	}
	return dst, nil
}

func bigEndian(b []byte) int16 {
	return int16(uint16(b[0])<<8 | uint16(b[1]))
}

// comfortNoiseCodec is CN (RFC 3389): the sender says that it is quiet, and how its noise would sound. The noise is not made.
func comfortNoiseCodec(f Format) (Codec, bool) {
	c := Codec{Name: strings.ToUpper(f.Name), ClockRate: f.ClockRate, Rate: f.ClockRate, New: func() (Decoder, error) {
		return comfortNoise{}, nil
	}}
	return c, validRate(f.ClockRate) && f.Channels == 1
}

type comfortNoise struct{ stateless }

// Frames says that from here on it is quiet: how long, only the next packet tells.
func (comfortNoise) Frames(dst []Frame, _ []byte) ([]Frame, error) {
	return append(dst, Frame{Kind: Quiet}), nil
}

func (comfortNoise) Decode(dst []int16, _ []byte) ([]int16, error) {
	return dst, nil
}
