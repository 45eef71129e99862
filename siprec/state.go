package siprec

import (
	"slices"
	"time"
)

// A Presence says that a participant sent a stream from one instant to another.
type Presence struct {
	Participant ParticipantID
	// AOR is the participant's address of record at that time: SRCs give a participant's identifier to another party after a transfer.
	AOR   string
	Label Label
	From  time.Time
	To    time.Time // zero while it lasts
}

// An Attendance says that a participant was in a communication session from one instant to another.
type Attendance struct {
	Participant ParticipantID
	Session     SessionID // "" when no association says which: the participant was in all of them
	From        time.Time
	To          time.Time // zero while it lasts
}

// A Capability is a feature of a participant in a session.
type Capability struct {
	Participant ParticipantID
	Session     SessionID
	Feature
}

// A Member is a participant who is in the recording session now.
type Member struct {
	Participant ParticipantID
	Sessions    []SessionID // empty when no association says which; the participant is then in all of them
	Send, Recv  []StreamID
}

// Metadata is the state of a recording session's metadata: what the documents so far add up to. The zero value is the state
// before the first document.
//
// Apply replaces the slices, never what is in them, so a copy of a Metadata stays as it was. It holds its whole state in exported fields.
type Metadata struct {
	Groups       []Group
	Sessions     []Session     // every one there ever was; their SIPSessionIDs likewise
	Participants []Participant // everyone who was ever here; the names they have now first, then former ones
	Streams      []Stream      // every one there ever was, with its newest label
	Members      []Member      // who is here now, in the order of Participants
	Presences    []Presence    // who sent which stream, from when to when, in order of From
	Attendances  []Attendance  // who was in which session, from when to when, in order of From
	Features     []Capability  // what participants' devices could do, each once
	// Recordings is the newest word of each session's association with the recording session.
	Recordings []SessionRecording
	Extensions []Extension // every value there ever was, the newest last
	Warnings   []Warning   // each once
}

// Present lists the participants that are in the session now.
func (m *Metadata) Present() []Participant {
	var out []Participant
	for _, member := range m.Members {
		if p := m.participant(member.Participant); p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// Senders lists the participants that send the stream with the label now. More than one: the stream is mixed.
func (m *Metadata) Senders(l Label) []Participant {
	var out []Participant
	for _, presence := range m.Presences {
		if presence.Label != l || !presence.To.IsZero() {
			continue
		}
		if p := m.participant(presence.Participant); p != nil {
			out = append(out, *p)
		}
	}
	return out
}

// Mixed tells whether the stream with the label carries several participants now: because the SRC says so, or because several
// send it.
func (m *Metadata) Mixed(l Label) bool {
	for _, s := range slices.Backward(m.Streams) {
		if s.Label == l && s.Mixed {
			return true
		} else if s.Label == l {
			break
		}
	}
	return len(m.Senders(l)) > 1
}

// Extension gives the newest value of the extension with the name, and whether there is one. See type Extension for names.
func (m *Metadata) Extension(name string) (value string, ok bool) {
	for _, x := range slices.Backward(m.Extensions) {
		if x.Name == name {
			return x.Value, true
		}
	}
	return "", false
}

func (m *Metadata) participant(id ParticipantID) *Participant {
	for i := range m.Participants {
		if m.Participants[i].ID == id {
			return &m.Participants[i]
		}
	}
	return nil
}

// label gives the label of a stream, "" when there is none.
func (m *Metadata) label(id StreamID) Label {
	for _, s := range m.Streams {
		if s.ID == id && id != "" {
			return s.Label
		}
	}
	return ""
}
