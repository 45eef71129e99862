package siprec

import (
	"bytes"
	"slices"
	"strings"
)

// ParseMetadata reads an rs-metadata document in any known dialect: RFC 7865 in its final and draft namespaces, and the earlier
// drafts that are still in use. A document that is not well-formed gives what could be read of it, with WarnIllFormed. The error,
// a *Refusal of kind Malformed, comes when nothing at all could be read or a limit is passed.
func ParseMetadata(b []byte) (*Document, error) {
	if len(b) > MaxMetadataBytes {
		return nil, tooMuch("bytes in the metadata", MaxMetadataBytes)
	}
	text, encoded := toUTF8(b)
	root, ill, err := readXML(text)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, malformed("the metadata are not XML: there is no element in them")
	}
	r := documentReader{doc: &Document{DataMode: Complete, Raw: bytes.Clone(b)}, root: root}
	if ill || !encoded {
		r.warn(WarnIllFormed)
	}
	known := fold(root.name) == "recording" || fold(root.name) == "recordingmetadata"
	if !known {
		r.warn(WarnUnknownRoot)
	}
	if isOtherVersion(root.space) {
		r.warn(WarnUnknownVersion)
	}
	if err := r.read(); err != nil {
		return nil, err
	}
	d := r.doc
	if !known && len(d.Sessions) == 0 && len(d.Participants) == 0 && len(d.Streams) == 0 {
		return nil, malformed("not recording metadata: the root element is %s", clip(root.name))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	markCallers(d)
	return d, nil
}

// isCoreName tells whether a local name is one that recording metadata define.
func isCoreName(local string) bool {
	switch fold(local) {
	case "recording", "recordingmetadata", "datamode", "group", "session", "participant", "stream",
		"sessionrecordingassoc", "participantsessionassoc", "participantstreamassoc", "extensiondata",
		"nameid", "name", "aor", "send", "recv", "id", "label", "mode", "sipsessionid", "groupref",
		"starttime", "stoptime", "associatetime", "disassociatetime", "reason", "param":
		return true
	}
	return false
}

// A documentReader turns elements into a Document.
type documentReader struct {
	doc  *Document
	root *element
}

func (r *documentReader) warn(w Warning) { r.doc.Warnings = addWarning(r.doc.Warnings, w) }

// core gives the element's name folded when it is of the recording vocabulary, and "" when it is an extension. A prefix that
// was never declared, or no namespace at all, is taken as the recording's.
func (r *documentReader) core(e *element) string {
	if e.space != "" && e.space != r.root.space && !strings.Contains(e.space, ":ns:recording") && !strings.Contains(e.space, ":ns:siprec") {
		return ""
	}
	return fold(e.name)
}

func (r *documentReader) read() error {
	d := r.doc
	for _, a := range r.root.attrs {
		r.extension("", "@"+a.name, a.value)
	}
	for _, e := range r.root.children {
		switch r.core(e) {
		case "datamode":
			switch mode := strings.ToLower(e.content()); mode {
			case "partial":
				d.DataMode = Partial
			case "", "complete":
			default:
				r.warn(WarnUnknownDataMode)
			}
		case "group":
			r.group(e)
		case "session":
			r.session(e)
		case "participant":
			r.participant(e)
		case "stream":
			r.stream(e)
		case "sessionrecordingassoc":
			r.sessionRecording(e)
		case "participantsessionassoc":
			r.participantSession(e)
		case "participantstreamassoc":
			r.participantStream(e)
		default:
			r.extend("", "", e)
		}
	}
	return r.limits()
}

// limits refuses documents with too much of anything. The count of elements bounds what was built before.
func (r *documentReader) limits() error {
	d := r.doc
	for _, l := range []struct {
		what         string
		count, limit int
	}{
		{"groups in the metadata", len(d.Groups), MaxSessions},
		{"sessions in the metadata", len(d.Sessions), MaxSessions},
		{"participants in the metadata", len(d.Participants), MaxParticipants},
		{"streams in the metadata", len(d.Streams), MaxStreams},
		{"session associations in the metadata", len(d.SessionRecordings), MaxAssociations},
		{"participant associations in the metadata", len(d.ParticipantSessions), MaxAssociations},
		{"stream associations in the metadata", len(d.ParticipantStreams), MaxAssociations},
		{"extension values in the metadata", len(d.Extensions), MaxExtensions},
	} {
		if l.count > l.limit {
			return tooMuch(l.what, l.limit)
		}
	}
	for _, s := range d.Sessions {
		if len(s.SIPSessionIDs) > MaxSIPSessionIDs {
			return tooMuch("SIP session identifiers of one session in the metadata", MaxSIPSessionIDs)
		}
		if len(s.Reasons) > MaxReasons {
			return tooMuch("reasons of one session in the metadata", MaxReasons)
		}
	}
	for _, p := range d.Participants {
		if len(p.Names) > MaxNames {
			return tooMuch("names of one participant in the metadata", MaxNames)
		}
		if max(len(p.Send), len(p.Recv)) > MaxAssociations {
			return tooMuch("stream references of one participant in the metadata", MaxAssociations)
		}
	}
	for _, a := range d.ParticipantSessions {
		if len(a.Features) > MaxFeatures {
			return tooMuch("features of one association in the metadata", MaxFeatures)
		}
	}
	for _, a := range d.ParticipantStreams {
		if max(len(a.Send), len(a.Recv)) > MaxAssociations {
			return tooMuch("stream references of one association in the metadata", MaxAssociations)
		}
	}
	return nil
}

// check joins duplicates and warns of what is missing or refers to nothing.
func (r *documentReader) check() error {
	d := r.doc
	d.Groups = r.unique(d.Groups)
	d.Sessions = uniqueBy(d.Sessions, func(s Session) SessionID { return s.ID }, func() { r.warn(WarnDuplicateSession) })
	d.Streams = uniqueBy(d.Streams, func(s Stream) StreamID { return s.ID }, func() { r.warn(WarnDuplicateStream) })
	if err := r.joinParticipants(); err != nil {
		return err
	}
	r.checkIDs()
	for _, s := range d.Streams {
		if s.Label == "" && s.Disassociate.Raw == "" {
			r.warn(WarnStreamWithoutLabel)
		}
	}
	if d.DataMode == Partial {
		return nil // may refer to what earlier documents described
	}
	r.checkReferences()
	if len(d.Streams) == 0 && len(d.Sessions)+len(d.Participants) > 0 {
		r.warn(WarnNoStreams)
	}
	if len(d.Streams) > 0 && len(d.Participants) > 0 && len(d.ParticipantStreams) == 0 &&
		!slices.ContainsFunc(d.Participants, func(p Participant) bool { return len(p.Send)+len(p.Recv) > 0 }) {
		r.warn(WarnNoSenders)
	}
	return nil
}

func (r *documentReader) unique(groups []Group) []Group {
	return uniqueBy(groups, func(g Group) GroupID { return g.ID }, func() { r.warn(WarnDuplicateSession) })
}

// uniqueBy keeps the first of the elements that have one id. Elements without id are told apart by nothing, and all kept.
func uniqueBy[T any, ID ~string](list []T, id func(T) ID, duplicate func()) []T {
	seen := map[ID]bool{}
	return slices.DeleteFunc(list, func(x T) bool {
		twice := id(x) != "" && seen[id(x)]
		seen[id(x)] = true
		if twice {
			duplicate()
		}
		return twice
	})
}

// joinParticipants gives participants of one identifier one entry with the names of all: which of them is meant is not known.
func (r *documentReader) joinParticipants() error {
	at := map[ParticipantID]int{}
	var joined []Participant
	for _, p := range r.doc.Participants {
		i, twice := at[p.ID]
		if !twice {
			at[p.ID] = len(joined)
			joined = append(joined, p)
			continue
		}
		r.warn(WarnDuplicateParticipant)
		q := &joined[i]
		q.Names = addNames(q.Names, p.Names...)
		q.Send, q.Recv = addNew(q.Send, p.Send...), addNew(q.Recv, p.Recv...)
		if q.Session == "" {
			q.Session = p.Session
		}
		if q.Disassociate.Raw != "" && p.Disassociate.Raw == "" {
			q.Associate, q.Disassociate = p.Associate, p.Disassociate
		}
		if len(q.Names) > MaxNames {
			return tooMuch("names of one participant in the metadata", MaxNames)
		}
	}
	r.doc.Participants = joined
	return nil
}

// checkReferences warns of references to what a complete document does not describe.
func (r *documentReader) checkReferences() {
	d := r.doc
	participants, streams := map[ParticipantID]bool{}, map[StreamID]bool{}
	for _, p := range d.Participants {
		participants[p.ID] = true
	}
	for _, s := range d.Streams {
		streams[s.ID] = true
	}
	stream := func(lists ...[]StreamID) {
		for _, id := range slices.Concat(lists...) {
			if !streams[id] {
				r.warn(WarnDanglingStream)
			}
		}
	}
	for _, p := range d.Participants {
		stream(p.Send, p.Recv)
	}
	for _, a := range d.ParticipantStreams {
		stream(a.Send, a.Recv)
		if !participants[a.Participant] {
			r.warn(WarnDanglingParticipant)
		}
	}
	for _, a := range d.ParticipantSessions {
		if !participants[a.Participant] {
			r.warn(WarnDanglingParticipant)
		}
	}
}

// addNew adds what is not in the list yet.
func addNew[T comparable](list []T, more ...T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}
