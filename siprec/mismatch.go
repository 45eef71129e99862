package siprec

import (
	"maps"
	"slices"
)

// Warnings of how the metadata and the session description fit together. None of them keeps anything from being recorded.
const (
	// WarnNoMetadata: no document describes any session, participant or stream.
	WarnNoMetadata Warning = "no-metadata"
	// WarnLabelNotOffered: a stream has a label that no m-line has; RFC 7865 section 6.7.1 allows it.
	WarnLabelNotOffered Warning = "label-not-offered"
	// WarnLabelUnclaimed: no stream has the label of an m-line, so that nobody can be named on its channel.
	WarnLabelUnclaimed Warning = "label-unclaimed"
	// WarnLabelDoubled: two m-lines have one label (RFC 4574 section 4 forbids it); the second is known by its position.
	WarnLabelDoubled Warning = "label-doubled"
	// WarnLabelMissing: an m-line has no label (RFC 7866 section 7.1.1 demands one); it is known by its position.
	WarnLabelMissing Warning = "label-missing"
	// WarnLabelShared: several streams in use at one time have one label.
	WarnLabelShared Warning = "label-shared"
	// WarnAmbiguousSenders: several participants send one stream at one time, and the SRC does not call it mixed: who is heard on
	// the channel cannot be told.
	WarnAmbiguousSenders Warning = "ambiguous-senders"
	// WarnParticipantWithoutStreams: a participant neither sent nor received any stream.
	WarnParticipantWithoutStreams Warning = "participant-without-streams"
)

// Warnings lists the name of every warning about metadata.
func Warnings() []Warning {
	return []Warning{
		WarnIllFormed, WarnUnknownRoot, WarnUnknownDataMode, WarnMissingID, WarnDuplicateParticipant, WarnDuplicateStream,
		WarnDuplicateSession, WarnDanglingStream, WarnDanglingParticipant, WarnStreamWithoutLabel, WarnTimeWithoutZone, WarnBadTime,
		WarnNoStreams, WarnNoSenders, WarnUnknownVersion, WarnSharedID, WarnUnreadable, WarnTooMany,
		WarnNoMetadata, WarnLabelNotOffered, WarnLabelUnclaimed, WarnLabelDoubled, WarnLabelMissing, WarnLabelShared, WarnAmbiguousSenders,
		WarnParticipantWithoutStreams,
	}
}

// Mismatches compares the state of the metadata with a session description, nil when there is none, and names what does not fit, each once and in the order of
// Warnings. Metadata that describe nothing give WarnNoMetadata, and nothing of what follows from it. Neither is changed.
func Mismatches(meta *Metadata, offer *Offer) []Warning {
	var m Matching
	m.Offer(offer)
	m.Metadata(meta)
	return m.Warnings()
}

// A Matching compares everything that a recording session's metadata ever said with all of its session descriptions. A mismatch that
// heals is none: metadata may come after the description, and a participant's streams after the participant. The zero value is that of a
// session without either.
type Matching struct {
	offered   map[Label]bool
	unclaimed map[Label]bool // labels of m-lines in use
	claimed   map[Label]bool
	idle      map[ParticipantID]bool // true: has never had a stream
	found     map[Warning]bool
	described bool // there were metadata
	compared  bool // there was a session description
}

// Offer adds a session description. Nil adds nothing.
func (m *Matching) Offer(o *Offer) {
	if o == nil {
		return
	}
	m.compared = true
	seen := map[Label]bool{}
	for _, line := range o.Media {
		switch {
		case line.Label == "" && line.Port != 0:
			m.find(WarnLabelMissing)
			continue
		case line.Label == "":
			continue
		case seen[line.Label]:
			m.find(WarnLabelDoubled)
		}
		seen[line.Label] = true
		set(&m.offered, line.Label, true)
		if line.Port != 0 {
			set(&m.unclaimed, line.Label, true)
		}
	}
}

// Metadata adds the state after a document.
func (m *Matching) Metadata(meta *Metadata) {
	if len(meta.Sessions)+len(meta.Participants)+len(meta.Streams) == 0 {
		return
	}
	m.described = true
	mixed, label := map[Label]bool{}, map[StreamID]Label{}
	for _, s := range meta.Streams {
		if s.Label == "" {
			continue
		}
		set(&m.claimed, s.Label, true)
		mixed[s.Label] = mixed[s.Label] || s.Mixed
		label[s.ID] = s.Label
	}
	senders, sharing := map[Label]int{}, map[Label]StreamID{}
	for _, p := range meta.Presences {
		if p.To.IsZero() {
			senders[p.Label]++
		}
		if senders[p.Label] > 1 && !mixed[p.Label] {
			m.find(WarnAmbiguousSenders)
		}
	}
	for _, member := range meta.Members {
		streams := slices.Concat(member.Send, member.Recv)
		for _, id := range streams {
			l := label[id]
			if first, known := sharing[l]; known && first != id && l != "" {
				m.find(WarnLabelShared)
			}
			sharing[l] = id
		}
		if idle, known := m.idle[member.Participant]; !known || idle {
			set(&m.idle, member.Participant, len(streams) == 0)
		}
	}
}

// Warnings names what does not fit so far, each once, in the order of the function Warnings.
func (m *Matching) Warnings() []Warning {
	found := maps.Clone(m.found)
	if found == nil {
		found = map[Warning]bool{}
	}
	if m.described {
		for l := range m.claimed {
			found[WarnLabelNotOffered] = found[WarnLabelNotOffered] || m.compared && !m.offered[l]
		}
		for l := range m.unclaimed {
			found[WarnLabelUnclaimed] = found[WarnLabelUnclaimed] || !m.claimed[l]
		}
		for _, idle := range m.idle {
			found[WarnParticipantWithoutStreams] = found[WarnParticipantWithoutStreams] || idle
		}
	} else {
		found[WarnNoMetadata] = true
	}
	var out []Warning
	for _, w := range Warnings() {
		if found[w] {
			out = append(out, w)
		}
	}
	return out
}

func (m *Matching) find(w Warning) { set(&m.found, w, true) }

// set puts a value into a map that may not be there yet.
func set[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}
