package siprec

import (
	"net/netip"
	"time"
)

// A DialogID names the SIP dialog of a recording session (RFC 3261 section 12).
type DialogID struct {
	CallID    string
	LocalTag  string // ours, the SRS's
	RemoteTag string // the SRC's
}

// An Invitation is what an SRC asks for when it opens a recording session.
type Invitation struct {
	Dialog   DialogID
	SRC      string            // name of the SRC profile that the source matched
	Source   netip.AddrPort    // where the request came from
	Local    netip.Addr        // the address of ours that media should be sent to
	Offer    *Offer            // never nil
	Metadata *Document         // nil when the request carried none
	Headers  map[string]string // header fields that the SRC profile keeps, by canonical name
	At       time.Time         // when the request arrived

	// AnySource tells that the SRC's profile lets media come from addresses that it did not offer.
	AnySource bool
	// Decline is how the SRC is told that a call is not recorded; "" means DeclineInactive.
	Decline Decline
}

// A Decline is how an SRC is told that a call is not recorded.
type Decline string

const (
	DeclineInactive Decline = "inactive" // the streams are answered inactive: the media never leave the SRC
	DeclineAccept   Decline = "accept"   // the streams are accepted as if they were recorded, and discarded on arrival
	DeclineRefuse   Decline = "refuse"   // the INVITE is refused (603); of several calls in one session, the streams (port 0)
)

// A Change is a re-INVITE, UPDATE or INFO inside a recording session: a new offer, new metadata, or both. It is also what the SRC
// answers to a request of ours.
type Change struct {
	Offer    *Offer    // nil when the session description stays as it is
	Metadata *Document // nil when the metadata stays as they are
	At       time.Time

	// Headers are the header fields of the request that the SRC profile keeps, by canonical name. One that is not there is as it was.
	Headers map[string]string

	// Answered tells that Offer answers an offer of ours, m-line by m-line; the Answer to it is not sent. Its labels are those of
	// our m-lines.
	Answered bool

	// Last tells that the request ends the session: End follows at once.
	Last bool
}

// An EndCause says why a recording session ended.
type EndCause string

const (
	EndBye      EndCause = "bye"      // the SRC hung up
	EndCancel   EndCause = "cancel"   // the SRC gave up before the answer was acknowledged
	EndLost     EndCause = "lost"     // the SRC vanished: no ACK, no refresh, no media
	EndDrained  EndCause = "drained"  // we are stopping
	EndFailed   EndCause = "failed"   // we could not go on
	EndRestart  EndCause = "restart"  // found unfinished when the program started
	EndOperator EndCause = "operator" // an operator ended it

	// EndPolicy: the policy records the call no longer, or under another class; it may go on under another id.
	EndPolicy EndCause = "policy"
	// EndConsent: notice or consent is missing, or somebody objected.
	EndConsent EndCause = "consent"
	// EndMark: the mark was set that ends what is to be kept.
	EndMark EndCause = "mark"
	// EndSession: the communication session ended; the recording session goes on.
	EndSession EndCause = "session-ended"
	// EndDeclined: the INVITE was refused, because nothing of it was to be recorded, or not all that was to be could.
	EndDeclined EndCause = "declined"
)
