package recorder

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
)

// Types of the events of a call. docs/formats.md lists them with their data. No event holds a name, a number, an address or
// a Call-ID: what must be recognisable again is a keyed hash, so that the log may be kept and locked longer than any recording.
const (
	EventOffered   = "session.offered"
	EventRefused   = "session.refused"
	EventEnded     = "session.ended"
	EventConsent   = "consent.changed"     // somebody was informed, consented, or objected
	EventHeld      = "recording.held"      // in memory, until it is known whether it may be kept
	EventForgotten = "recording.forgotten" // what was held, and may not be kept
	EventMarked    = "recording.marked"    // the beginning or the end of what is to be kept
	EventDecision  = "recording.decision"
	EventStarted   = "recording.started"
	EventPaused    = "recording.paused"
	EventResumed   = "recording.resumed"
	EventChanged   = "recording.changed" // metadata or streams
	EventAsked     = "session.asked"     // a re-INVITE or a request for metadata, of ours
	EventUnheeded  = "session.unheeded"  // the SRC refused it, or did not answer
	EventMissing   = "media.missing"     // an active stream brings nothing
	EventReturned  = "media.returned"    // and does again
	EventAbsent    = "recording.missing" // a call that had to be recorded has no recording
	EventStored    = "recording.stored"
	EventLocked    = "recording.locked"
	EventAbandoned = "recording.abandoned"
	EventSearched  = "access.searched"
	EventViewed    = "access.viewed"
	EventPlayed    = "access.played"
	EventRebuilt   = "catalog.rebuilt"
)

type offeredData struct {
	SRC        string `json:"src"`
	CallHash   string `json:"call_hash"`
	Streams    int    `json:"streams"`
	Recordable int    `json:"recordable"` // streams in a format that we decode
	Metadata   bool   `json:"metadata"`

	RecordingSession string `json:"recording_session"` // the same for all that one dialog carries
}

// decisionData holds all that is ever known of a call that was not recorded, so that a rebuilt catalog knows it too.
type decisionData struct {
	Decision
	SRC      string      `json:"src"`
	CallHash string      `json:"call_hash"`
	Parties  []partyHash `json:"parties"`
	Tenant   string      `json:"tenant,omitempty"`

	RecordingSession string `json:"recording_session,omitempty"`
	Mandate          string `json:"mandate,omitempty"`
	relatedData
}

// A partyHash stands for a party of a call: keyed hashes of its address and of its number.
type partyHash struct {
	AOR    string `json:"aor,omitempty"`
	Number string `json:"number,omitempty"`
}

type endedData struct {
	Cause string    `json:"cause"`
	At    time.Time `json:"at"`
}

type refusedData struct {
	Source string `json:"source_hash,omitempty"`
	SRC    string `json:"src,omitempty"`
	Method string `json:"method"`
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

type changedData struct {
	Metadata bool `json:"metadata"`
	Streams  int  `json:"streams"`
	Active   int  `json:"active"`
}

// askedData is the data of EventAsked and EventUnheeded.
type askedData struct {
	Request          string   `json:"request"` // "reinvite" or "snapshot"
	RecordingSession string   `json:"recording_session"`
	Labels           []string `json:"labels,omitempty"` // of the streams that were to change
	Wanted           string   `json:"wanted,omitempty"` // "recvonly" or "inactive"
	Reason           string   `json:"reason,omitempty"`
	Status           int      `json:"status,omitempty"` // of the SRC's answer; 0: none came
}

type pausedData struct {
	Reason string `json:"reason"`
	By     string `json:"by,omitempty"` // what began or ended the pause: "api", "key", "card", "metadata", "consent", "limit"; absent: the SRC's hold
}

type reasonData struct {
	Reason string `json:"reason"`
}

type heldData struct {
	Until time.Time `json:"until"` // it is forgotten then, at the latest
}

type markedData struct {
	Mark string `json:"mark"` // "start" or "end"
}

// objectData brackets what is put into the store.
type objectData struct {
	Audio        ObjectRef `json:"audio"`
	Sidecar      ObjectRef `json:"sidecar"`
	PlainSHA256  string    `json:"plain_sha256,omitempty"`
	Mode         string    `json:"mode,omitempty"`
	Until        time.Time `json:"until,omitzero"`
	Error        string    `json:"error,omitempty"`
	DurationMS   int64     `json:"duration_ms,omitempty"`
	QuarantineTo time.Time `json:"quarantine_until,omitzero"`
}

// An ObjectRef names one version of one object and the bytes that it must have.
type ObjectRef struct {
	Key       string `json:"key"`
	VersionID string `json:"version_id,omitempty"`
	SHA256    string `json:"sha256"`
	Size      int64  `json:"size"`
}

// witness writes an event and returns only when it is durable: the deed that it tells of may follow.
func (r *Recorder) witness(ctx context.Context, typ, id string, outcome audit.Outcome, data any) error {
	return r.witnessAll(ctx, r.event(typ, id, outcome, data))
}

// witnessBy is witness for a deed that somebody asked for.
func (r *Recorder) witnessBy(ctx context.Context, typ, id, actor string, data any) error {
	e := r.event(typ, id, "", data)
	e.Actor = actor
	return r.witnessAll(ctx, e)
}

// event is one that is to be witnessed.
func (r *Recorder) event(typ, id string, outcome audit.Outcome, data any) audit.Event {
	return audit.Event{Time: r.cfg.Clock(), Type: typ, Subject: id, Outcome: outcome, Data: data}
}

// witnessAll writes events in their order, and returns only when all are durable. Together they cost what one does.
func (r *Recorder) witnessAll(ctx context.Context, events ...audit.Event) error {
	if _, err := r.cfg.Audit.AppendAll(ctx, events...); err != nil {
		return fmt.Errorf("witness %s: %w", events[0].Type, err)
	}
	return nil
}

// words turns what may not stand in log and catalog into keyed hashes.
type words struct{ key []byte }

// hash is equal for equal texts, and without the key it says nothing about them: HMAC-SHA256, cut to 128 bits.
func (w *words) hash(text string) string {
	mac := hmac.New(sha256.New, w.key)
	mac.Write([]byte(text))
	return catalog.HashPrefix + hex.EncodeToString(mac.Sum(nil)[:16])
}
