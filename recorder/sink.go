package recorder

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/storage/spool"
)

// maxHeld bounds the bytes that all calls together hold in memory: half a minute of some hundred calls. What comes beyond it is not
// held, and the recording that may come of it says so.
const maxHeld = 256 << 20

// heldOverflow is the warning of a recording of which a part could not be held until it was allowed.
const heldOverflow = "held-overflow"

// A sinkMode says what becomes of a call's sound.
type sinkMode int

const (
	sinkDrop sinkMode = iota // nothing is kept
	sinkHold                 // kept in memory, encrypted with a key that is nowhere else
	sinkKeep                 // kept in the spool
)

// A callSink hands the timeline's blocks to the spool, or holds them until it is known whether they may be kept. The receiver calls
// Append from one goroutine at a time, whoever has the session's turn the rest.
type callSink struct {
	total *atomic.Int64 // held by all calls

	mu       sync.Mutex // protects what follows
	mode     sinkMode
	w        *spool.Writer // of sinkKeep
	head     []byte
	held     [][]byte // sealed blocks, in their order
	size     int64
	overflow bool
	aead     cipher.AEAD
}

// Append implements media.Sink.
func (s *callSink) Append(b *media.Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.mode {
	case sinkHold:
		return s.hold(b)
	case sinkKeep:
		if err := s.flush(); err != nil {
			return err
		}
		s.head = b.MarshalHead(s.head[:0])
		return taken(s.w.Append(kindBlock, s.head, b.Data))
	default:
		return nil
	}
}

// hold seals a block in memory.
func (s *callSink) hold(b *media.Block) error {
	if s.aead == nil {
		key := make([]byte, 32)
		rand.Read(key)
		block, err := aes.NewCipher(key)
		clear(key)
		if err != nil {
			return fmt.Errorf("hold sound: %w", err)
		}
		if s.aead, err = cipher.NewGCM(block); err != nil {
			return fmt.Errorf("hold sound: %w", err)
		}
	}
	s.head = b.MarshalHead(s.head[:0])
	n := int64(len(s.head) + len(b.Data) + s.aead.Overhead())
	if s.total.Add(n) > maxHeld {
		s.total.Add(-n)
		s.overflow = true
		return nil
	}
	plain := append(make([]byte, 0, n), s.head...)
	plain = append(plain, b.Data...)
	s.held = append(s.held, s.aead.Seal(plain[:0], s.nonce(len(s.held)), plain, nil))
	s.size += n
	return nil
}

// nonce is that of the i-th block: a key seals each block once.
func (s *callSink) nonce(i int) []byte {
	nonce := make([]byte, s.aead.NonceSize())
	binary.BigEndian.PutUint64(nonce[len(nonce)-8:], uint64(i))
	return nonce
}

// flush gives the spool what was held. What it does not take stays held.
func (s *callSink) flush() error {
	for i, sealed := range s.held {
		if sealed == nil {
			continue
		}
		plain, err := s.aead.Open(nil, s.nonce(i), sealed, nil)
		if err != nil {
			return errors.New("what was held cannot be opened: memory is damaged")
		}
		err = taken(s.w.Append(kindBlock, plain))
		clear(plain)
		if err != nil {
			return err
		}
		s.held[i] = nil
		s.count(-int64(len(sealed)))
	}
	s.held, s.aead = nil, nil
	return nil
}

func (s *callSink) count(n int64) {
	s.size += n
	s.total.Add(n)
}

// keep has what is held, and what comes, go to the spool. After an error it is tried again with the next block.
func (s *callSink) keep(w *spool.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.w = sinkKeep, w
	return s.flush()
}

// wait has what comes held from now on.
func (s *callSink) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = sinkHold
}

// forget drops what is held, key and all. What comes from now on is dropped too, until keep or wait.
func (s *callSink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.held {
		clear(b)
	}
	s.count(-s.size)
	s.held, s.aead = nil, nil
	s.mode = sinkDrop
}

// holds tells whether the call's sound is in memory only.
func (s *callSink) holds() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode == sinkHold
}

// overflowed tells, once, that something could not be held.
func (s *callSink) overflowed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.overflow
	s.overflow = false
	return was
}
