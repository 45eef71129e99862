package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

// wrappedFormat is the first line of a wrapped identity.
const wrappedFormat = "greffier-key/1"

// spoolLabel separates the spool's key from everything else that is derived from an identity.
const spoolLabel = "greffier spool v1"

// maxID is the longest id of a recording, in bytes.
const maxID = 64

// A Key is a recording's key. It never shows itself when it is printed, logged or marshalled.
type Key struct {
	id       string
	identity *age.X25519Identity
}

func newKey(id string) (*Key, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return &Key{id: id, identity: identity}, nil
}

// Recipient is the public half, "age1...".
func (k *Key) Recipient() string { return k.identity.Recipient().String() }

// SpoolKey is the key of the recording's spool file: HKDF-SHA256 of the identity (RFC 5869).
func (k *Key) SpoolKey() [32]byte {
	secret := []byte(k.identity.String())
	defer clear(secret)
	derived, err := hkdf.Key(sha256.New, secret, nil, spoolLabel, 32)
	if err != nil {
		panic(err) // only for lengths that SHA-256 cannot give
	}
	defer clear(derived)
	return [32]byte(derived)
}

// Encrypt seals what is written to it. The file is whole only after Close.
func (k *Key) Encrypt(w io.Writer) (io.WriteCloser, error) {
	out, err := age.Encrypt(w, k.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out, nil
}

// Decrypt opens a sealed file of the given size for reading anywhere in it. Every chunk that is read is authenticated; a file
// that was cut off is refused at once.
func (k *Key) Decrypt(sealed io.ReaderAt, size int64) (*io.SectionReader, error) {
	r, n, err := age.DecryptReaderAt(sealed, size, k.identity)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			err = ErrWrongKey
		}
		return nil, fmt.Errorf("open sealed file: %w", err)
	}
	return io.NewSectionReader(r, 0, n), nil
}

const hidden = "(recording key)"

// String hides the key.
func (k *Key) String() string { return hidden }

// GoString hides the key.
func (k *Key) GoString() string { return hidden }

// MarshalJSON hides the key.
func (k *Key) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// marshal is the text that is wrapped.
func (k *Key) marshal() []byte {
	return []byte(wrappedFormat + "\n" + k.id + "\n" + k.identity.String() + "\n")
}

// parseKey reads the text of a wrapped identity, which must be that of the recording.
func parseKey(id string, text []byte) (*Key, error) {
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, errors.New("the wrapped key is not in the form of one")
	}
	if lines[0] != wrappedFormat {
		return nil, fmt.Errorf("the wrapped key has a format other than %s: use the version that wrote it", wrappedFormat)
	}
	if lines[1] != id {
		return nil, errors.New("the wrapped key is that of another recording")
	}
	identity, err := age.ParseX25519Identity(lines[2])
	if err != nil {
		return nil, errors.New("the wrapped key holds no identity") // age's own text may quote the secret
	}
	return &Key{id: id, identity: identity}, nil
}

// checkID lets only ids through that are safe as file names.
func checkID(id string) error {
	ok := len(id) > 0 && len(id) <= maxID
	for _, c := range []byte(id) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		return fmt.Errorf("%q is no recording id: 1 to %d letters, digits, - and _", id, maxID)
	}
	return nil
}
