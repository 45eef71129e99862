// Package codec turns RTP payload bytes into linear samples, brings samples to another rate, and names the encodings that a
// recording is stored in. It is pure: no I/O, no global state, and no allocation for each packet. The one exception is the
// decoder of a Set, which is a program beside ours.
//
// Lookup finds what decodes a format. A format that cannot be decoded exactly is not found: a call is never recorded as noise.
// A Decoder holds what one stream's past says about its next payload. It makes nothing up: what a sender left out, or what
// arrived damaged, is zeros; a lost payload is recovered only from a copy that the sender put in the next one.
//
//	format           decoder                      rate of the samples
//	PCMU, PCMA       ours (ITU-T G.711)           8000
//	L16              ours (RFC 3551)              as declared; two channels become their mean
//	G722             ours (ITU-T G.722, mode 1)   16000
//	opus             gopus (RFC 6716, RFC 7587)   48000, or less where the format says so; two channels become their mean
//	AMR, AMR-WB      opencore, by the tag amr     8000, 16000
//	G729             a program that a Set names   8000
//	CN               nothing: it is quiet         as declared
//
// A build without the tag amr is pure Go.
package codec

import "strconv"

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
