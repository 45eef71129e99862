package codec

import (
	"errors"
	"fmt"
)

// An amrFamily is what AMR and AMR-WB differ in (RFC 4867).
type amrFamily struct {
	name   string
	rate   int     // samples per second
	bits   [16]int // of a frame by its type; -1 for a type that does not exist (3GPP TS 26.101 table 1a, TS 26.201 table 1a)
	speech int     // the types below this are speech
	lost   int     // the type that says that a frame of speech was lost; -1 when there is none
}

var (
	narrowband = amrFamily{
		name: "AMR", rate: 8000, speech: 8, lost: -1,
		bits: [16]int{95, 103, 118, 134, 148, 159, 204, 244, 39, -1, -1, -1, -1, -1, -1, 0},
	}
	wideband = amrFamily{
		name: "AMR-WB", rate: 16000, speech: 9, lost: 14,
		bits: [16]int{132, 177, 253, 285, 317, 365, 397, 461, 477, 40, -1, -1, -1, -1, 0, 0},
	}
)

const (
	// maxAMRFrames are the frames of one payload that we accept: one second. RFC 4867 sets no limit, and a frame without data
	// costs its sender 6 bits.
	maxAMRFrames = 50
	// maxAMRStored is the size of the largest frame in the format of a file, AMR-WB at 23.85 kbit/s (RFC 4867 section 5.3).
	maxAMRStored = 61
)

// errAMR says that a payload is not what RFC 4867 allows for the format that was agreed.
var errAMR = errors.New("malformed AMR payload (RFC 4867 section 4); check that octet-align in a=fmtp is what the sender does")

// samples is the length of a frame: always 20 ms.
func (f *amrFamily) samples() int { return f.rate / 50 }

// An amrFrame is one frame of a payload.
type amrFrame struct {
	kind uint8 // frame type, 0 to 15
	good bool  // Q: not damaged
	at   int   // bit of the payload at which its speech begins
}

// frameKind says what the frame is to a recorder.
func (f *amrFamily) frameKind(a amrFrame) Kind {
	switch {
	case int(a.kind) == f.lost || !a.good && int(a.kind) < f.speech:
		return Bad
	case int(a.kind) < f.speech:
		return Sound
	}
	return Quiet
}

// An amrPayload is the list of frames of one payload.
type amrPayload struct {
	frames [maxAMRFrames]amrFrame
	count  int
}

// parse reads the table of contents of a payload in either form: bandwidth-efficient (RFC 4867 section 4.3) or octet-aligned
// (section 4.4). Its length must be what the table says: if it is not, the other form was meant, and speech would be noise.
func (p *amrPayload) parse(f *amrFamily, aligned bool, b []byte) error {
	head, entry := 4, 6
	if aligned {
		head, entry = 8, 8
	}
	p.count = 0
	at := head
	for more := true; more; at += entry {
		if at+entry > 8*len(b) || p.count == maxAMRFrames {
			return fmt.Errorf("read table of contents of %d bytes: %w", len(b), errAMR)
		}
		e := bitsAt(b, at, 6)
		more = e&0x20 != 0
		a := amrFrame{kind: e >> 1 & 15, good: e&1 != 0}
		if f.bits[a.kind] < 0 {
			return fmt.Errorf("read frame of type %d, which does not exist: %w", a.kind, errAMR)
		}
		p.frames[p.count] = a
		p.count++
	}
	for i := range p.count {
		p.frames[i].at = at
		at += f.bits[p.frames[i].kind]
		if aligned {
			at = (at + 7) &^ 7
		}
	}
	if (at+7)/8 != len(b) {
		return fmt.Errorf("read payload of %d bytes, %d by its table of contents: %w", len(b), (at+7)/8, errAMR)
	}
	return nil
}

// list appends what the frames are.
func (p *amrPayload) list(dst []Frame, f *amrFamily) []Frame {
	for _, a := range p.frames[:p.count] {
		dst = append(dst, Frame{Samples: f.samples(), Kind: f.frameKind(a)})
	}
	return dst
}

// store writes a frame of payload b as a file has it, one byte of header and the speech from the next byte on (RFC 4867
// section 5.3), which is what decoders read. It returns the number of bytes.
func (f *amrFamily) store(dst *[maxAMRStored]byte, b []byte, a amrFrame) int {
	dst[0] = a.kind << 3
	if a.good {
		dst[0] |= 4
	}
	n := 1
	for left := f.bits[a.kind]; left > 0; left -= 8 {
		take := min(left, 8)
		dst[n] = bitsAt(b, a.at, take) << (8 - take)
		a.at += take
		n++
	}
	return n
}

// bitsAt reads n bits of b, at most 8, from bit at on, the highest first.
func bitsAt(b []byte, at, n int) byte {
	v := uint16(b[at/8]) << 8
	if at/8+1 < len(b) {
		v |= uint16(b[at/8+1])
	}
	return byte(v << (at % 8) >> (16 - n))
}

// amrAligned reads the parameters that change how a payload looks (RFC 4867 section 8.1). It refuses what we do not read:
// check sums, robust sorting and interleaving.
func amrAligned(params string) (aligned, ok bool) {
	for _, name := range [...]string{"crc", "robust-sorting"} {
		if v, ok := number(params, name, 0); !ok || v != 0 {
			return false, false
		}
	}
	if _, interleaved := param(params, "interleaving"); interleaved {
		return false, false
	}
	v, ok := number(params, "octet-align", 0)
	return v == 1, ok && v <= 1
}

// amrCodec is AMR or AMR-WB, when this build can decode it.
func amrCodec(f Format, family *amrFamily) (Codec, bool) {
	aligned, ok := amrAligned(f.Params)
	if !ok || newAMR == nil || f.ClockRate != family.rate || f.Channels != 1 {
		return Codec{}, false
	}
	return Codec{Name: family.name, ClockRate: family.rate, Rate: family.rate, New: func() (Decoder, error) {
		return newAMR(family, aligned)
	}}, true
}
