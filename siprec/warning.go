package siprec

import "slices"

// A Warning names something in a document that is out of order but does not stop the recording.
type Warning string

const (
	// WarnIllFormed: the document is not well-formed XML; what could be read was read.
	WarnIllFormed Warning = "ill-formed"
	// WarnUnknownRoot: the root element is none that any dialect uses.
	WarnUnknownRoot Warning = "unknown-root"
	// WarnUnknownDataMode: datamode is neither complete nor partial; it was taken as complete.
	WarnUnknownDataMode Warning = "unknown-datamode"
	// WarnMissingID: an element has no identifier.
	WarnMissingID Warning = "missing-id"
	// WarnDuplicateParticipant: two participants have one identifier; their names were joined.
	WarnDuplicateParticipant Warning = "duplicate-participant"
	// WarnDuplicateStream: two streams have one identifier; the first counts.
	WarnDuplicateStream Warning = "duplicate-stream"
	// WarnDuplicateSession: two sessions, or two groups, have one identifier; the first counts.
	WarnDuplicateSession Warning = "duplicate-session"
	// WarnDanglingStream: something refers to a stream that nothing describes.
	WarnDanglingStream Warning = "dangling-stream-ref"
	// WarnDanglingParticipant: an association refers to a participant that nothing describes.
	WarnDanglingParticipant Warning = "dangling-participant-ref"
	// WarnStreamWithoutLabel: a stream cannot be matched with the session description.
	WarnStreamWithoutLabel Warning = "stream-without-label"
	// WarnTimeWithoutZone: a time tells no zone, so that it cannot be used.
	WarnTimeWithoutZone Warning = "time-without-zone"
	// WarnBadTime: a time cannot be read.
	WarnBadTime Warning = "unreadable-time"
	// WarnNoStreams: a complete document has sessions or participants, and no streams.
	WarnNoStreams Warning = "no-streams"
	// WarnNoSenders: a complete document has participants and streams, and never says who sends which. Nobody is assumed.
	WarnNoSenders Warning = "no-senders"
	// WarnUnknownVersion: the namespace is that of a later version than 1 (RFC 7865 section 6.11); it was read as version 1.
	WarnUnknownVersion Warning = "unknown-version"
	// WarnSharedID: one identifier stands for two elements of different kinds, which RFC 7865 section 6.10 forbids. Each was read as
	// what it is.
	WarnSharedID Warning = "shared-id"
	// WarnUnreadable: a document could not be read at all. This package gives a *Refusal instead; callers that go on name it so.
	WarnUnreadable Warning = "metadata-unreadable"
	// WarnTooMany: the recording session is over a limit of what is remembered; what came later was left out.
	WarnTooMany Warning = "too-many"
)

// addWarning adds w unless it is there.
func addWarning(list []Warning, w Warning) []Warning {
	if slices.Contains(list, w) {
		return list
	}
	return append(list[:len(list):len(list)], w)
}
