package siprec

import (
	"slices"
	"strconv"
	"strings"
)

// readReason reads <reason cause="16" protocol="Q.850">Terminated</reason> (RFC 7865 section 6.3.1).
func readReason(e *element) Reason {
	reason := Reason{Protocol: e.attr("protocol"), Text: strings.Join(strings.Fields(e.content()), " ")}
	if reason.Protocol == "" {
		reason.Protocol = "SIP"
	}
	if cause, err := strconv.ParseUint(e.attr("cause"), 10, 15); err == nil {
		reason.Cause = int(cause)
	}
	return reason
}

// sessionRecording reads a sessionrecordingassoc (RFC 7865 section 6.4).
func (r *documentReader) sessionRecording(e *element) {
	a := SessionRecording{Session: SessionID(e.attr("sessionid", "session"))}
	r.others(e, string(a.Session), "sessionrecordingassoc", "sessionid", "session")
	r.children(e, string(a.Session), times(&a.Associate, &a.Disassociate))
	r.doc.SessionRecordings = append(r.doc.SessionRecordings, a)
}

// participantSession reads a participantsessionassoc (RFC 7865 section 6.6).
func (r *documentReader) participantSession(e *element) {
	a := ParticipantSession{Participant: participantRef(e), Session: SessionID(e.attr("sessionid", "session"))}
	r.others(e, string(a.Participant), "participantsessionassoc", "participantid", "participant", "id", "sessionid", "session")
	f := times(&a.Associate, &a.Disassociate)
	f["param"] = func(r *documentReader, e *element) {
		if name := e.attr("pname", "name"); name != "" {
			a.Features = addNew(a.Features, Feature{Name: name, Value: e.attr("pval", "value")})
			r.others(e, string(a.Participant), "param", "pname", "name", "pval", "value")
			return
		}
		r.extend(string(a.Participant), "", e)
	}
	r.children(e, string(a.Participant), f)
	r.doc.ParticipantSessions = append(r.doc.ParticipantSessions, a)
}

// participantStream reads a participantstreamassoc (RFC 7865 section 6.8).
func (r *documentReader) participantStream(e *element) {
	a := ParticipantStream{Participant: participantRef(e)}
	r.others(e, string(a.Participant), "participantstreamassoc", "participantid", "participant", "id")
	f := times(&a.Associate, &a.Disassociate)
	f["send"], f["recv"] = refs(&a.Send), refs(&a.Recv)
	r.children(e, string(a.Participant), f)
	r.doc.ParticipantStreams = append(r.doc.ParticipantStreams, a)
}

// isOtherVersion tells that a namespace is the recording's in a version that is not ours.
func isOtherVersion(space string) bool {
	version, ok := strings.CutPrefix(strings.ToLower(space), "urn:ietf:params:xml:ns:recording:")
	return ok && version != "1"
}

// checkIDs warns of an identifier that stands for elements of two kinds (RFC 7865 section 6.10).
func (r *documentReader) checkIDs() {
	kinds := map[string]int{}
	one := func(kind int, id string) {
		if id == "" {
			return
		}
		if known, there := kinds[id]; there && known != kind {
			r.warn(WarnSharedID)
		}
		kinds[id] = kind
	}
	for _, g := range r.doc.Groups {
		one(1, string(g.ID))
	}
	for _, s := range r.doc.Sessions {
		one(2, string(s.ID))
	}
	for _, p := range r.doc.Participants {
		one(3, string(p.ID))
	}
	for _, s := range r.doc.Streams {
		one(4, string(s.ID))
	}
}

// addNames adds names that are not in the list yet. One that is there without its language learns it.
func addNames(list []NameID, more ...NameID) []NameID {
	for _, n := range more {
		i := slices.IndexFunc(list, func(o NameID) bool {
			return o.AOR == n.AOR && o.Name == n.Name && (o.Language == n.Language || o.Language == "" || n.Language == "")
		})
		switch {
		case i < 0:
			list = append(list, n)
		case list[i].Language == "":
			list[i].Language = n.Language
		}
	}
	return list
}

// recordings keeps the newest word on each session's association with the recording session.
func (u *update) recordings() {
	for _, a := range u.d.SessionRecordings {
		same := func(o SessionRecording) bool { return o.Session == a.Session }
		u.m.Recordings = merge(u.m, u.m.Recordings, MaxSessions, same, a, func(old, a SessionRecording) SessionRecording {
			if a.Associate.Raw == "" {
				a.Associate = old.Associate // a disassociation does not repeat when it began
			}
			return a
		})
	}
}

// features keeps what participants' devices could do, each once.
func (u *update) features() {
	list, seen := slices.Clone(u.m.Features), map[Capability]bool{}
	for _, c := range list {
		seen[c] = true
	}
	for _, a := range u.d.ParticipantSessions {
		for _, f := range a.Features {
			c := Capability{Participant: a.Participant, Session: a.Session, Feature: f}
			switch {
			case seen[c]:
			case len(list) >= MaxAssociations:
				u.m.warn(WarnTooMany)
			default:
				seen[c] = true
				list = append(list, c)
			}
		}
	}
	u.m.Features = orNil(list)
}
