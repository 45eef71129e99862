package siprec

import "slices"

// MakeRoom forgets what is over, when a document that is about to be applied might find no room beside it: communication sessions
// (CSs) that do not go on, who was in no other, their streams, and the past. A recording session that lives for a week carries more
// calls than any limit, and the last of them must be known as well as the first. What goes on is kept.
func (m *Metadata) MakeRoom(d *Document, active []SessionID) {
	if !m.crowded(d) {
		return
	}
	over := func(id SessionID) bool { return !slices.Contains(active, id) }
	m.Sessions = kept(m.Sessions, func(s Session) bool { return !over(s.ID) })
	m.Recordings = kept(m.Recordings, func(a SessionRecording) bool { return !over(a.Session) })
	m.Groups = kept(m.Groups, func(g Group) bool {
		return slices.ContainsFunc(m.Sessions, func(s Session) bool { return s.Group == g.ID })
	})
	m.Members = kept(m.Members, func(x Member) bool { return len(x.Sessions) == 0 || !allOf(x.Sessions, over) })
	here := map[ParticipantID]bool{}
	used := map[StreamID]bool{}
	for _, x := range m.Members {
		here[x.Participant] = true
		for _, id := range slices.Concat(x.Send, x.Recv) {
			used[id] = true
		}
	}
	m.Participants = kept(m.Participants, func(p Participant) bool { return here[p.ID] })
	m.Streams = kept(m.Streams, func(s Stream) bool { return used[s.ID] || s.Session != "" && !over(s.Session) })
	m.Presences = kept(m.Presences, func(p Presence) bool { return p.To.IsZero() && here[p.Participant] })
	m.Attendances = kept(m.Attendances, func(a Attendance) bool { return a.To.IsZero() && here[a.Participant] })
	m.Features = kept(m.Features, func(c Capability) bool { return here[c.Participant] && (c.Session == "" || !over(c.Session)) })
	ids := m.ids()
	m.Extensions = kept(m.Extensions, func(x Extension) bool { return x.Parent == "" || ids[x.Parent] })
}

// crowded tells that a document may find a list full, or that the past has become long.
func (m *Metadata) crowded(d *Document) bool {
	return len(m.Sessions)+len(d.Sessions) > MaxSessions || len(m.Groups)+len(d.Groups) > MaxSessions ||
		len(m.Participants)+len(d.Participants) > MaxParticipants || len(m.Streams)+len(d.Streams) > MaxStreams ||
		len(m.Recordings)+len(d.SessionRecordings) > MaxSessions || len(m.Features) > MaxAssociations/2 ||
		max(len(m.Presences), len(m.Attendances)) > MaxPresences/4
}

func allOf[T any](list []T, is func(T) bool) bool {
	return !slices.ContainsFunc(list, func(x T) bool { return !is(x) })
}

// kept is a copy of the list with what is to be kept.
func kept[T any](list []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return !keep(x) })
}
