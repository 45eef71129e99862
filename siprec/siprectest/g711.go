package siprectest

import (
	"fmt"
	"math/bits"
)

// A law is one of the two companding laws of G.711.
type law func(sample int16) byte

// EncodePCMU appends samples in mu-law (ITU-T G.711) to dst.
func EncodePCMU(dst []byte, samples []int16) []byte { return encode(dst, samples, muLaw) }

// EncodePCMA appends samples in A-law (ITU-T G.711) to dst.
func EncodePCMA(dst []byte, samples []int16) []byte { return encode(dst, samples, aLaw) }

func encode(dst []byte, samples []int16, l law) []byte {
	for _, s := range samples {
		dst = append(dst, l(s))
	}
	return dst
}

func lawOf(encoding string) (law, error) {
	switch encoding {
	case "PCMU":
		return muLaw, nil
	case "PCMA":
		return aLaw, nil
	}
	return nil, fmt.Errorf("encoding %q cannot be sent: use PCMU or PCMA", encoding)
}

// muLaw takes the 14-bit magnitude plus the bias of 33 (132 at 16 bits): the exponent is the place of the leading one,
// the mantissa the four bits after it; all bits are sent inverted.
func muLaw(s int16) byte {
	const bias, clip = 132, 32767 - 132
	v, sign := int(s), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exponent := bits.Len(uint(v)) - 8
	mantissa := v >> (exponent + 3) & 0x0f
	return ^(sign | byte(exponent)<<4 | byte(mantissa))
}

// aLaw takes the 12-bit magnitude; the lowest two segments share one step. Even bits are sent inverted.
func aLaw(s int16) byte {
	v, mask := int(s)>>3, byte(0xd5)
	if v < 0 {
		v, mask = -v-1, 0x55
	}
	code := v >> 1
	if v >= 32 {
		segment := bits.Len(uint(v)) - 5
		code = segment<<4 | v>>segment&0x0f
	}
	return byte(code) ^ mask
}
