package siprec

import (
	"errors"
	"time"
)

type (
	// A SessionID names a communication session (RFC 7865 section 6.3).
	SessionID string
	// A GroupID names a communication session group (section 6.2).
	GroupID string
	// A ParticipantID names a participant (section 6.5).
	ParticipantID string
	// A StreamID names a media stream (section 6.7).
	StreamID string
)

// A DataMode tells whether a document is the whole state or a change of it (RFC 7865 section 6.1).
type DataMode string

const (
	Complete DataMode = "complete"
	Partial  DataMode = "partial"
)

// A Time is a time of the metadata. Raw is always what came; Time is zero when the text cannot be read, or has no zone.
type Time struct {
	Time time.Time
	Raw  string
}

// A Group is a communication session group (RFC 7865 section 6.2).
type Group struct {
	ID           GroupID
	Associate    Time
	Disassociate Time
}

// A Session is a communication session (RFC 7865 section 6.3).
type Session struct {
	ID            SessionID
	Group         GroupID
	SIPSessionIDs []string // RFC 7989 identifiers, or Call-IDs, of the communication session
	Start, Stop   Time
}

// A NameID is one identity of a participant: an address of record and a display name.
type NameID struct {
	AOR  string
	Name string
}

// A Participant is one party of a communication session (RFC 7865 section 6.5).
type Participant struct {
	ID    ParticipantID
	Names []NameID
	// Send and Recv are stream references that some dialects put inside the participant element.
	Send, Recv []StreamID
	// Caller is set when an extension says who called: true for the calling party, false for the called one.
	Caller *bool
}

// AOR is the participant's first address of record, or "".
func (p Participant) AOR() string {
	for _, n := range p.Names {
		if n.AOR != "" {
			return n.AOR
		}
	}
	return ""
}

// Name is the participant's first display name, or "".
func (p Participant) Name() string {
	for _, n := range p.Names {
		if n.Name != "" {
			return n.Name
		}
	}
	return ""
}

// A Stream is one media stream of a communication session (RFC 7865 section 6.7).
type Stream struct {
	ID      StreamID
	Session SessionID
	Label   Label
	Mixed   bool // <mode>mixed
}

// A ParticipantSession associates a participant with a session for a time (RFC 7865 section 6.6).
type ParticipantSession struct {
	Participant             ParticipantID
	Session                 SessionID
	Associate, Disassociate Time
}

// A ParticipantStream associates a participant with the streams that it sends and receives (RFC 7865 section 6.8).
type ParticipantStream struct {
	Participant             ParticipantID
	Send, Recv              []StreamID
	Associate, Disassociate Time
}

// An Extension is extension data, kept as name and value by the element's local names, "broadWorksRecordingMetadata/extTrackingID".
type Extension struct {
	Parent string // id of the element that it extends, or "" for the recording itself
	Name   string
	Value  string
}

// A Warning names something in a document that is out of order but does not stop the recording.
type Warning string

// A Document is one rs-metadata document as an SRC sent it.
type Document struct {
	DataMode            DataMode
	Groups              []Group
	Sessions            []Session
	Participants        []Participant
	Streams             []Stream
	ParticipantSessions []ParticipantSession
	ParticipantStreams  []ParticipantStream
	Extensions          []Extension
	Warnings            []Warning
	Raw                 []byte
}

// ParseMetadata reads an rs-metadata document in any known dialect. A document that is not well-formed gives what could be
// read of it, with a warning, and an error only when nothing at all could be read.
func ParseMetadata(b []byte) (*Document, error) { return nil, errors.New("not written yet") }

// A Presence says that a participant sent a stream from one instant to another.
type Presence struct {
	Participant ParticipantID
	Label       Label
	From        time.Time
	To          time.Time // zero while it lasts
}

// Metadata is the state of a recording session's metadata: what the documents so far add up to.
type Metadata struct {
	Groups       []Group
	Sessions     []Session
	Participants []Participant // everyone who was ever here
	Streams      []Stream
	Presences    []Presence // who sent which stream, from when to when, in order of From
	Extensions   []Extension
	Warnings     []Warning
}

// Apply brings the state up to date with a document that arrived at the given time: complete replaces, partial merges,
// disassociation ends (RFC 7865 section 6.1). The past (who was there, and when) is never forgotten.
func (m *Metadata) Apply(d *Document, at time.Time) {}

// Present lists the participants that are in the session now.
func (m *Metadata) Present() []Participant { return nil }

// Senders lists the participants that send the stream with the label now. More than one: the stream is mixed.
func (m *Metadata) Senders(l Label) []Participant { return nil }

// CallKey identifies the communication session: the same for every recording session, leg and retry that concerns the same
// call. It falls back to the given value when the metadata say nothing.
func (m *Metadata) CallKey(fallback string) string { return fallback }

// CallIDs lists every identifier of the call that the metadata hold, for search: SIP session ids, session and group ids, and
// identifiers that known dialects put in extensions.
func (m *Metadata) CallIDs() []string { return nil }
