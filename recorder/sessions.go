package recorder

import (
	"slices"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// A CommunicationSession is one call that the recording session concerned (RFC 7865 sections 6.3 and 6.4). The times are what the SRC
// wrote, in its own clock and form; when something happened by ours stands with participants and channels.
type CommunicationSession struct {
	ID               siprec.SessionID `json:"id"`
	Group            siprec.GroupID   `json:"group,omitempty"`
	SIPSessionIDs    []string         `json:"sip_session_ids,omitempty"`
	StartTime        string           `json:"start_time,omitempty"`
	StopTime         string           `json:"stop_time,omitempty"`
	AssociateTime    string           `json:"associate_time,omitempty"` // with the recording session
	DisassociateTime string           `json:"disassociate_time,omitempty"`
	Reasons          []Reason         `json:"reasons,omitempty"`
}

// A Reason says why a communication session ended.
type Reason struct {
	Protocol string `json:"protocol"`
	Cause    int    `json:"cause,omitempty"`
	Text     string `json:"text,omitempty"`
}

// A SessionGroup is a communication session group (RFC 7865 section 6.2).
type SessionGroup struct {
	ID               siprec.GroupID `json:"id"`
	AssociateTime    string         `json:"associate_time,omitempty"`
	DisassociateTime string         `json:"disassociate_time,omitempty"`
}

// A MediaStream is a stream as the metadata describe it (RFC 7865 section 6.7), received here or not: the last word on it.
type MediaStream struct {
	ID               siprec.StreamID  `json:"id"`
	Session          siprec.SessionID `json:"session,omitempty"`
	Label            siprec.Label     `json:"label,omitempty"`
	Mixed            bool             `json:"mixed,omitempty"`
	AssociateTime    string           `json:"associate_time,omitempty"`
	DisassociateTime string           `json:"disassociate_time,omitempty"`
}

// A Name is one identity of a participant.
type Name struct {
	AOR      string `json:"aor,omitempty"`
	Name     string `json:"name,omitempty"`
	Language string `json:"language,omitempty"`
}

// An Attendance is a participant in a communication session for a time, in milliseconds from the first sample. No session means that
// the metadata do not say which.
type Attendance struct {
	Session siprec.SessionID `json:"session,omitempty"`
	FromMS  int64            `json:"from_ms"`
	ToMS    int64            `json:"to_ms"`
}

// A Feature is what a participant's device could do or did in a session, as isfocus (RFC 7865 section 6.6.1).
type Feature struct {
	Session siprec.SessionID `json:"session,omitempty"`
	Name    string           `json:"name"`
	Value   string           `json:"value,omitempty"`
}

// describe adds to a sidecar that was made of the history what the metadata say of sessions, and what the offers say of content.
func (h *history) describe(s *Sidecar, plan media.Plan) {
	m := &h.metadata
	for _, cs := range m.Sessions {
		s.CommunicationSessions = append(s.CommunicationSessions, communicationSession(m, cs))
	}
	for _, g := range m.Groups {
		s.Groups = append(s.Groups, SessionGroup{ID: g.ID, AssociateTime: g.Associate.Raw, DisassociateTime: g.Disassociate.Raw})
	}
	for _, st := range m.Streams {
		s.Streams = append(s.Streams, MediaStream{
			ID: st.ID, Session: st.Session, Label: st.Label, Mixed: st.Mixed, AssociateTime: st.Associate.Raw, DisassociateTime: st.Disassociate.Raw,
		})
	}
	ms, end := h.clock(plan)
	for i := range s.Participants {
		s.Participants[i].attended(m, ms, end)
	}
	if b := h.begin(); b.CallKey == b.CallID {
		if key := m.CallKey(b.CallID); key != b.CallKey {
			s.Session.ConversationKey = key
		}
	}
	for _, e := range h.entries {
		for _, l := range e.Lines {
			for i := range s.Channels {
				if c := &s.Channels[i]; l.Label != "" && c.Label == l.Label && len(l.Content) > 0 {
					c.Content = l.Content
				}
			}
		}
	}
}

// clock gives what turns an instant into milliseconds from the first sample, and the instant after the last.
func (h *history) clock(plan media.Plan) (ms func(time.Time) int64, end time.Time) {
	start := h.entries[0].At.Add(samples(plan.Offset, plan.Rate))
	end = start.Add(samples(plan.Samples, plan.Rate))
	return func(t time.Time) int64 { return max(0, min(t.Sub(start), end.Sub(start)).Milliseconds()) }, end
}

func communicationSession(m *siprec.Metadata, cs siprec.Session) CommunicationSession {
	out := CommunicationSession{
		ID: cs.ID, Group: cs.Group, SIPSessionIDs: cs.SIPSessionIDs, StartTime: cs.Start.Raw, StopTime: cs.Stop.Raw,
	}
	for _, r := range cs.Reasons {
		out.Reasons = append(out.Reasons, Reason(r))
	}
	for _, a := range m.Recordings {
		if a.Session == cs.ID {
			out.AssociateTime, out.DisassociateTime = a.Associate.Raw, a.Disassociate.Raw
		}
	}
	return out
}

// attended adds what is known of a participant beside the first name.
func (p *Participant) attended(m *siprec.Metadata, ms func(time.Time) int64, end time.Time) {
	for _, known := range m.Participants {
		if known.ID != p.ID || len(known.Names) == 0 || len(known.Names) == 1 && known.Names[0].Language == "" {
			continue
		}
		for _, n := range known.Names {
			p.Names = append(p.Names, Name(n))
		}
	}
	for _, a := range m.Attendances {
		if a.Participant != p.ID {
			continue
		}
		to := a.To
		if to.IsZero() {
			to = end
		}
		p.Sessions = append(p.Sessions, Attendance{Session: a.Session, FromMS: ms(a.From), ToMS: ms(to)})
	}
	for _, c := range m.Features {
		if c.Participant == p.ID {
			p.Features = append(p.Features, Feature{Session: c.Session, Name: c.Name, Value: c.Value})
		}
	}
}

// joined gives both lists without repetitions.
func joined(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
