package recorder

// A DestroyReason says why a recording was destroyed, or that its term ended. It stands in the audit log and in the catalog.
type DestroyReason string

// Why recordings end.
const (
	DestroyedObjected   DestroyReason = "objected"      // somebody objected, and the class destroys then
	DestroyedNoNotice   DestroyReason = "no_notice"     // somebody was not informed in time
	DestroyedNoConsent  DestroyReason = "no_consent"    // somebody did not consent in time
	DestroyedQuotaOver  DestroyReason = "quota_over"    // another call has its place
	DestroyedProof      DestroyReason = "proof_written" // the contract is proven otherwise (R36)
	DestroyedRedacted   DestroyReason = "redacted"      // another recording, without a span, has its place (R09)
	DestroyedErased     DestroyReason = "erased"        // on request, by two persons (GDPR Art. 17)
	DestroyedExpired    DestroyReason = "expired"       // its term is over
	destroyedUnfinished DestroyReason = "unfinished"    // a redaction that did not come to its end: what it made
)

// Events of what becomes of a recording after the call. docs/formats.md lists them with their data.
const (
	EventDestroyed       = "recording.destroyed"
	EventExpired         = "recording.expired"
	EventSwept           = "recording.swept" // the bytes of what is expired left the store
	EventReleased        = "recording.released"
	EventRedacted        = "recording.redacted"
	EventAnalysisWritten = "analysis.written"
	EventAnalysisExpired = "analysis.expired"
	EventShredded        = "recording.shredded" // erased on request: the key
	EventErased          = "recording.erased"   // and the bytes
	EventRestricted      = "recording.restricted"
	EventUnrestricted    = "recording.unrestricted"

	EventErasureRequested = "erasure.requested"
	EventErasureApproved  = "erasure.approved"
	EventErasureRefused   = "erasure.refused"

	EventHoldPlaced   = "hold.placed"   // of a recording, or, without a subject, of the hold itself
	EventHoldReleased = "hold.released" // likewise
)

// destroyedData is the data of EventDestroyed.
type destroyedData struct {
	Reason DestroyReason `json:"reason"`
	Why    string        `json:"why,omitempty"`  // in the words of who asked for it
	Left   bool          `json:"left,omitempty"` // of done: bytes stay that the store still locks, and nobody can read them
}
