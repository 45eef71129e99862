package codec

// The tables hold what ITU-T G.711 gives for each of the 256 codes, scaled to 16 bits: the 14-bit values of mu-law (table 2a)
// times 4, the 13-bit values of A-law (table 1a) times 8.
var (
	mulaw = mulawTable()
	alaw  = alawTable()
)

// mulawTable expands mu-law: the inverted byte is sign, 3 bits of segment and 4 of step; the bias of 33 (here 132, at 16 bits)
// makes the segments meet.
func mulawTable() (t [256]int16) {
	for code := range t {
		u := ^uint8(code)
		segment, step := u>>4&7, int(u&15)
		magnitude := (step<<3+132)<<segment - 132
		if u&0x80 != 0 {
			magnitude = -magnitude
		}
		t[code] = int16(magnitude)
	}
	return t
}

// alawTable expands A-law: every other bit of the byte is inverted (0x55); segment 0 is linear, the others have a leading one.
func alawTable() (t [256]int16) {
	for code := range t {
		a := uint8(code) ^ 0x55
		segment, step := a>>4&7, int(a&15)
		magnitude := step<<4 + 8
		if segment > 0 {
			magnitude = (magnitude + 256) << (segment - 1)
		}
		if a&0x80 == 0 {
			magnitude = -magnitude
		}
		t[code] = int16(magnitude)
	}
	return t
}

// DecodePCMU decodes mu-law (ITU-T G.711) and returns the number of samples: the shorter of dst and src.
func DecodePCMU(dst []int16, src []byte) int {
	n := min(len(dst), len(src))
	for i, b := range src[:n] {
		dst[i] = mulaw[b]
	}
	return n
}

// DecodePCMA decodes A-law (ITU-T G.711) and returns the number of samples: the shorter of dst and src.
func DecodePCMA(dst []int16, src []byte) int {
	n := min(len(dst), len(src))
	for i, b := range src[:n] {
		dst[i] = alaw[b]
	}
	return n
}

// Decode decodes samples of any encoding and returns their number: as many as dst and src hold.
func Decode(dst []int16, e Encoding, src []byte) int {
	switch e {
	case PCMU:
		return DecodePCMU(dst, src)
	case PCMA:
		return DecodePCMA(dst, src)
	case L16:
		n := min(len(dst), len(src)/2)
		for i := range n {
			dst[i] = int16(uint16(src[2*i]) | uint16(src[2*i+1])<<8)
		}
		return n
	}
	return 0
}
