package siprec

import (
	"maps"
	"slices"
)

// Scopes is which communication sessions (CSs) a recording session carries now, and which label is whose, as far as the documents
// so far say. The zero value is the state before the first document.
//
// A CS goes on from the document that first describes it until one tells its stop time, ends its association with the recording
// session, or is complete and leaves it out (RFC 7865 sections 6.1, 6.3 and 6.4). A complete document that describes no CS at all says nothing
// of them: those that went on go on. Nor are the stop times of a first document believed that would leave none: nobody begins to
// record a call that is over.
type Scopes struct {
	active []SessionID // in the order in which they were first described
	ended  []SessionID // were active
	claims []claim
	count  int               // documents
	since  map[SessionID]int // the document by which each active one began
	left   map[Label]int     // the document by which the CS ended that had a label
}

// A claim is a stream that is described now, and the document that did so last.
type claim struct {
	Stream
	document int
}

// Known tells whether any CS was ever described.
func (s *Scopes) Known() bool { return len(s.active)+len(s.ended) > 0 }

// Active lists the CSs that go on, in the order in which they were first described.
func (s *Scopes) Active() []SessionID { return slices.Clone(s.active) }

// Apply takes a document.
func (s *Scopes) Apply(d *Document) {
	s.count++
	if d.DataMode != Partial {
		clear(s.left) // what was on its way has come
	}
	s.sessions(d)
	s.streams(d)
	s.forgetLeft()
}

func (s *Scopes) sessions(d *Document) {
	var here, gone, again []SessionID
	for _, x := range d.Sessions {
		if x.Stop.Raw != "" {
			gone = addNew(gone, x.ID)
		} else {
			here = addNew(here, x.ID)
		}
	}
	last := map[SessionID]bool{} // whether the last word is that the association has ended
	for _, a := range d.SessionRecordings {
		last[a.Session] = a.Disassociate.Raw != ""
	}
	for _, a := range d.SessionRecordings {
		if last[a.Session] {
			gone = addNew(gone, a.Session)
		} else {
			again = addNew(again, a.Session)
		}
	}
	isGone := func(id SessionID) bool { return slices.Contains(gone, id) }
	if !s.Known() && len(d.Sessions) > 0 && !slices.ContainsFunc(here, func(id SessionID) bool { return !isGone(id) }) {
		for _, x := range d.Sessions {
			s.active = addNew(s.active, x.ID)
			s.began(x.ID)
		}
		return
	}
	complete := d.DataMode != Partial && len(d.Sessions) > 0
	for _, id := range slices.Clone(s.active) {
		if isGone(id) || complete && !slices.Contains(here, id) {
			s.end(id)
		}
	}
	for _, id := range here {
		// A partial document may mention a CS that is over; it takes a new association to begin it again.
		if isGone(id) || d.DataMode == Partial && slices.Contains(s.ended, id) && !slices.Contains(again, id) {
			continue
		}
		s.begin(id)
	}
	for _, id := range again {
		if slices.Contains(s.ended, id) && !isGone(id) {
			s.begin(id)
		}
	}
	for _, id := range gone { // one that began and ended between two documents
		s.ended = limited(addNew(s.ended, id))
	}
}

func (s *Scopes) begin(id SessionID) {
	if len(s.active) >= MaxSessions {
		return
	}
	s.active = addNew(s.active, id)
	s.began(id)
	s.ended = slices.DeleteFunc(s.ended, func(x SessionID) bool { return x == id })
}

func (s *Scopes) began(id SessionID) {
	if _, known := s.since[id]; !known {
		set(&s.since, id, s.count)
	}
}

func (s *Scopes) end(id SessionID) {
	delete(s.since, id)
	for _, c := range s.claims {
		if c.Session == id && c.Label != "" && (len(s.left) < MaxStreams || s.left[c.Label] > 0) {
			set(&s.left, c.Label, s.count)
		}
	}
	s.active = slices.DeleteFunc(s.active, func(x SessionID) bool { return x == id })
	s.ended = limited(addNew(s.ended, id))
}

// limited forgets the oldest of what is too much to remember.
func limited(list []SessionID) []SessionID {
	if len(list) > MaxSessions {
		list = slices.Delete(list, 0, len(list)-MaxSessions)
	}
	return list
}

func (s *Scopes) streams(d *Document) {
	if d.DataMode != Partial && len(d.Streams) > 0 {
		s.claims = nil
	}
	if len(s.claims)+len(d.Streams) > MaxStreams { // of a session that is changed by partial documents only
		s.claims = kept(s.claims, func(c claim) bool {
			return c.Disassociate.Raw == "" && (c.Session == "" || slices.Contains(s.active, c.Session))
		})
	}
	for _, x := range d.Streams {
		if slices.Contains(s.active, x.Session) {
			delete(s.left, x.Label)
		}
		same := func(c claim) bool { return c.ID == x.ID && (x.ID != "" || c.Label == x.Label) }
		if i := slices.IndexFunc(s.claims, same); i >= 0 {
			x.Session, x.Label = newerText(s.claims[i].Session, x.Session), newerText(s.claims[i].Label, x.Label)
			s.claims[i] = claim{x, s.count}
		} else if len(s.claims) < MaxStreams {
			s.claims = append(s.claims, claim{x, s.count})
		}
	}
}

// Leaving tells whether a label that nobody claims was that of a CS that has ended, while others that go on were there already. What
// comes on it was on its way for the one that ended, and is nobody else's until a document claims it or is complete, or a CS begins.
func (s *Scopes) Leaving(l Label) bool {
	at, ok := s.left[l]
	return ok && slices.ContainsFunc(s.active, func(id SessionID) bool { return s.since[id] < at })
}

// forgetLeft forgets the labels of which all CSs that go on came later.
func (s *Scopes) forgetLeft() {
	maps.DeleteFunc(s.left, func(l Label, _ int) bool { return !s.Leaving(l) })
}

// Owner is the CS of the stream with the label: of the newest document that describes one. False: no stream has the label, none of a CS
// that goes on, or two CSs claim it at once. A label that nobody claims belongs to the only CS that goes on, if there is one only and the
// label is not Leaving.
func (s *Scopes) Owner(l Label) (SessionID, bool) {
	newest, owner, found := 0, SessionID(""), false
	for _, c := range s.claims {
		if c.Label != l || c.Disassociate.Raw != "" || !slices.Contains(s.active, c.Session) {
			continue
		}
		switch {
		case c.document > newest:
			newest, owner, found = c.document, c.Session, true
		case c.document == newest && c.Session != owner:
			return "", false
		}
	}
	if !found && len(s.active) == 1 && !s.Leaving(l) {
		return s.active[0], true
	}
	return owner, found
}

// Of is the part of the state that concerns one CS: its element, its group, who is in it, its streams, and the extensions but for
// those of elements that are left out. Presences and warnings stay, for they name no CS. With no or one CS it is the whole state.
func (m *Metadata) Of(id SessionID) Metadata {
	out := *m
	if id == "" || len(m.Sessions) < 2 {
		return out
	}
	out.Sessions, out.Groups, out.Participants, out.Streams, out.Members = nil, nil, nil, nil, nil
	out.Attendances = slices.DeleteFunc(slices.Clone(m.Attendances), func(a Attendance) bool { return a.Session != "" && a.Session != id })
	out.Features = slices.DeleteFunc(slices.Clone(m.Features), func(c Capability) bool { return c.Session != "" && c.Session != id })
	out.Recordings = slices.DeleteFunc(slices.Clone(m.Recordings), func(a SessionRecording) bool { return a.Session != id })
	for _, s := range m.Sessions {
		if s.ID != id {
			continue
		}
		out.Sessions = append(out.Sessions, s)
		for _, g := range m.Groups {
			if g.ID == s.Group && g.ID != "" {
				out.Groups = append(out.Groups, g)
			}
		}
	}
	for _, s := range m.Streams {
		if s.Session == id || s.Session == "" {
			out.Streams = append(out.Streams, s)
		}
	}
	in := map[ParticipantID]bool{}
	for _, member := range m.Members {
		if len(member.Sessions) == 0 || slices.Contains(member.Sessions, id) {
			out.Members = append(out.Members, member)
			in[member.Participant] = true
		}
	}
	for _, p := range m.Participants {
		if in[p.ID] {
			out.Participants = append(out.Participants, p)
		}
	}
	others := m.ids()
	for mine := range out.ids() {
		delete(others, mine)
	}
	out.Extensions = slices.DeleteFunc(slices.Clone(m.Extensions), func(x Extension) bool { return others[x.Parent] })
	return out
}

// ids are the identifiers of all elements.
func (m *Metadata) ids() map[string]bool {
	out := map[string]bool{}
	for _, x := range m.Sessions {
		out[string(x.ID)] = true
	}
	for _, x := range m.Groups {
		out[string(x.ID)] = true
	}
	for _, x := range m.Participants {
		out[string(x.ID)] = true
	}
	for _, x := range m.Streams {
		out[string(x.ID)] = true
	}
	delete(out, "") // the recording itself has none
	return out
}

// Concerns tells whether a document says anything of a CS: it is complete, it mentions the CS, or it mentions none.
func (d *Document) Concerns(id SessionID) bool {
	if d.DataMode != Partial || id == "" {
		return true
	}
	named := false
	is := func(x SessionID) bool {
		named = named || x != ""
		return x == id
	}
	for _, x := range d.Sessions {
		if is(x.ID) {
			return true
		}
	}
	for _, x := range d.SessionRecordings {
		if is(x.Session) {
			return true
		}
	}
	for _, x := range d.ParticipantSessions {
		if is(x.Session) {
			return true
		}
	}
	for _, x := range d.Streams {
		if is(x.Session) {
			return true
		}
	}
	for _, x := range d.Participants {
		if is(x.Session) {
			return true
		}
	}
	return !named
}

// Mentions tells whether a document has an element of a CS itself: its description, or its association.
func (d *Document) Mentions(id SessionID) bool {
	return slices.ContainsFunc(d.Sessions, func(s Session) bool { return s.ID == id }) ||
		slices.ContainsFunc(d.SessionRecordings, func(a SessionRecording) bool { return a.Session == id })
}
