package codec

import (
	"errors"
	"fmt"
)

const (
	g729Frame   = 10  // bytes of a frame of speech, 10 ms
	g729SID     = 2   // bytes of a silence descriptor (annex B), the last of a payload
	g729Samples = 80  // of either
	g729Frames  = 100 // of one payload, at most: one second
)

// errG729 says that a payload is not what RFC 3551 section 4.5.6 allows.
var errG729 = errors.New("malformed G.729 payload (RFC 3551 section 4.5.6); check that the payload type is G729")

// g729Codec is G.729 with annexes A and B, where there is a program that decodes it.
func g729Codec(f Format, program string) (Codec, bool) {
	c := Codec{Name: "G729", ClockRate: 8000, Rate: 8000, New: func() (Decoder, error) { return External(program) }}
	return c, program != "" && f.ClockRate == 8000 && f.Channels == 1
}

// g729List appends the frames of a payload.
func g729List(dst []Frame, payload []byte) ([]Frame, error) {
	n, rest := len(payload)/g729Frame, len(payload)%g729Frame
	if rest != 0 && rest != g729SID || n+rest/g729SID > g729Frames {
		return dst, fmt.Errorf("read payload of %d bytes: %w", len(payload), errG729)
	}
	for range n {
		dst = append(dst, Frame{Samples: g729Samples})
	}
	if rest == g729SID {
		dst = append(dst, Frame{Samples: g729Samples, Kind: Quiet})
	}
	return dst, nil
}
