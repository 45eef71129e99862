package siprec

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
)

// A Secret is a key or a password. It never prints: not by fmt, not as JSON, not inside a struct that is printed. Whoever needs
// the bytes asks for them by Reveal, so that all uses can be found.
type Secret struct {
	reveal func() []byte // behind a function, because fmt prints unexported fields without asking their methods
}

// secretText is what a Secret prints as.
const secretText = "[secret]"

// NewSecret keeps a copy of b.
func NewSecret(b []byte) Secret {
	b = bytes.Clone(b)
	return Secret{func() []byte { return b }}
}

// Reveal gives the bytes; they must not be changed. It is nil for the zero value.
func (s Secret) Reveal() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1 }

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, secretText) }

func (Secret) String() string { return secretText }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return secretText }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(secretText), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + secretText + `"`), nil }
