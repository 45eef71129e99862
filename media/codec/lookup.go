package codec

import (
	"slices"
	"strconv"
	"strings"
)

// rates are the sample rates that decoders give and that a Resampler takes, in hertz, in rising order.
var rates = [...]int{8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}

// A Set says which decoders outside this program may be used beside its own. The zero Set has none.
type Set struct {
	// G729 is the path of a program that decodes G.729 as contrib/g729 does; "" means that G.729 is not decoded.
	G729 string
}

// Lookup finds the codec of an RTP format among those of this build. It returns false for a format that cannot be decoded
// exactly, which includes variants of a known codec that its parameters ask for.
func Lookup(f Format) (Codec, bool) {
	return Set{}.Lookup(f)
}

// Lookup finds the codec of an RTP format among those of this build and of the set.
func (s Set) Lookup(f Format) (Codec, bool) {
	if f.Channels == 0 {
		f.Channels = 1
	}
	switch strings.ToUpper(f.Name) {
	case "PCMU":
		return lawCodec(f, PCMU)
	case "PCMA":
		return lawCodec(f, PCMA)
	case "L16":
		return linearCodec(f)
	case "G722":
		return g722Codec(f)
	case "OPUS":
		return opusCodec(f)
	case "AMR":
		return amrCodec(f, &narrowband)
	case "AMR-WB":
		return amrCodec(f, &wideband)
	case "G729":
		return g729Codec(f, s.G729)
	case "CN":
		return comfortNoiseCodec(f)
	}
	return Codec{}, false
}

// validRate says whether hz is a sample rate that this package handles.
func validRate(hz int) bool {
	return slices.Contains(rates[:], hz)
}

// param reads a parameter of an a=fmtp line, "name=value; name=value". A parameter without a value is "".
func param(params, name string) (string, bool) {
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// number reads a parameter that is a number of 0 or more. It returns absent for one that is not there, false for one that is
// not a number.
func number(params, name string, absent int) (int, bool) {
	v, ok := param(params, name)
	if !ok {
		return absent, true
	}
	n, err := strconv.Atoi(v)
	return n, err == nil && n >= 0
}
