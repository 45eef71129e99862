package recorder

import (
	"slices"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A scopeView is what of a recording session's metadata is about the one communication session (CS) that a recording holds.
type scopeView struct {
	id   siprec.SessionID // "": all of it
	ever map[siprec.ParticipantID]bool
}

// saw remembers who is in the CS now, and who sends its streams from another one.
func (v *scopeView) saw(m *siprec.Metadata) {
	if v.id == "" {
		return
	}
	scoped := m.Of(v.id)
	for _, p := range scoped.Members {
		v.ever[p.Participant] = true
	}
	for _, p := range m.Members {
		if slices.ContainsFunc(scoped.Streams, func(x siprec.Stream) bool { return slices.Contains(p.Send, x.ID) }) {
			v.ever[p.Participant] = true
		}
	}
}

// view leaves out who was never in the CS, and who sent only before the recording began or after it ended. Of a recording session
// with one CS nothing is left out.
func (v *scopeView) view(m *siprec.Metadata, start, end time.Time) siprec.Metadata {
	out := *m
	if v.id == "" || len(m.Sessions) < 2 {
		return out
	}
	scoped := m.Of(v.id)
	out.Sessions, out.Groups, out.Streams, out.Extensions = scoped.Sessions, scoped.Groups, scoped.Streams, scoped.Extensions
	out.Attendances, out.Features, out.Recordings = scoped.Attendances, scoped.Features, scoped.Recordings
	out.Participants = slices.DeleteFunc(slices.Clone(m.Participants), func(p siprec.Participant) bool { return !v.ever[p.ID] })
	out.Presences = slices.DeleteFunc(slices.Clone(m.Presences), func(p siprec.Presence) bool {
		return !v.ever[p.Participant] || !p.To.IsZero() && !p.To.After(start) || end.After(start) && !p.From.Before(end)
	})
	return out
}
