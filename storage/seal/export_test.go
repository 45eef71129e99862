package seal

import (
	"time"

	"filippo.io/age"
)

// Tests of the package's inside.
var (
	ParsePayload   = parsePayload
	ParseTombstone = parseTombstone
	ParseLocalFile = parseLocalFile
)

// Payload is what is wrapped.
func Payload(k *Key) []byte { return k.payload() }

// Path is where something about id lies.
func (k *Keys) Path(id, suffix string) string {
	near := k.shelf
	if k.porch != nil {
		near = k.porch.shelf
	}
	return near.(*dirShelf).path(fileName(id, suffix))
}

// SetClock replaces the clock.
func (k *Keys) SetClock(now func() time.Time) { k.now = now }

// ParseName and ParseMemberName are for fuzzing.
func ParseName(name, suffix string) string { return parseName(name, suffix) }
func ParseMemberName(name string) string   { return parseMemberName(name) }
func FileName(id, suffix string) string    { return fileName(id, suffix) }
func MemberName(id string) string          { return memberName(id) }

// NewKey makes a key as Create does, of the kind of today or of that before.
func NewKey(id string, hybrid bool) (*Key, error) {
	if hybrid {
		return newKey(id)
	}
	old, err := age.GenerateX25519Identity()
	return &Key{id: id, identity: old}, err
}

// WrapFor and UnwrapBy wrap with a key as if it were a key-encryption key.
func WrapFor(k *Key, secret []byte) ([]byte, error)   { return wrapTo(recipientOf(k.identity), secret) }
func UnwrapBy(k *Key, wrapped []byte) ([]byte, error) { return unwrapWith(wrapped, k.identity) }
func MarkOf(wrapped []byte) string                    { return markOf(wrapped) }

// CutAt makes steps end in a crash when f says so.
func (k *Keys) CutAt(f func(step string) bool) {
	k.step = func(step string) error {
		if f(step) {
			return errStep
		}
		return nil
	}
	if d, ok := k.shelf.(*dirShelf); ok {
		d.step = k.step
	}
}

// ErrStep is that crash.
var ErrStep = errStep

// SetClock replaces the clock.
func (r *Ring) SetClock(now func() time.Time) { r.now = now }

// ParseMember and ParseRotation are for fuzzing.
func ParseMember(id string, b []byte) error { _, err := parseMember(id, b); return err }
func ParseRotation(b []byte) error          { _, err := parseRotation(b); return err }
