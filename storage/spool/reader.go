package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// maxTrials limits how many frames that only look like frames are decrypted in one reading: a file made to look so
// costs bounded time. Chance alone makes none.
const maxTrials = 1024

// readAhead is how much is read from the file at once; a window grows to a whole frame when it must.
const readAhead = 256 << 10

// A Record is one appended record. Payload is valid until the next one is asked for, or the reading ends: then it is wiped.
type Record struct {
	Kind    byte
	Payload []byte
}

// A Reader reads the record file of one recording as it was when the Reader was made.
type Reader struct {
	id      string
	key     [keySize]byte
	src     io.ReaderAt
	size    int64
	f       *os.File
	dropped int64
}

// All yields the records in order, from the first; it may be called again.
//
// A DamageError is yielded where something in the middle is not what was written. Whoever stops there has a true
// prefix; whoever goes on gets the records behind the damage. Any other error is the last thing yielded.
func (r *Reader) All() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := r.scanner()
		s.run(yield)
		r.dropped = s.dropped
	}
}

// Dropped tells, after All has ended by itself, how many bytes at the end were the torn tail of an unfinished write.
func (r *Reader) Dropped() int64 { return r.dropped }

// Close closes the file.
func (r *Reader) Close() error {
	clear(r.key[:])
	if r.f == nil {
		return nil
	}
	return r.f.Close()
}

func (r *Reader) scanner() *scanner {
	return &scanner{id: r.id, key: &r.key, src: r.src, size: r.size}
}

// A scanner goes through a record file once.
type scanner struct {
	id   string
	key  *[keySize]byte
	src  io.ReaderAt
	size int64

	window []byte // bytes of the file from base on
	base   int64

	off      int64 // the next frame is expected here
	aead     cipher.AEAD
	epoch    uint64 // number of the next epoch
	counter  uint64 // of the next record
	previous [tagSize]byte
	nonce    [nonceSize]byte
	plain    []byte
	trials   int
	dropped  int64
}

// A frame is an authentic frame that was found in the file.
type frame struct {
	off, size int64
	epoch     *epochHeader // nil: a record
	aead      cipher.AEAD  // of the epoch
	kind      byte
	counter   uint64
	payload   []byte
	tag       [tagSize]byte
	stale     bool // authentic, but from before the place where it lies
}

// run yields every record that is there.
func (s *scanner) run(yield func(Record, error) bool) {
	defer s.wipe()
	for s.off < s.size {
		f, stale, err := s.locate()
		if err != nil {
			yield(Record{}, err)
			return
		}
		if f == nil {
			if damage := s.tail(stale); damage != nil {
				yield(Record{}, damage)
			}
			return
		}
		damage := s.accept(f)
		if damage != nil && !yield(Record{}, damage) {
			return
		}
		if f.epoch == nil && !yield(Record{Kind: f.kind, Payload: f.payload}, nil) {
			return
		}
	}
	if s.aead == nil {
		yield(Record{}, &DamageError{ID: s.id, Reason: "the file is empty"})
	}
}

// wipe leaves nothing in memory of the records that were read.
func (s *scanner) wipe() { clear(s.plain[:cap(s.plain)]) }

// tail judges the rest of a file in which no further frame was found.
func (s *scanner) tail(stale bool) error {
	rest := s.size - s.off
	switch {
	case s.aead == nil: // the first header was on the disk before anything else was written
		return &DamageError{ID: s.id, Bytes: rest, Reason: "wrong key, or damaged header"}
	case stale: // no crash copies an old frame to the end
		return &DamageError{ID: s.id, Offset: s.off, Bytes: rest, Reason: "records were repeated or moved"}
	case s.trials > maxTrials:
		return &DamageError{ID: s.id, Offset: s.off, Bytes: rest, Reason: "too much damage to go on"}
	}
	s.dropped = rest
	return nil
}

// accept moves behind a frame and says what is wrong between it and the last one.
func (s *scanner) accept(f *frame) error {
	d := &DamageError{ID: s.id, Offset: s.off, Bytes: f.off - s.off, Lost: f.counter - s.counter}
	damaged := d.Bytes > 0 || d.Lost > 0
	if e := f.epoch; e != nil {
		if !damaged && (e.number != s.epoch || e.previous != s.previous) {
			damaged, d.Reason = true, "an epoch does not follow the one before"
		}
		s.aead, s.epoch, s.counter = f.aead, e.number+1, e.counter
	} else {
		s.counter = f.counter + 1
	}
	s.off, s.previous = f.off+f.size, f.tag
	if damaged {
		return d
	}
	return nil
}

// locate finds the first frame at or behind off that is authentic and not stale; nil: there is none. stale tells
// whether an authentic frame in the wrong place was passed.
func (s *scanner) locate() (found *frame, stale bool, err error) {
	for p := s.off; p < s.size; {
		f, err := s.frameAt(p)
		switch {
		case err != nil:
			return nil, stale, err
		case f == nil:
			p++
		case f.stale:
			stale = true
			p += f.size
		default:
			return f, stale, nil
		}
		if s.trials > maxTrials {
			break
		}
	}
	return nil, stale, nil
}

// frameAt returns the authentic frame that begins at p, or nil.
func (s *scanner) frameAt(p int64) (*frame, error) {
	b, err := s.at(p, recordExtra)
	if len(b) < recordExtra || err != nil {
		return nil, err
	}
	if string(b[:4]) == epochMagic {
		return s.epochAt(p)
	}
	length, kind, counter, ok := parseRecordHeader(b)
	size := int64(length) + recordExtra
	switch {
	case !ok, s.aead == nil, size > s.size-p, counter > s.counter+uint64(s.size/recordExtra):
		return nil, nil
	}
	if b, err = s.at(p, int(size)); err != nil {
		return nil, err
	}
	if cap(s.plain) < length {
		s.wipe()
		s.plain = make([]byte, 0, max(length, 2*cap(s.plain)))
	}
	plain, err := s.aead.Open(s.plain[:0], recordNonce(&s.nonce, counter), b[recordClear:], b[:recordClear])
	if err != nil {
		s.trials++
		return nil, nil
	}
	s.plain = plain
	f := &frame{off: p, size: size, kind: kind, counter: counter, payload: plain, stale: counter < s.counter}
	copy(f.tag[:], b[size-tagSize:])
	return f, nil
}

func (s *scanner) epochAt(p int64) (*frame, error) {
	b, err := s.at(p, epochSize)
	if err != nil {
		return nil, err
	}
	h, ok := parseEpoch(b)
	if !ok {
		return nil, nil
	}
	aead, err := openEpoch(b, s.id, s.key, h)
	if err != nil {
		s.trials++
		return nil, nil
	}
	f := &frame{off: p, size: epochSize, epoch: &h, aead: aead, counter: h.counter}
	f.stale = h.number < s.epoch || h.counter < s.counter
	copy(f.tag[:], b[epochClear:])
	return f, nil
}

// at returns n bytes of the file from off on, fewer at its end; they are valid until the next call.
func (s *scanner) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-off))
	if i := off - s.base; i >= 0 && i+int64(n) <= int64(len(s.window)) {
		return s.window[i : i+int64(n)], nil
	}
	want := int(min(int64(max(n, readAhead)), s.size-off))
	if cap(s.window) < want {
		s.window = make([]byte, want)
	}
	s.window, s.base = s.window[:want], off
	got, err := s.src.ReadAt(s.window, off)
	s.window = s.window[:got]
	if err != nil && !(errors.Is(err, io.EOF) && got == want) {
		if errors.Is(err, io.EOF) { // cut since the Reader was made
			s.size = off + int64(got)
			return s.window[:min(n, got)], nil
		}
		return nil, fmt.Errorf("read recording %s: %w", s.id, err)
	}
	return s.window[:n], nil
}
