package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

const (
	// spoolLabel separates the spool's key from every other use of the identity. It is part of the spool's format.
	spoolLabel = "greffier spool v1"

	payloadVersion = "# greffier key v1"
	payloadID      = "# recording "
	// maxPayloadBytes is more than the three lines can have.
	maxPayloadBytes = 256
)

const redacted = "seal.Key(redacted)"

// A Key seals and opens one recording. It never shows its secret: not printed, logged or marshalled.
type Key struct {
	id       string
	identity identity
}

// newKey makes a key that never was.
func newKey(id string) (*Key, error) {
	identity, err := newIdentity()
	if err != nil {
		return nil, err
	}
	return &Key{id: id, identity: identity}, nil
}

// ID is the recording's.
func (k *Key) ID() string { return k.id }

// Recipient is the public half: "age1pq1...", about 2000 characters, or "age1..." of a key that an older version made.
func (k *Key) Recipient() string { return recipientOf(k.identity).String() }

// SpoolKey derives the key under which the recording lies in the spool: HKDF-SHA256 of the identity in its text form, without salt,
// with a label.
func (k *Key) SpoolKey() [32]byte {
	secret := []byte(k.identity.String())
	defer clear(secret)
	derived, err := hkdf.Key(sha256.New, secret, nil, spoolLabel, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("derive spool key: %v", err)) // only for a length that HKDF cannot give
	}
	defer clear(derived)
	return [32]byte(derived)
}

// Encrypt writes an age file to w. The file is whole only when Close has returned without error; Close does not close w.
func (k *Key) Encrypt(w io.Writer) (io.WriteCloser, error) {
	sealed, err := age.Encrypt(w, recipientOf(k.identity))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Decrypt opens an age file of size bytes for random access, and checks its header and its end; each read checks the 64 KiB chunks
// that it needs, and gives only bytes that were sealed. Reads may run at the same time. An error of r stays in the chain.
func (k *Key) Decrypt(r io.ReaderAt, size int64) (*io.SectionReader, error) {
	src := &source{r: r}
	plain, length, err := age.DecryptReaderAt(src, size, k.identity)
	if err != nil {
		return nil, fmt.Errorf("open sealed file: %w", openError(err))
	}
	return io.NewSectionReader(checked{plain}, 0, length), nil
}

// source marks the errors of a reader, which are not damage.
type source struct{ r io.ReaderAt }

type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

func (s *source) ReadAt(p []byte, offset int64) (int, error) {
	n, err := s.r.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		err = sourceError{err}
	}
	return n, err
}

// checked says of bytes that cannot be opened that they are damaged.
type checked struct{ plain io.ReaderAt }

func (c checked) ReadAt(p []byte, offset int64) (int, error) {
	n, err := c.plain.ReadAt(p, offset)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read sealed file: %w", openError(err))
	}
	return n, err
}

func openError(err error) error {
	var src sourceError
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &src):
		return err
	case errors.As(err, &noMatch):
		return fmt.Errorf("%w: %w", ErrWrongKey, err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// payload is what a Wrapper wraps.
func (k *Key) payload() []byte {
	return fmt.Appendf(nil, "%s\n%s%s\n%s\n", payloadVersion, payloadID, k.id, k.identity)
}

// parsePayload reads the payload of the key of id. Its errors do not show the payload.
func parsePayload(id string, b []byte) (*Key, error) {
	if len(b) > maxPayloadBytes {
		return nil, fmt.Errorf("%w: wrapped key of %d bytes", ErrDamaged, len(b))
	}
	lines := bytes.Split(b, []byte("\n"))
	switch {
	case !bytes.HasPrefix(b, []byte("# greffier key v")):
		return nil, fmt.Errorf("%w: it is no wrapped key", ErrDamaged)
	case string(lines[0]) != payloadVersion:
		return nil, fmt.Errorf("%w: wrapped key is of another version than %q: a newer program wrote it", ErrDamaged, payloadVersion)
	case len(lines) != 4 || len(lines[3]) != 0:
		return nil, fmt.Errorf("%w: wrapped key has %d lines", ErrDamaged, len(lines)-1)
	case string(lines[1]) != payloadID+id:
		return nil, fmt.Errorf("%w: it is the key of another recording", ErrDamaged)
	}
	identity, err := parseIdentity(string(lines[2]))
	if err != nil || identity.String() != string(lines[2]) {
		return nil, fmt.Errorf("%w: wrapped key has no identity", ErrDamaged) // err may show it
	}
	return &Key{id: id, identity: identity}, nil
}

// ParseIdentity gives the key of a recording from its identity, "AGE-SECRET-KEY-PQ-1..." or an older "AGE-SECRET-KEY-1...", as an
// export carries it.
func ParseIdentity(id, text string) (*Key, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	parsed, err := parseIdentity(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("parse identity: %w", err)
	}
	return &Key{id: id, identity: parsed}, nil
}

// What follows keeps the secret out of every way to print a Key.

func (Key) String() string               { return redacted }
func (Key) GoString() string             { return redacted }
func (Key) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format implements fmt.Formatter, for every verb.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
