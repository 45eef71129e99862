// Package codec is the payload side of media.
package codec

// An Encoding says how samples are stored. The values are stored in files.
type Encoding uint8

// The encodings.
const (
	PCMU Encoding = 1
	PCMA Encoding = 2
	L16  Encoding = 3
)
