package storage

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// What a caller can do something about. Every other error is final, or a matter for the operator; its text says which.
var (
	// ErrNotFound: there is no such version, or the key has no current one.
	ErrNotFound = errors.New("object not found")
	// ErrExists: the key holds other content. Objects are never replaced.
	ErrExists = errors.New("object exists with other content")
	// ErrLocked: retention or a legal hold forbids it.
	ErrLocked = errors.New("object is locked")
	// ErrUnavailable: the store cannot be reached or does not answer properly now. Whether a write took place is unknown; every
	// method may be repeated until it succeeds.
	ErrUnavailable = errors.New("store is unavailable")
	// ErrDenied: the store does not let us: a matter of credentials, their permissions, or the clock. What the operator mends, a
	// repetition finds mended.
	ErrDenied = errors.New("store denies access")
	// ErrInvalid: the key, version id, metadata or retention can never be accepted.
	ErrInvalid = errors.New("invalid argument")
	// ErrMismatch: bytes, or what the store says about them, are not what they were promised to be.
	ErrMismatch = errors.New("object is not what it should be")
)

// A Ref names one version of an object.
type Ref struct {
	Key       string `json:"key"`
	VersionID string `json:"version_id"`
}

// Info is what a store knows about a version without reading its bytes.
type Info struct {
	Ref
	Size        int64
	SHA256      string    // of the bytes, 64 lower-case hexadecimal digits; empty for an object that this package did not write
	Modified    time.Time // when it was written, by the store's clock, UTC
	ContentType string
	Metadata    map[string]string
	Retention   Retention // zero: none was ever set. It stays visible after it has ended
	LegalHold   bool
}

// A Version is one of a key's, as a listing names it.
type Version struct {
	Ref
	Current bool // the newest of its key
	Marker  bool // a delete marker: it has no bytes, and hides what is older when it is current
}

// DefaultContentType is that of objects put without one.
const DefaultContentType = "application/octet-stream"

// PutOptions says what goes with the bytes of a Put. The zero value is an unlocked object without metadata.
type PutOptions struct {
	ContentType string // empty means DefaultContentType
	// Metadata stays with the version for ever, in clear: see CheckMetadata for what is allowed.
	Metadata map[string]string
	// SHA256 of the bytes, hexadecimal. When given, other bytes are refused; when empty, it is computed.
	SHA256 string
	// Retention locks the version from its first instant. Zero leaves it unlocked, until Lock.
	Retention Retention
}

// An Object is an open version. Reads may run at the same time; each returns an error wrapping ErrUnavailable when the store
// fails. Reading does not check the SHA-256 of the whole: see Verify.
type Object interface {
	io.ReaderAt
	io.Closer
	Info() Info
}

// A Store keeps immutable versions of objects. Its methods may be called at the same time, and all may be repeated after an error
// that wraps ErrUnavailable or a context's error: what was done already is not done twice and is no error.
//
// Methods that take a Ref address exactly that version. Where it says so, an empty VersionID means the current version: the
// newest, unless a delete marker hides it. Elsewhere an empty VersionID is ErrInvalid.
type Store interface {
	// Put writes size bytes of r as the first version of key. When it returns without error the version is durable, whole,
	// and locked as o.Retention asks; the store has been asked again to make sure.
	//
	// If the key has a current version with the same bytes, Put succeeds with that version's Ref, and raises its retention to
	// what o asks if it is less; metadata and content type remain those of the first Put. If it has other bytes: ErrExists.
	// Of several Puts of one key at the same time one writes and the others find its version.
	//
	// r is read from several times, and never after Put has returned. Bytes that differ from o.SHA256, or an r shorter than
	// size, are ErrMismatch, and nothing is written.
	Put(ctx context.Context, key string, r io.ReaderAt, size int64, o PutOptions) (Ref, error)

	// Open gives access to the bytes of a version; an empty VersionID means the current one, and the Object's Info says which it
	// was. The Object is usable until it is closed or ctx ends.
	Open(ctx context.Context, ref Ref) (Object, error)

	// Stat describes a version; an empty VersionID means the current one.
	Stat(ctx context.Context, ref Ref) (Info, error)

	// Lock sets a retention and reads it back. A retention only ever grows: while one is in force, another mode or an earlier
	// time is ErrLocked, and the same again is success. A time that is not in the future is ErrInvalid. Until is rounded up to
	// a whole second.
	Lock(ctx context.Context, ref Ref, r Retention) error

	// Hold sets or lifts the legal hold, which has no end of its own and stands beside the retention; and reads it back.
	Hold(ctx context.Context, ref Ref, on bool) error

	// Delete removes a version for good. Under retention or hold it is ErrLocked, in both modes. A version that is not there is
	// success.
	Delete(ctx context.Context, ref Ref) error

	// List yields every version of every key that begins with prefix, current or not, without delete markers, ordered by key
	// and newest first, each with its whole Info. An error with a Ref in its Info is about that version alone, and the sequence
	// goes on; any other error ends it. What is written or deleted meanwhile may or may not be seen.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Versions yields every version of every key that begins with prefix, delete markers among them, ordered by key and newest first. It
	// asks for nothing but the listing, and is cheap; it names also what no Put has written. An error with a Ref in its Version is about
	// something there that is no version of an object, and the sequence goes on; any other error ends it. What is written or deleted
	// meanwhile may or may not be seen.
	Versions(ctx context.Context, prefix string) iter.Seq2[Version, error]

	// Check says whether the store can keep its promises as it is set up; if not, the error tells the operator what to do.
	Check(ctx context.Context) error
}
