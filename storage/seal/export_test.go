package seal

import "time"

// Tests of the package's inside.
var (
	ParsePayload   = parsePayload
	ParseTombstone = parseTombstone
	ParseLocalFile = parseLocalFile
)

// Payload is what is wrapped.
func Payload(k *Key) []byte { return k.payload() }

// Path is where something about id lies.
func (k *Keys) Path(id, suffix string) string { return k.path(id, suffix) }

// SetClock replaces the clock.
func (k *Keys) SetClock(now func() time.Time) { k.now = now }
