package siprec

import "slices"

// member finds a member, or gives nil.
func (u *update) member(id ParticipantID) *Member {
	for i := range u.members {
		if u.members[i].Participant == id {
			return &u.members[i]
		}
	}
	return nil
}

// enter makes a participant a member.
func (u *update) enter(id ParticipantID) *Member {
	if m := u.member(id); m != nil {
		return m
	}
	u.members = append(u.members, Member{Participant: id})
	return &u.members[len(u.members)-1]
}

func (u *update) leave(id ParticipantID) {
	u.members = slices.DeleteFunc(u.members, func(m Member) bool { return m.Participant == id })
}

// join lets in whom the document lists. Someone known who left before does not return because a partial document mentions
// them; it takes an association.
func (u *update) join() {
	if !u.complete {
		for _, m := range u.m.Members {
			m.Sessions, m.Send, m.Recv = slices.Clone(m.Sessions), slices.Clone(m.Send), slices.Clone(m.Recv)
			u.members = append(u.members, m)
		}
	}
	for _, p := range u.d.Participants {
		if u.m.participant(p.ID) == nil {
			continue // over the limit
		}
		switch {
		case p.Disassociate.Raw != "":
			u.leave(p.ID)
			continue
		case u.complete || p.Session != "" || !u.known[p.ID]:
			u.enter(p.ID)
		}
		if p.Session != "" {
			u.enter(p.ID).Sessions = []SessionID{p.Session}
		}
	}
}

// streamsInside takes what participants send and receive from inside their elements, as some dialects tell it.
func (u *update) streamsInside() {
	for _, p := range u.d.Participants {
		m := u.member(p.ID)
		if m != nil && (p.Session != "" || len(p.Send)+len(p.Recv) > 0) {
			m.Send, m.Recv = slices.Clone(p.Send), slices.Clone(p.Recv)
		}
	}
}

// sessionAssociations applies participantsessionassoc. The last word on a participant and session counts; who enters another
// session and leaves the old one does not leave in between.
func (u *update) sessionAssociations() {
	type pair struct {
		participant ParticipantID
		session     SessionID
	}
	last := map[pair]int{}
	for i, a := range u.d.ParticipantSessions {
		last[pair{a.Participant, a.Session}] = i
	}
	for i, a := range u.d.ParticipantSessions {
		if u.m.participant(a.Participant) == nil {
			u.m.warn(WarnDanglingParticipant)
		} else if a.Disassociate.Raw == "" && last[pair{a.Participant, a.Session}] == i {
			m := u.enter(a.Participant)
			m.Sessions = addNew(m.Sessions, a.Session)
		}
	}
	for i, a := range u.d.ParticipantSessions {
		if a.Disassociate.Raw == "" || last[pair{a.Participant, a.Session}] != i {
			continue
		}
		if m := u.member(a.Participant); m != nil {
			u.leaveSession(m, a.Session)
		}
	}
}

// leaveSession takes a member out of a session, and out of the recording session with the last one. A member without known
// sessions is in all of them, and so leaves.
func (u *update) leaveSession(m *Member, id SessionID) {
	m.Sessions = slices.DeleteFunc(m.Sessions, func(s SessionID) bool { return s == id })
	if len(m.Sessions) == 0 {
		u.leave(m.Participant)
	}
}

// stops lets the participants of sessions leave that have stopped, or that are no longer recorded here.
func (u *update) stops() {
	var stopped []SessionID
	for _, s := range u.d.Sessions {
		if s.Stop.Raw != "" {
			stopped = append(stopped, s.ID)
		}
	}
	for _, a := range u.d.SessionRecordings {
		if a.Disassociate.Raw != "" {
			stopped = append(stopped, a.Session)
		}
	}
	if len(stopped) == 0 {
		return
	}
	allStopped := !slices.ContainsFunc(u.m.Sessions, func(s Session) bool {
		return s.Stop.Raw == "" && !slices.Contains(stopped, s.ID)
	})
	for _, m := range slices.Clone(u.members) {
		if len(m.Sessions) == 0 {
			if allStopped {
				u.leave(m.Participant)
			}
			continue
		}
		for _, id := range stopped {
			if slices.Contains(m.Sessions, id) {
				u.leaveSession(u.member(m.Participant), id)
			}
			if u.member(m.Participant) == nil {
				break
			}
			m = *u.member(m.Participant)
		}
	}
}

// streamAssociations applies participantstreamassoc. All of one participant's together are what the participant sends and
// receives now; those that have ended only take away.
func (u *update) streamAssociations() {
	begun := map[ParticipantID]bool{}
	for _, a := range u.d.ParticipantStreams {
		if u.m.participant(a.Participant) == nil {
			u.m.warn(WarnDanglingParticipant)
			continue
		}
		m := u.member(a.Participant)
		if m == nil || a.Disassociate.Raw != "" {
			continue
		}
		if !begun[a.Participant] {
			begun[a.Participant] = true
			m.Send, m.Recv = nil, nil
		}
		m.Send, m.Recv = addNew(m.Send, a.Send...), addNew(m.Recv, a.Recv...)
	}
	for _, a := range u.d.ParticipantStreams {
		m := u.member(a.Participant)
		if m == nil || a.Disassociate.Raw == "" || begun[a.Participant] {
			continue // what is going on now is said by the other associations
		}
		if len(a.Send)+len(a.Recv) == 0 {
			m.Send, m.Recv = nil, nil
		}
		m.Send, m.Recv = without(m.Send, a.Send), without(m.Recv, a.Recv)
	}
}

func without(list, gone []StreamID) []StreamID {
	return slices.DeleteFunc(list, func(id StreamID) bool { return slices.Contains(gone, id) })
}

// endedStreams takes streams away that have ended.
func (u *update) endedStreams() {
	var gone []StreamID
	for _, s := range u.d.Streams {
		if s.Disassociate.Raw != "" && s.ID != "" {
			gone = append(gone, s.ID)
		}
	}
	for i := range u.members {
		u.members[i].Send, u.members[i].Recv = without(u.members[i].Send, gone), without(u.members[i].Recv, gone)
	}
}

// settled gives the members in the order in which the participants were first seen, with empty lists nil, so that equal
// states compare as equal.
func (u *update) settled() []Member {
	order := map[ParticipantID]int{}
	for i, p := range u.m.Participants {
		order[p.ID] = i
	}
	slices.SortStableFunc(u.members, func(a, b Member) int { return order[a.Participant] - order[b.Participant] })
	for i := range u.members {
		m := &u.members[i]
		m.Sessions, m.Send, m.Recv = orNil(m.Sessions), orNil(m.Send), orNil(m.Recv)
	}
	return orNil(u.members)
}

func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
