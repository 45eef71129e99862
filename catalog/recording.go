package catalog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A State says how far a recording has come.
type State string

// The states of a recording. The first is that of a call without a recording; the others follow one another.
const (
	StateNotRecorded State = "not_recorded" // decided against: there is no audio
	StateRecording   State = "recording"    // the call is going on
	StateFinishing   State = "finishing"    // the call is over; the recording is still in the spool
	StateStored      State = "stored"       // in the store, not locked: in quarantine, or of a class without a lock
	StateLocked      State = "locked"       // in the store, and locked
	StateExpired     State = "expired"      // the term is over and the key is destroyed
	StateDestroyed   State = "destroyed"    // the key is destroyed before the term, for a reason
	StateShredded    State = "shredded"     // erased by request: the key is destroyed, the bytes are there until their lock ends
	StateErased      State = "erased"       // erased by request: the key is destroyed, and the store has no version any more
	StateFailed      State = "failed"       // could not be finished; the warnings say why
)

// States lists every state.
func States() []State {
	return []State{StateNotRecorded, StateRecording, StateFinishing, StateStored, StateLocked, StateExpired, StateDestroyed, StateShredded, StateErased, StateFailed}
}

// HashPrefix begins what is a keyed hash of an address, a number or an identifier instead of the thing itself.
const HashPrefix = "h:"

// A Participant is somebody who took part in the call, as far as the class lets the catalog know.
type Participant struct {
	AOR    string `json:"aor,omitempty"`
	Name   string `json:"name,omitempty"`
	Number string `json:"number,omitempty"` // digits, with a leading + where it is international
	Role   string `json:"role,omitempty"`   // "caller", "callee" or ""
}

// A Presence is somebody heard on a channel, from one instant to another.
type Presence struct {
	AOR  string
	Name string
	From time.Time
	To   time.Time // zero while it lasts
}

// A Channel is one channel of the audio.
type Channel struct {
	Index        int
	Label        siprec.Label
	Mixed        bool // several participants are mixed into it
	Participants []Presence
}

// An Object is one version of an object in the store.
type Object struct {
	Key         string `json:"key,omitempty"`
	Version     string `json:"version,omitempty"`
	SHA256      string `json:"sha256,omitempty"`       // of the sealed bytes in the store, hexadecimal
	PlainSHA256 string `json:"plain_sha256,omitempty"` // of the bytes before they were sealed
	Size        int64  `json:"size,omitempty"`         // of the sealed bytes
	PlainSize   int64  `json:"plain_size,omitempty"`
}

// Silences counts stretches of a recording without audio.
type Silences struct {
	Count int
	Total time.Duration // to the millisecond
}

// A Quality is the worst of what a recording's channels have. All zero: they were not rated.
type Quality struct {
	MOS        float64       // lowest, 1 to 4.5
	Loss       float64       // highest share of lost packets, 0 to 1
	LongestGap time.Duration // that loss made; to the millisecond
}

// A Recording is one row of the catalog. Times have millisecond precision and are in UTC; zero means that there is none.
type Recording struct {
	ID    string
	State State

	Class        string
	Rule         string
	Reason       string
	Detail       string
	PolicyDigest string

	SRC         string // name of the SRC profile
	Tenant      string
	CallKeyHash string // keyed hash of what sampling identified the call by

	// Conversation is the keyed hash of what identifies the call in the end: recordings of one call have the same, whichever session,
	// server or SRC they came by, as far as the SRCs say so.
	Conversation     string
	GroupHash        string   // keyed hash of the communication session group, or ""
	RecordingSession string   // which SIP session recorded it; several communication sessions may share one, or ""
	Links            []string // keyed hashes: recordings that share one belong to one conversation

	StartedAt time.Time // never zero
	EndedAt   time.Time
	Duration  time.Duration // of the audio

	Channels     []Channel
	Participants []Participant
	CallIDs      []string

	Audio   Object
	Sidecar Object

	LockMode        string
	LockedUntil     time.Time // what the store was read to say
	QuarantineUntil time.Time
	RetainUntil     time.Time // end of the class's term

	Gaps     Silences // not foreseen: lost, late, no media
	Pauses   Silences // wanted: paused, held
	Quality  Quality
	EndCause siprec.EndCause
	Warnings []string

	// Gone is of what is expired, destroyed or erased: the row has nothing left that names anybody. Audio and Sidecar are there while their
	// bytes are, which nobody can read.
	Gone Gone
}

// A Gone is the end of a recording.
type Gone struct {
	At     time.Time
	Reason string
}

// validate tells what keeps the recording from being put.
func (r *Recording) validate() error {
	switch {
	case r.ID == "":
		return errors.New("recording has no id")
	case !slices.Contains(States(), r.State):
		return fmt.Errorf("recording %s: unknown state %q", r.ID, r.State)
	case r.StartedAt.IsZero():
		return fmt.Errorf("recording %s has no start", r.ID)
	}
	return nil
}
