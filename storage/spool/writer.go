package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A Writer appends records to the record file of one recording. Its methods may be called at the same time.
type Writer struct {
	spool   *Spool
	id      string
	dropped int64
	created time.Time // zero: another Writer began the file

	syncing sync.Mutex // held while the file is synced alone, or closed; taken before mu
	f       file

	mu       sync.Mutex // protects what follows
	key      [keySize]byte
	size     int64       // bytes of whole frames
	aead     cipher.AEAD // of the current epoch; nil: the next record begins a new one
	epoch    uint64      // number of the next epoch
	counter  uint64      // of the next record
	previous [tagSize]byte
	nonce    [nonceSize]byte
	ragged   bool   // part of a failed write may be behind size
	writes   uint64 // done
	synced   uint64 // how many of them are known to be on the disk
	syncErr  error  // a sync in the background failed, and nobody has been told
	closed   bool
}

// Append writes one record: the payload is the concatenation of its parts, at most MaxRecord bytes. When it returns
// nil the record is in the kernel, encrypted, and will be on the disk within the SyncInterval.
//
// After an error the record is not in the file and the file can still be appended to, with one exception: an ErrSync
// says that this record is in, but that syncing earlier ones to the disk failed since the last call. ErrFull: no room.
//
// The parts are not kept.
func (w *Writer) Append(kind byte, payload ...[]byte) error {
	length := 0
	for _, p := range payload {
		length += len(p)
	}
	if length > MaxRecord {
		return fmt.Errorf("append to recording %s: a record of %d bytes is above the limit of %d", w.id, length, MaxRecord)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return fmt.Errorf("append to recording %s: %w", w.id, ErrClosed)
	}
	lent := w.spool.frames.Get().(*[]byte)
	defer w.spool.frames.Put(lent)
	*lent = slices.Grow((*lent)[:0], epochSize+recordExtra+length)
	buf, begun, err := w.ensureEpoch(*lent)
	if err != nil {
		return fmt.Errorf("append to recording %s: %w", w.id, err)
	}
	start := len(buf)
	buf = appendRecordHeader(buf, length, kind, w.counter)
	for _, p := range payload {
		buf = append(buf, p...)
	}
	body := start + recordClear
	buf = w.aead.Seal(buf[:body], recordNonce(&w.nonce, w.counter), buf[body:], buf[start:body])
	if err := w.write(buf); err != nil {
		return fmt.Errorf("append to recording %s: %w", w.id, err)
	}
	w.counter++
	w.epoch += begun
	if err := w.syncErr; err != nil {
		w.syncErr = nil
		return err
	}
	return nil
}

// ensureEpoch appends an epoch header to buf when a new epoch is due, and returns how many it has appended.
func (w *Writer) ensureEpoch(buf []byte) ([]byte, uint64, error) {
	if w.aead != nil {
		return buf, 0, nil
	}
	var err error
	buf, w.aead, err = appendEpoch(buf, w.id, &w.key, epochHeader{
		began: w.spool.now(), number: w.epoch, counter: w.counter, previous: w.previous,
	})
	return buf, 1, err
}

// write puts frames behind the last whole one, or leaves the file as it was.
func (w *Writer) write(buf []byte) error {
	if w.ragged {
		if err := w.f.Truncate(w.size); err != nil {
			w.aead = nil
			return fmt.Errorf("cut off a failed write: %w", err)
		}
		w.ragged = false
	}
	if _, err := w.f.WriteAt(buf, w.size); err != nil {
		// Part of the ciphertext may be on the disk: this key must not see the counter again.
		w.aead = nil
		w.ragged = w.f.Truncate(w.size) != nil
		return classify(err)
	}
	w.size += int64(len(buf))
	copy(w.previous[:], buf[len(buf)-tagSize:])
	w.writes++
	return nil
}

// Sync returns when everything that was appended before is on the disk. ErrSync: it may not be; this is also said,
// once, when a sync in the background has failed since the last call.
func (w *Writer) Sync() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	return w.sync()
}

// sync is Sync; syncing is held.
func (w *Writer) sync() error {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return fmt.Errorf("sync recording %s: %w", w.id, ErrClosed)
	}
	w.flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.syncErr
	w.syncErr = nil
	return err
}

// flush syncs what is dirty and keeps the error. syncing is held, mu is not: appending goes on meanwhile.
func (w *Writer) flush() {
	writes, dirty := w.unsynced()
	if !dirty {
		return
	}
	w.spool.syncs.Add(1)
	if err := w.f.Datasync(); err != nil {
		w.spool.syncErrors.Add(1)
		w.failed(err)
		return
	}
	w.reached(writes)
}

// unsynced tells how many writes were done, and whether some of them may not be on the disk.
func (w *Writer) unsynced() (writes uint64, dirty bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes, w.writes != w.synced && !w.closed
}

// reached notes that the first writes are on the disk, that many.
func (w *Writer) reached(writes uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.synced = max(w.synced, writes)
}

// failed notes that a sync has failed. It is tried again, though the kernel may have given those pages up.
func (w *Writer) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.syncErr = fmt.Errorf("sync recording %s: %w: %w", w.id, ErrSync, err)
}

// Size is the length of the record file in bytes.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// Dropped tells how many bytes of a torn tail Reopen has cut off; 0 after Create.
func (w *Writer) Dropped() int64 { return w.dropped }

// Close syncs and closes the file. Closing again does nothing.
func (w *Writer) Close() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	err := w.sync()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	w.mu.Lock()
	w.closed = true
	w.aead = nil
	clear(w.key[:])
	w.mu.Unlock()
	if cerr := w.f.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close recording %s: %w", w.id, cerr))
	}
	w.spool.release(w.id)
	return err
}
