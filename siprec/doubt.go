package siprec

import "slices"

// A Doubt is a reason to ask an SRC for a complete snapshot of its metadata (RFC 7866 section 8.2).
type Doubt string

const (
	DoubtPartialFirst Doubt = "partial-first"       // the first document is partial: what it changes is not known
	DoubtUnreadable   Doubt = "metadata-unreadable" // a document could not be read
	DoubtParticipant  Doubt = "unknown-participant" // a document refers to a participant that none has described
	DoubtStream       Doubt = "unknown-stream"      // or to a stream
	DoubtSession      Doubt = "unknown-session"     // or to a communication session
)

// Doubts lists what a document leaves open that is to be applied to m. A complete document leaves nothing open that another one
// would tell, unless it could not be read.
func (m *Metadata) Doubts(d *Document) []Doubt {
	var out []Doubt
	if len(d.Sessions)+len(d.Participants)+len(d.Streams)+len(d.ParticipantSessions)+len(d.ParticipantStreams)+len(d.SessionRecordings) == 0 {
		if len(d.Raw) > 0 && len(d.Warnings) > 0 {
			out = append(out, DoubtUnreadable)
		}
		return out
	}
	if d.DataMode != Partial {
		return out
	}
	if len(m.Sessions)+len(m.Participants)+len(m.Streams) == 0 {
		return append(out, DoubtPartialFirst)
	}
	for _, a := range d.ParticipantSessions {
		if !slices.ContainsFunc(d.Participants, func(p Participant) bool { return p.ID == a.Participant }) && m.participant(a.Participant) == nil {
			out = addNew(out, DoubtParticipant)
		}
		if a.Session != "" && !d.describes(a.Session) && !m.describes(a.Session) {
			out = addNew(out, DoubtSession)
		}
	}
	for _, a := range d.ParticipantStreams {
		if !slices.ContainsFunc(d.Participants, func(p Participant) bool { return p.ID == a.Participant }) && m.participant(a.Participant) == nil {
			out = addNew(out, DoubtParticipant)
		}
		for _, id := range slices.Concat(a.Send, a.Recv) {
			if !hasStream(d.Streams, id) && !hasStream(m.Streams, id) {
				out = addNew(out, DoubtStream)
			}
		}
	}
	for _, s := range d.Streams {
		if s.Session != "" && !d.describes(s.Session) && !m.describes(s.Session) {
			out = addNew(out, DoubtSession)
		}
	}
	return out
}

func (d *Document) describes(id SessionID) bool {
	return slices.ContainsFunc(d.Sessions, func(s Session) bool { return s.ID == id })
}

func (m *Metadata) describes(id SessionID) bool {
	return slices.ContainsFunc(m.Sessions, func(s Session) bool { return s.ID == id })
}

func hasStream(list []Stream, id StreamID) bool {
	return slices.ContainsFunc(list, func(s Stream) bool { return s.ID == id })
}
