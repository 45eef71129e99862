package siprec

import (
	"slices"
	"time"
)

// Apply brings the state up to date with a document that arrived at the given time: complete replaces, partial merges,
// disassociation ends (RFC 7865 section 6.1). The past (who was there, and when) is never forgotten.
//
//   - Who is here: in a complete document everyone whom it lists, unless all their associations have ended; a partial one
//     adds whom it brings and removes whose associations end. A session that stops takes its participants along (RFC 8068 section 3.2.3).
//   - Who sends what: a participantstreamassoc replaces what its participant sent before, because a stream that is no longer
//     sent is told by leaving it out (RFC 7865 section 6.8.1). Only what a document says counts: streams that no one claims have no senders.
//   - When: presences begin and end at the time of arrival. The document's own times are kept, and not believed (one SRC lives in 1970).
//     A time before the latest known one is taken as that one.
//
// A document that says nothing new changes nothing.
func (m *Metadata) Apply(d *Document, at time.Time) {
	if d == nil {
		return
	}
	u := update{m: m, d: d, complete: d.DataMode != Partial, known: map[ParticipantID]bool{}}
	for _, p := range m.Participants {
		u.known[p.ID] = true
	}
	for _, w := range d.Warnings {
		m.warn(w)
	}
	u.groups()
	u.sessions()
	u.streams()
	u.participants()
	u.recordings()
	u.features()
	u.extensions()

	u.join()
	u.sessionAssociations()
	u.stops()
	u.streamsInside()
	u.streamAssociations()
	u.endedStreams()
	m.Members = u.settled()
	m.mark(at)
}

func (m *Metadata) warn(w Warning) { m.Warnings = addWarning(m.Warnings, w) }

// An update is one document on its way into the state.
type update struct {
	m        *Metadata
	d        *Document
	complete bool
	known    map[ParticipantID]bool // before this document
	members  []Member               // as they will be
}

// merge puts the element x, found by same, into a copy of list: in the place of the old one, or at the end.
func merge[T any](m *Metadata, list []T, limit int, same func(T) bool, x T, join func(old, x T) T) []T {
	if i := slices.IndexFunc(list, same); i >= 0 {
		list = slices.Clone(list)
		list[i] = join(list[i], x)
		return list
	}
	if len(list) >= limit {
		m.warn(WarnTooMany)
		return list
	}
	return append(slices.Clip(list), x)
}

// newer gives the new time when a complete document replaces the old one or it says anything.
func (u *update) newer(old, x Time) Time {
	if u.complete || x.Raw != "" {
		return x
	}
	return old
}

func newerText[T ~string](old, x T) T {
	if x != "" {
		return x
	}
	return old
}

func (u *update) groups() {
	for _, g := range u.d.Groups {
		u.m.Groups = merge(u.m, u.m.Groups, MaxSessions, func(o Group) bool { return o.ID == g.ID }, g, func(old, g Group) Group {
			g.Associate, g.Disassociate = u.newer(old.Associate, g.Associate), u.newer(old.Disassociate, g.Disassociate)
			return g
		})
	}
}

func (u *update) sessions() {
	for _, s := range u.d.Sessions {
		s.SIPSessionIDs, s.Reasons = slices.Clone(s.SIPSessionIDs), slices.Clone(s.Reasons)
		u.m.Sessions = merge(u.m, u.m.Sessions, MaxSessions, func(o Session) bool { return o.ID == s.ID }, s, func(old, s Session) Session {
			if again := old.Stop.Raw != "" && s.Stop.Raw == "" && u.complete; again && len(s.SIPSessionIDs) > 0 && !slices.Contains(s.SIPSessionIDs, old.sipSessionID()) {
				old.SIPSessionIDs, old.Reasons, old.Group = nil, nil, "" // another call, by a name that was used before
			}
			s.Group = newerText(old.Group, s.Group)
			s.Start, s.Stop = u.newer(old.Start, s.Start), u.newer(old.Stop, s.Stop)
			// In the order in which they were first seen, so that CallKey does not change.
			ids := addNew(slices.Clone(old.SIPSessionIDs), s.SIPSessionIDs...)
			if len(ids) > MaxSIPSessionIDs {
				ids = ids[:MaxSIPSessionIDs]
				u.m.warn(WarnTooMany)
			}
			s.SIPSessionIDs = ids
			s.Reasons = addNew(slices.Clone(old.Reasons), s.Reasons...)
			if len(s.Reasons) > MaxReasons {
				s.Reasons = s.Reasons[:MaxReasons]
				u.m.warn(WarnTooMany)
			}
			return s
		})
	}
}

func (u *update) streams() {
	for _, s := range u.d.Streams {
		same := func(o Stream) bool { return o.ID == s.ID && (s.ID != "" || o.Label == s.Label) }
		u.m.Streams = merge(u.m, u.m.Streams, MaxStreams, same, s, func(old, s Stream) Stream {
			s.Session, s.Label = newerText(old.Session, s.Session), newerText(old.Label, s.Label)
			s.Mixed = s.Mixed || old.Mixed && !u.complete
			s.Associate, s.Disassociate = u.newer(old.Associate, s.Associate), u.newer(old.Disassociate, s.Disassociate)
			return s
		})
	}
}

func (u *update) participants() {
	for _, p := range u.d.Participants {
		p.Names = slices.Clone(p.Names)
		same := func(o Participant) bool { return o.ID == p.ID }
		u.m.Participants = merge(u.m, u.m.Participants, MaxParticipants, same, p, func(old, p Participant) Participant {
			if p.Caller == nil && (p.AOR() == "" || p.AOR() == old.AOR()) {
				p.Caller = old.Caller // of another party we know nothing
			}
			if p.AOR() == "" && p.Name() != "" && old.AOR() != "" {
				p.Names = []NameID{{AOR: old.AOR(), Name: p.Name()}}
			}
			p.Names = addNames(p.Names, old.Names...)
			if len(p.Names) > MaxNames {
				p.Names = p.Names[:MaxNames]
				u.m.warn(WarnTooMany)
			}
			p.Session = newerText(old.Session, p.Session)
			p.Associate, p.Disassociate = u.newer(old.Associate, p.Associate), u.newer(old.Disassociate, p.Disassociate)
			return p
		})
	}
}

// extensions moves the values that the document has to the end.
func (u *update) extensions() {
	if len(u.d.Extensions) == 0 {
		return
	}
	fresh := map[Extension]bool{}
	var list []Extension
	for _, x := range slices.Backward(u.d.Extensions) {
		if !fresh[x] {
			fresh[x] = true
			list = append(list, x)
		}
	}
	for _, x := range slices.Backward(u.m.Extensions) {
		if !fresh[x] {
			list = append(list, x)
		}
	}
	slices.Reverse(list)
	if len(list) > MaxExtensions {
		list = list[len(list)-MaxExtensions:]
		u.m.warn(WarnTooMany)
	}
	u.m.Extensions = list
}

// sipSessionID is the first SIP session identifier, or "".
func (s Session) sipSessionID() string {
	if len(s.SIPSessionIDs) == 0 {
		return ""
	}
	return s.SIPSessionIDs[0]
}
