package siprec

import "time"

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
	Reasons       []Reason // why it ended
}

// A Reason says why a communication session ended (RFC 7865 section 6.3.1): what a SIP Reason header field said (RFC 3326).
type Reason struct {
	Protocol string // "SIP" when the document names none
	Cause    int    // 0 when it is not there or no number from 0 to 32767
	Text     string
}

// A NameID is one identity of a participant: an address of record and a display name.
type NameID struct {
	AOR      string
	Name     string
	Language string // xml:lang of the name (RFC 5646), or ""
}

// A Participant is one party of a communication session (RFC 7865 section 6.5).
type Participant struct {
	ID    ParticipantID
	Names []NameID
	// Session, Send, Recv and the times stand inside the participant element in dialects that have no association elements.
	// A Session makes Send and Recv the whole truth, even when they are empty.
	Session                 SessionID
	Send, Recv              []StreamID
	Associate, Disassociate Time
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
	// The times are in some dialects only; their meaning is that of a ParticipantStream's.
	Associate, Disassociate Time
}

// A SessionRecording associates a communication session with the recording session for a time (RFC 7865 section 6.4).
type SessionRecording struct {
	Session                 SessionID
	Associate, Disassociate Time
}

// A ParticipantSession associates a participant with a session for a time (RFC 7865 section 6.6).
type ParticipantSession struct {
	Participant             ParticipantID
	Session                 SessionID
	Associate, Disassociate Time
	Features                []Feature
}

// A Feature is what a participant's device can or does in a session: a parameter of its Contact (RFC 3840 section 9), which <param>
// carries (RFC 7865 section 6.6.1). Name is as it came, "isfocus", "+sip.rendering"; Value may be "".
type Feature struct {
	Name  string
	Value string
}

// A ParticipantStream associates a participant with the streams that it sends and receives (RFC 7865 section 6.8).
type ParticipantStream struct {
	Participant             ParticipantID
	Send, Recv              []StreamID
	Associate, Disassociate Time
}

// An Extension is extension data: an element without children, or an attribute, that RFC 7865 does not know.
//
// Name is the path of local names below the element that is extended, "broadWorksRecordingMetadata/extTrackingID"; the wrapper
// <extensiondata> is left out of it. An attribute is the path's last step with "@": "broadWorksRecordingMetadata/@version". An
// element that is told from its like by an attribute label or name has it in brackets: "header[Call-ID]/value".
type Extension struct {
	Parent string // id of the element that it extends, or "" for the recording itself
	Name   string
	Value  string
}

// A Document is one rs-metadata document as an SRC sent it.
type Document struct {
	DataMode            DataMode
	Groups              []Group
	Sessions            []Session
	Participants        []Participant
	Streams             []Stream
	SessionRecordings   []SessionRecording
	ParticipantSessions []ParticipantSession
	ParticipantStreams  []ParticipantStream
	Extensions          []Extension
	Warnings            []Warning
	Raw                 []byte
}
