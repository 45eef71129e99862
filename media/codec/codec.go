// Package codec turns RTP payload bytes into linear samples and names the encodings that a recording is stored in. It is
// pure: no state, no I/O, no allocation.
//
// An encoding that this package cannot decode exactly is not in it: a call is never recorded as noise.
package codec

import (
	"strconv"
	"strings"
)

// An Encoding says how samples are stored. The values are stored in files: they are never reordered or used again.
type Encoding uint8

// The encodings.
const (
	PCMU Encoding = 1 // ITU-T G.711 mu-law, one byte per sample
	PCMA Encoding = 2 // ITU-T G.711 A-law, one byte per sample
	L16  Encoding = 3 // linear 16 bit, two's complement, little endian (on the wire RFC 3551 section 4.5.11 has it big endian)
)

// Valid says whether e is one of the encodings above.
func (e Encoding) Valid() bool {
	return e >= PCMU && e <= L16
}

// BytesPerSample is the size of one sample of one channel; 0 for an encoding that does not exist.
func (e Encoding) BytesPerSample() int {
	switch e {
	case PCMU, PCMA:
		return 1
	case L16:
		return 2
	}
	return 0
}

// String is the encoding's name as in SDP (RFC 3551 section 6).
func (e Encoding) String() string {
	switch e {
	case PCMU:
		return "PCMU"
	case PCMA:
		return "PCMA"
	case L16:
		return "L16"
	}
	return "Encoding(" + strconv.Itoa(int(e)) + ")"
}

// Silence is the byte that fills a sample nobody sent. The mu-law byte decodes to 0; A-law has no 0, its byte decodes to 8,
// the smallest positive value.
func (e Encoding) Silence() byte {
	switch e {
	case PCMU:
		return 0xFF
	case PCMA:
		return 0xD5
	}
	return 0
}

// Lookup finds the encoding of an RTP format by its SDP name (in any case), clock rate in hertz and number of channels
// (0 means 1, RFC 8866 section 6.6). It returns false for a format that this build cannot decode.
func Lookup(name string, clockRate, channels int) (Encoding, bool) {
	if clockRate != 8000 || channels > 1 || channels < 0 {
		return 0, false
	}
	switch {
	case strings.EqualFold(name, "PCMU"):
		return PCMU, true
	case strings.EqualFold(name, "PCMA"):
		return PCMA, true
	}
	return 0, false
}
