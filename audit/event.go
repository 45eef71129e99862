package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxLine is the greatest length of an entry in bytes, without its newline.
const MaxLine = 64 << 10

// MaxEntries is how many entries a log can have: seq is a CloudEvents integer, which has 32 bits with a sign.
const MaxEntries = 1<<31 - 1

// TypePrefix stands before the type of every event in the log. CloudEvents wants a reverse DNS name of who defines
// the type; this is the one that the project has.
const TypePrefix = "com.github.greffier."

// Types that the log itself writes.
const (
	TypeCreated  = "log.created"
	TypeRepaired = "log.repaired"
)

// An Outcome brackets a deed that cannot be undone: one event "intended" before it, one "done" or "failed" after it.
type Outcome string

// The outcomes; events that bracket nothing have none.
const (
	Intended Outcome = "intended"
	Done     Outcome = "done"
	Failed   Outcome = "failed"
)

// An Event is what a caller wants witnessed.
type Event struct {
	ID      string    // unique; empty: Append makes one
	Time    time.Time // zero: Append takes the clock's; written in UTC
	Type    string    // "recording.decision": lower-case letters, digits, dots and underscores; see TypePrefix
	Subject string    // what it is about, a recording's id; may be empty
	Outcome Outcome
	Actor   string // who did it; may be empty
	Data    any    // what encoding/json makes an object of; nil: {}
}

// A Hash is a SHA-256 value.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives hex digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText takes 64 lower-case hex digits.
func (h *Hash) UnmarshalText(b []byte) error {
	var v Hash
	if len(b) != hex.EncodedLen(len(v)) || bytes.ContainsAny(b, "ABCDEF") {
		return errors.New("a hash is 64 lower-case hex digits")
	}
	if _, err := hex.Decode(v[:], b); err != nil {
		return err
	}
	*h = v
	return nil
}

// An Entry is an event in the log.
type Entry struct {
	Seq      int64 // 0, 1, 2...
	ID       string
	Time     time.Time // UTC
	Type     string    // without TypePrefix
	Subject  string
	Outcome  Outcome
	Actor    string
	Data     json.RawMessage // an object
	Source   string
	PrevHash Hash   // of the line before
	Hash     Hash   // of this line
	Line     []byte // the line without its newline: the leaf of the Merkle tree
}

// normal returns the event as it will be written and the bytes of its data.
//
// What programmers write (ID, Type, Outcome) is refused when it is wrong. Subject and Actor may come from the wire: what
// cannot be written there is replaced by U+FFFD, so that nobody can keep a deed from being witnessed.
func (e Event) normal() (Event, []byte, error) {
	e.Time = e.Time.UTC().Round(0)
	e.Subject, e.Actor = cleaned(e.Subject), cleaned(e.Actor)
	if err := checkFields(e.ID, e.Type, e.Outcome, e.Time); err != nil {
		return e, nil, err
	}
	data, err := encodeData(e.Data)
	return e, data, err
}

func checkFields(id, typ string, outcome Outcome, at time.Time) error {
	if typ == "" || strings.Trim(typ, "abcdefghijklmnopqrstuvwxyz0123456789._") != "" {
		return fmt.Errorf("type %.100q is not made of lower-case letters, digits, dots and underscores", typ)
	}
	switch outcome {
	case "", Intended, Done, Failed:
	default:
		return fmt.Errorf("outcome %.100q is none of intended, done, failed", outcome)
	}
	if id == "" || !clean(id) {
		return fmt.Errorf("id %.100q is empty, has control characters, or is not UTF-8", id)
	}
	if y := at.Year(); y < 0 || y > 9999 {
		return fmt.Errorf("the year %d cannot be written", y)
	}
	return nil
}

// encodeData gives compact JSON, which must be an object.
func encodeData(v any) ([]byte, error) {
	if v == nil {
		return []byte("{}"), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode data: %w", err)
	}
	data := bytes.ToValidUTF8(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\uFFFD"))
	if len(data) < 2 || data[0] != '{' {
		return nil, fmt.Errorf("data is not a JSON object but made of a %T", v)
	}
	return data, nil
}

// control tells the characters that CloudEvents keeps out of strings.
func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }

func clean(s string) bool { return utf8.ValidString(s) && strings.IndexFunc(s, control) < 0 }

func cleaned(s string) string {
	return strings.Map(func(r rune) rune {
		if control(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}
