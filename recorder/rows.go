package recorder

import (
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// terms are the instants that a class means for one recording.
type terms struct {
	quarantine time.Time // may not be locked before
	retain     time.Time // locked until, and kept no longer
}

// termsOf computes a recording's terms from its sidecar alone, so that a rebuild finds the same.
func termsOf(s *Sidecar) terms {
	end := s.Session.EndedAt
	return terms{quarantine: utcMS(s.Class.QuarantineUntil(end)), retain: wholeSecond(s.Class.Until(end))}
}

// wholeSecond rounds up: object locks know whole seconds, and none may end early.
func wholeSecond(t time.Time) time.Time {
	if s := t.Truncate(time.Second); !s.Equal(t) {
		return s.Add(time.Second).UTC()
	}
	return t.UTC()
}

// storedRow indexes a recording that is in the store. It is made of the sidecar and the objects alone.
func (w *words) storedRow(s *Sidecar, o objectData) catalog.Recording {
	t := termsOf(s)
	row := catalog.Recording{
		ID: s.ID, State: catalog.StateStored, Class: s.Class.Name, Rule: s.Decision.Rule, Reason: s.Decision.Reason,
		Detail: s.Decision.Detail, PolicyDigest: s.Decision.PolicyDigest, SRC: s.Session.SRC, CallKeyHash: w.hash(s.Session.CallKey),
		StartedAt: s.Session.StartedAt, EndedAt: s.Session.EndedAt, Duration: time.Duration(s.Session.DurationMS) * time.Millisecond,
		EndCause: s.Session.EndCause, Warnings: s.Warnings, Tenant: s.Session.Tenant,
		Audio: catalog.Object{
			Key: o.Audio.Key, Version: o.Audio.VersionID, SHA256: o.Audio.SHA256, Size: o.Audio.Size, PlainSHA256: s.Audio.SHA256, PlainSize: s.Audio.Size,
		},
		Sidecar:  catalog.Object{Key: o.Sidecar.Key, Version: o.Sidecar.VersionID, SHA256: o.Sidecar.SHA256, Size: o.Sidecar.Size},
		LockMode: string(s.Class.Lock), QuarantineUntil: t.quarantine, RetainUntil: t.retain,
	}
	for _, g := range s.Gaps {
		if g.unforeseen() {
			row.Gaps.Count++
			row.Gaps.Total += time.Duration(g.DurationMS) * time.Millisecond
		}
	}
	for _, p := range s.Pauses {
		row.Pauses.Count++
		row.Pauses.Total += time.Duration(p.ToMS-p.FromMS) * time.Millisecond
	}
	row.Quality = s.worstQuality()
	w.relate(&row, s)
	if s.Class.Keeps(policy.FieldCallIDs) {
		row.CallIDs = append([]string{s.Session.CallID}, s.Session.CallIDs...)
	}
	people := map[siprec.ParticipantID]catalog.Participant{}
	for _, p := range s.Participants {
		people[p.ID] = keptParticipant(p, &s.Class)
		row.Participants = append(row.Participants, people[p.ID])
	}
	for _, c := range s.Channels {
		row.Channels = append(row.Channels, keptChannel(c, people, s.Session.StartedAt))
	}
	return row
}

// worstQuality takes the worst figure of any channel.
func (s *Sidecar) worstQuality() (worst catalog.Quality) {
	for _, c := range s.Channels {
		q := c.Quality
		if q == nil {
			continue
		}
		if worst.MOS == 0 || q.MOS < worst.MOS {
			worst.MOS = q.MOS
		}
		worst.Loss = max(worst.Loss, q.Loss)
		worst.LongestGap = max(worst.LongestGap, time.Duration(q.LongestGap)*time.Millisecond)
	}
	return worst
}

// keptParticipant is what the class lets the catalog keep of a participant (R47).
func keptParticipant(p Participant, class *policy.Class) catalog.Participant {
	out := catalog.Participant{}
	if class.Keeps(policy.FieldAOR) {
		out.AOR = p.AOR
	}
	if class.Keeps(policy.FieldName) {
		out.Name = p.Name
	}
	if class.Keeps(policy.FieldNumber) {
		out.Number = p.Number
	}
	if class.Keeps(policy.FieldRole) && p.Caller != nil {
		out.Role = "callee"
		if *p.Caller {
			out.Role = "caller"
		}
	}
	return out
}

func keptChannel(c Channel, people map[siprec.ParticipantID]catalog.Participant, start time.Time) catalog.Channel {
	out := catalog.Channel{Index: c.Index, Label: c.Label, Mixed: c.Mixed}
	at := func(ms int64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, p := range c.Participants {
		who := people[p.Participant]
		out.Participants = append(out.Participants, catalog.Presence{AOR: who.AOR, Name: who.Name, From: at(p.FromMS), To: at(p.ToMS)})
	}
	return out
}

// progress indexes a call that is being recorded, so that it can be seen before it is stored.
func (w *words) progress(first journalEntry, channels int) catalog.Recording {
	h := history{entries: []journalEntry{first}}
	plan := media.Plan{Channels: channels, Rate: media.Rate}
	s := h.sidecar(plan)
	h.describe(&s, plan)
	row := w.storedRow(&s, objectData{})
	row.State, row.StartedAt = catalog.StateRecording, utcMS(first.At)
	row.EndedAt, row.EndCause, row.Warnings, row.QuarantineUntil, row.RetainUntil = time.Time{}, "", nil, time.Time{}, time.Time{}
	for i := range row.Channels {
		for j := range row.Channels[i].Participants {
			row.Channels[i].Participants[j].To = time.Time{}
		}
	}
	return row
}

// unrecorded indexes a call that was not recorded: the decision and keyed hashes, no more.
func unrecorded(id string, d decisionData) catalog.Recording {
	row := catalog.Recording{
		ID: id, State: catalog.StateNotRecorded, Class: d.Class, Rule: d.Rule, Reason: d.Reason, Detail: d.Detail,
		PolicyDigest: d.PolicyDigest, SRC: d.SRC, Tenant: d.Tenant, StartedAt: d.At, CallKeyHash: d.CallHash,
		Conversation: d.CallHash, RecordingSession: d.RecordingSession,
	}
	row.Links, row.GroupHash = d.Links, d.Group
	if len(row.Links) == 0 && d.CallHash != "" { // an event of an older version
		row.Links = []string{d.CallHash}
	}
	for _, p := range d.Parties {
		row.Participants = append(row.Participants, catalog.Participant{AOR: p.AOR, Number: p.Number})
	}
	return row
}

// decisionOf is what a row of a call that was not recorded says of the decision: the reverse of unrecorded.
func decisionOf(row catalog.Recording) decisionData {
	d := decisionData{
		Decision: Decision{Class: row.Class, Rule: row.Rule, Reason: row.Reason, Detail: row.Detail, PolicyDigest: row.PolicyDigest, At: row.StartedAt},
		SRC:      row.SRC, Tenant: row.Tenant, CallHash: row.CallKeyHash, RecordingSession: row.RecordingSession, Parties: []partyHash{},
	}
	d.Links, d.Group = row.Links, row.GroupHash
	for _, p := range row.Participants {
		d.Parties = append(d.Parties, partyHash{AOR: p.AOR, Number: p.Number})
	}
	return d
}
