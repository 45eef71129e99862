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

// withoutSecrets gives a copy of a session description in which keys and passwords are blotted out: the values of a=crypto after
// the suite, and of a=ice-pwd. Nothing else changes.
func withoutSecrets(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		end := bytes.IndexAny(b, "\r\n")
		if end < 0 {
			end = len(b)
		}
		out = appendBlotted(out, b[:end])
		if end < len(b) {
			out = append(out, b[end])
			end++
		}
		b = b[end:]
	}
	return out
}

// appendBlotted appends a line without its secret. A name is found as ParseOffer finds it, however it is written.
func appendBlotted(out, line []byte) []byte {
	equals := bytes.IndexByte(line, '=')
	colon := bytes.IndexByte(line, ':')
	if equals < 0 || colon < equals {
		return append(out, line...)
	}
	keep := 0 // fields of the value
	switch name := bytes.Trim(line[equals+1:colon], " \t"); {
	case bytes.EqualFold(name, []byte("crypto")):
		keep = 2
	case bytes.EqualFold(name, []byte("ice-pwd")):
	default:
		return append(out, line...)
	}
	out = append(out, line[:colon+1]...)
	for i, f := range bytes.Fields(line[colon+1:]) {
		if i >= keep || bytes.Contains(bytes.ToLower(f), []byte("inline:")) {
			break
		}
		out = append(append(out, f...), ' ')
	}
	return append(out, secretText...)
}
