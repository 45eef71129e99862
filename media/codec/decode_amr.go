//go:build amr

package codec

// #cgo LDFLAGS: -lopencore-amrnb -lopencore-amrwb
// #include <opencore-amrnb/interf_dec.h>
// #include <opencore-amrwb/dec_if.h>
import "C"

import (
	"errors"
	"runtime"
	"unsafe"
)

// newAMR makes a decoder on the opencore libraries.
var newAMR = func(family *amrFamily, aligned bool) (Decoder, error) {
	d := &amr{family: family, aligned: aligned}
	return d, d.open()
}

// amr decodes AMR or AMR-WB.
type amr struct {
	family  *amrFamily
	aligned bool
	lib     *amrLibrary
	payload amrPayload
	stored  [maxAMRStored]byte
}

// An amrLibrary is the state that the library keeps outside the Go heap. It is freed when the decoder is no longer used.
type amrLibrary struct {
	state unsafe.Pointer
	wide  bool
}

func (d *amr) open() error {
	l := &amrLibrary{wide: d.family == &wideband}
	if l.wide {
		l.state = C.D_IF_init()
	} else {
		l.state = C.Decoder_Interface_init()
	}
	if l.state == nil {
		return errors.New("make AMR decoder: the opencore library gave none; it is out of memory")
	}
	free := func(state unsafe.Pointer) { C.Decoder_Interface_exit(state) }
	if l.wide {
		free = func(state unsafe.Pointer) { C.D_IF_exit(state) }
	}
	runtime.AddCleanup(l, free, l.state)
	d.lib = l
	return nil
}

// Reset forgets what came before. When there is no memory for a new state the old one is kept.
func (d *amr) Reset() {
	_ = d.open()
}

// Recover appends nothing: redundant frames of RFC 4867 section 3.7.1 are not asked for.
func (d *amr) Recover(dst []int16, _ []byte, _ int) ([]int16, error) {
	return dst, nil
}

func (d *amr) Frames(dst []Frame, payload []byte) ([]Frame, error) {
	var p amrPayload
	if err := p.parse(d.family, d.aligned, payload); err != nil {
		return dst, err
	}
	return p.list(dst, d.family), nil
}

// Decode decodes the frames. A silence descriptor, or no data, is decoded too, since speech continues from the noise that the
// decoder makes of it; the noise is not kept. A bad frame is not decoded, as if it had never come.
func (d *amr) Decode(dst []int16, payload []byte) ([]int16, error) {
	if err := d.payload.parse(d.family, d.aligned, payload); err != nil {
		return dst, err
	}
	n := d.family.samples()
	for _, a := range d.payload.frames[:d.payload.count] {
		whole, out := extend(dst, n)
		dst = whole
		kind := d.family.frameKind(a)
		if kind != Bad {
			d.family.store(&d.stored, payload, a)
			d.lib.decode(&d.stored, out)
		}
		if kind != Sound {
			clear(out)
		}
	}
	return dst, nil
}

// decode decodes one frame to 20 ms.
func (l *amrLibrary) decode(stored *[maxAMRStored]byte, out []int16) {
	in, pcm := (*C.uchar)(&stored[0]), (*C.short)(&out[0])
	if l.wide {
		C.D_IF_decode(l.state, in, pcm, 0)
	} else {
		C.Decoder_Interface_Decode(l.state, in, pcm, 0)
	}
	runtime.KeepAlive(l)
}
