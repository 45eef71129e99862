package recorder

import (
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// hashPrefix marks a keyed hash where a name or number would stand.
const hashPrefix = "hash:"

// terms are the instants that a class means for one recording.
type terms struct {
	quarantine time.Time // may not be locked before
	retain     time.Time // locked until, and kept no longer
}

// termsOf computes a recording's terms from its sidecar alone, so that a rebuild finds the same.
func termsOf(s *Sidecar) terms {
	end := s.Session.EndedAt
	return terms{quarantine: wholeSecond(s.Class.QuarantineUntil(end)), retain: wholeSecond(s.Class.Until(end))}
}

// wholeSecond rounds up: object locks know whole seconds, and none may end early.
func wholeSecond(t time.Time) time.Time {
	if s := t.Truncate(time.Second); !s.Equal(t) {
		return s.Add(time.Second).UTC()
	}
	return t.UTC()
}

// storedRow indexes a recording that is in the store. It is made of the sidecar and the objects alone.
func storedRow(s *Sidecar, o objectData) catalog.Recording {
	t := termsOf(s)
	row := catalog.Recording{
		ID: s.ID, State: catalog.Stored, Class: s.Class.Name, Rule: s.Decision.Rule, Reason: s.Decision.Reason,
		Detail: s.Decision.Detail, PolicyDigest: s.Decision.PolicyDigest, SRC: s.Session.SRC,
		StartedAt: s.Session.StartedAt, EndedAt: s.Session.EndedAt, DurationMS: s.Session.DurationMS,
		EndCause: string(s.Session.EndCause), Warnings: s.Warnings, Gaps: len(s.Gaps), Pauses: len(s.Pauses),
		AudioKey: o.Audio.Key, AudioVersion: o.Audio.VersionID, AudioSHA256: s.Audio.SHA256, AudioSealedSHA256: o.Audio.SHA256, AudioSize: o.Audio.Size,
		SidecarKey: o.Sidecar.Key, SidecarVersion: o.Sidecar.VersionID, SidecarSealedSHA256: o.Sidecar.SHA256,
		LockMode: string(s.Class.Lock), QuarantineUntil: t.quarantine, RetainUntil: t.retain,
	}
	for _, g := range s.Gaps {
		row.GapMS += int64(g.DurationMS)
	}
	if s.Class.Keeps(policy.FieldCallIDs) {
		row.CallIDs = append([]string{s.Session.CallID}, s.Session.CallIDs...)
	}
	for _, p := range s.Participants {
		row.Participants = append(row.Participants, keptParticipant(p, &s.Class))
	}
	for _, c := range s.Channels {
		ch := catalog.Channel{Index: c.Index, Label: string(c.Label), Mixed: c.Mixed}
		for _, p := range c.Participants {
			ch.Participants = append(ch.Participants, string(p.Participant))
		}
		row.Channels = append(row.Channels, ch)
	}
	return row
}

// keptParticipant is what the class lets the catalog keep of a participant (R47).
func keptParticipant(p Participant, class *policy.Class) catalog.Participant {
	out := catalog.Participant{ID: string(p.ID)}
	if class.Keeps(policy.FieldAOR) {
		out.AOR = p.AOR
	}
	if class.Keeps(policy.FieldName) {
		out.Name = p.Name
	}
	if class.Keeps(policy.FieldNumber) {
		out.Number = p.Number
	}
	return out
}

// progress indexes a call that is being recorded, so that it can be seen before it is stored.
func (r *Recorder) progress(c *call, in siprec.Invitation, key string, first journalEntry) catalog.Recording {
	h := history{entries: []journalEntry{first}}
	s := h.sidecar(media.Plan{Channels: len(c.channel), Rate: 8000})
	row := storedRow(&s, objectData{})
	row.State, row.EndedAt, row.EndCause, row.Warnings = catalog.InProgress, time.Time{}, "", nil
	row.StartedAt = utcMS(in.At)
	return row
}

// unrecorded indexes a call that was not recorded: the decision and keyed hashes, no more.
func unrecorded(id string, d decisionData) catalog.Recording {
	row := catalog.Recording{
		ID: id, State: catalog.NotRecorded, Class: d.Class, Rule: d.Rule, Reason: d.Reason, Detail: d.Detail,
		PolicyDigest: d.PolicyDigest, SRC: d.SRC, StartedAt: d.At, CallIDs: []string{hashPrefix + d.CallHash},
	}
	for _, p := range d.PartyHashes {
		row.Participants = append(row.Participants, catalog.Participant{AOR: hashPrefix + p})
	}
	return row
}
