package media

import (
	"bytes"
	"unsafe"

	"github.com/greffier/greffier/media/codec"
)

// KernelTime says that arrivals are known.
const KernelTime = kernelTime

// Dial is what a telephone sends for keys, in the mu-law: each on for a time and off for a time, in whole frames of 160 samples.
func Dial(keys string, on, off int) []byte {
	var coded []byte
	for _, v := range (dialled{keys: keys, low: -10, high: -10, on: 160 * on, off: 160 * off}).pcm() {
		coded = append(coded, encode(codec.PCMU, v))
	}
	return coded
}

// Holds says whether bytes are anywhere in the memory that a drainer lends.
func (d Drainer) Holds(needle []byte) bool {
	return bytes.Contains(unsafe.Slice((*byte)(unsafe.Pointer(&d.b.data)), unsafe.Sizeof(d.b.data)), needle) ||
		bytes.Contains(d.b.scratch[:cap(d.b.scratch)], needle)
}

// Holds says whether bytes are anywhere in a recording's memory for sound.
func (rec *Recording) Holds(needle []byte) bool {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	in := func(b []byte) bool { return bytes.Contains(b[:cap(b)], needle) }
	for _, c := range rec.timeline.channels {
		if in(c.data) {
			return true
		}
	}
	for i := range rec.timeline.streams {
		s := rec.timeline.streams[i]
		if g := rec.legs[i].guard; g != nil && in(g.scratch) || in(s.held.buf) || in(s.decoder.bytes) {
			return true
		}
	}
	return in(rec.timeline.scratch)
}
