package seal

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound: there is no key for the id, and there was none.
	ErrNotFound = errors.New("key not found")
	// ErrExists: there is a key for the id already.
	ErrExists = errors.New("key exists")
	// ErrDestroyed: the key was destroyed. What it sealed is erased.
	ErrDestroyed = errors.New("key was destroyed")
	// ErrWrongKey: the key-encryption key is not the one that wrapped this, or the key not the one that sealed it.
	ErrWrongKey = errors.New("wrong key")
	// ErrUnavailable: the key-encryption key is kept by a service that does not answer, or does not let us. Nothing is lost: try later.
	ErrUnavailable = errors.New("key-encryption key is not available")
	// ErrInvalid: the id cannot be one.
	ErrInvalid = errors.New("invalid id")
	// ErrDamaged: bytes are not what was written.
	ErrDamaged = errors.New("damaged")
)

// MaxIDBytes is the longest id of a recording.
const MaxIDBytes = 64

// CheckID says whether id can name a key: 1 to 64 of A-Z a-z 0-9 _ -. The error wraps ErrInvalid.
func CheckID(id string) error {
	if id == "" || len(id) > MaxIDBytes {
		return fmt.Errorf("%w: %d bytes, 1 to %d are allowed", ErrInvalid, len(id), MaxIDBytes)
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-' {
			return fmt.Errorf("%w: %q has a character other than A-Z a-z 0-9 _ -", ErrInvalid, id)
		}
	}
	return nil
}
