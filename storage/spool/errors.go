package spool

import (
	"errors"
	"fmt"
	"syscall"
)

// What a caller may branch on.
var (
	// ErrExists: there is a recording of that id.
	ErrExists = errors.New("recording is in the spool already")
	// ErrNotFound: there is no recording of that id.
	ErrNotFound = errors.New("recording is not in the spool")
	// ErrInUse: the recording has an open Writer, or is being made or removed.
	ErrInUse = errors.New("recording is in use")
	// ErrLocked: another process uses the spool directory.
	ErrLocked = errors.New("spool is in use by another process")
	// ErrVersion: a newer program wrote the directory, or it is no spool.
	ErrVersion = errors.New("spool has an unknown format")
	// ErrFull: the disk or the quota is full. Nothing of the record is in the file; a later Append may succeed.
	ErrFull = errors.New("disk is full")
	// ErrSync: syncing to the disk failed. What was appended is in the kernel, but may not survive a loss of power.
	ErrSync = errors.New("data may not have reached the disk")
	// ErrClosed: the Writer or the Spool has been closed.
	ErrClosed = errors.New("already closed")
	// ErrDamaged: a record file does not hold what was written. Every DamageError is one.
	ErrDamaged = errors.New("spool file is damaged")
)

// A DamageError says where a record file does not hold what was written. It is an ErrDamaged.
type DamageError struct {
	ID     string
	Offset int64  // where the bytes that are not what was written begin
	Bytes  int64  // how many there are; 0: something was taken out
	Lost   uint64 // records that are gone here, as far as it can be told; 0 also when nothing readable follows
	Reason string // "wrong key or damaged header", ... ; may be empty
}

func (e *DamageError) Error() string {
	s := fmt.Sprintf("spool file of recording %s is damaged at offset %d: %d bytes are not what was written, %d records lost",
		e.ID, e.Offset, e.Bytes, e.Lost)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	return s
}

// Is makes every DamageError an ErrDamaged.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// classify marks the errors that mean "no room".
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
