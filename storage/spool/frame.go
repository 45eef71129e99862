package spool

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"
)

// MaxRecord is the greatest payload of one record in bytes: enough for the largest SIPREC body and for minutes of
// audio, small enough to read a whole record into memory without thought.
const MaxRecord = 1 << 20

const (
	formatVersion = 1
	epochMagic    = "GSPL"
	infoPrefix    = "greffier spool 1 " // HKDF info, followed by the recording's id

	keySize   = 32
	saltSize  = 32
	tagSize   = 16
	nonceSize = 12

	epochClear  = 80 // bytes of an epoch header before its tag
	epochSize   = epochClear + tagSize
	recordClear = 16 // bytes of a record before its ciphertext
	recordExtra = recordClear + tagSize
	maxFrame    = MaxRecord + recordExtra
)

// An epochHeader is the clear part of an epoch header.
type epochHeader struct {
	began    time.Time
	number   uint64
	counter  uint64
	previous [tagSize]byte
	salt     [saltSize]byte
}

// appendEpoch appends a new epoch header with a fresh salt, and returns the epoch's cipher.
func appendEpoch(dst []byte, id string, key *[keySize]byte, h epochHeader) ([]byte, cipher.AEAD, error) {
	rand.Read(h.salt[:]) // never fails: it ends the program instead
	aead, err := epochCipher(id, key, h.salt[:])
	if err != nil {
		return dst, nil, err
	}
	start := len(dst)
	dst = append(dst, epochMagic...)
	dst = append(dst, formatVersion, 0, 0, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.began.UnixNano()))
	dst = binary.BigEndian.AppendUint64(dst, h.number)
	dst = binary.BigEndian.AppendUint64(dst, h.counter)
	dst = append(dst, h.previous[:]...)
	dst = append(dst, h.salt[:]...)
	return aead.Seal(dst, epochNonce(), nil, dst[start:]), aead, nil
}

// parseEpoch reads the clear part of an epoch header. It proves nothing; openEpoch does.
func parseEpoch(b []byte) (epochHeader, bool) {
	var h epochHeader
	if len(b) < epochSize || string(b[:4]) != epochMagic || b[4] != formatVersion || b[5]|b[6]|b[7] != 0 {
		return h, false
	}
	h.began = time.Unix(0, int64(binary.BigEndian.Uint64(b[8:])))
	h.number = binary.BigEndian.Uint64(b[16:])
	h.counter = binary.BigEndian.Uint64(b[24:])
	copy(h.previous[:], b[32:])
	copy(h.salt[:], b[48:])
	return h, true
}

// openEpoch checks the tag of an epoch header and returns the epoch's cipher.
func openEpoch(b []byte, id string, key *[keySize]byte, h epochHeader) (cipher.AEAD, error) {
	aead, err := epochCipher(id, key, h.salt[:])
	if err != nil {
		return nil, err
	}
	if _, err := aead.Open(nil, epochNonce(), b[epochClear:epochSize], b[:epochClear]); err != nil {
		return nil, err
	}
	return aead, nil
}

func epochCipher(id string, key *[keySize]byte, salt []byte) (cipher.AEAD, error) {
	sub, err := hkdf.Key(sha256.New, key[:], salt, infoPrefix+id, keySize)
	if err != nil {
		return nil, fmt.Errorf("derive epoch key: %w", err)
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, fmt.Errorf("derive epoch key: %w", err)
	}
	return cipher.NewGCM(block)
}

// epochNonce differs from every record's nonce in its first bytes.
func epochNonce() []byte {
	return []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}

// recordNonce writes the nonce of a record.
func recordNonce(nonce *[nonceSize]byte, counter uint64) []byte {
	binary.BigEndian.PutUint32(nonce[:4], 0)
	binary.BigEndian.PutUint64(nonce[4:], counter)
	return nonce[:]
}

// appendRecordHeader appends the clear part of a record.
func appendRecordHeader(dst []byte, length int, kind byte, counter uint64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = append(dst, kind, 0, 0, 0)
	return binary.BigEndian.AppendUint64(dst, counter)
}

// parseRecordHeader reads the clear part of a record. It proves nothing.
func parseRecordHeader(b []byte) (length int, kind byte, counter uint64, ok bool) {
	if len(b) < recordClear || b[5]|b[6]|b[7] != 0 {
		return 0, 0, 0, false
	}
	n := binary.BigEndian.Uint32(b)
	if n > MaxRecord {
		return 0, 0, 0, false
	}
	return int(n), b[4], binary.BigEndian.Uint64(b[8:]), true
}
