package siprec

import (
	"fmt"
	"time"
)

// A RefusalKind says, in words that do not depend on SIP, why a request was not accepted.
type RefusalKind string

const (
	Malformed     RefusalKind = "malformed"      // 400: the request cannot be read
	UnknownSource RefusalKind = "unknown_source" // 403: no SRC profile matches
	Unsupported   RefusalKind = "unsupported"    // 420: it requires an extension that we lack
	NoMedia       RefusalKind = "no_media"       // 488: nothing in the offer that we can record
	Unavailable   RefusalKind = "unavailable"    // 503: draining, or out of ports, disk or sessions
	Declined      RefusalKind = "declined"       // 603: nothing of it is to be recorded, here or by any recorder with the same policy
	Internal      RefusalKind = "internal"       // 500: ours
)

// A Refusal is an error that says which SIP answer it leads to.
type Refusal struct {
	Kind       RefusalKind
	Reason     string        // short, safe to show to the SRC: what is wrong, and what to do
	RetryAfter time.Duration // for Unavailable; zero means the server's default
	Cause      string        // for Unavailable, one word for metrics: which limit or state it was; may be empty
	Err        error         // the cause, for our log only; may be nil
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return fmt.Sprintf("%s: %s: %v", r.Kind, r.Reason, r.Err)
	}
	return fmt.Sprintf("%s: %s", r.Kind, r.Reason)
}

func (r *Refusal) Unwrap() error { return r.Err }

// malformed makes the Refusal of what cannot be read. The reason says what is wrong in words that the SRC may see.
func malformed(format string, args ...any) *Refusal {
	return &Refusal{Kind: Malformed, Reason: fmt.Sprintf(format, args...)}
}

// tooMuch makes the Refusal of what is over a limit.
func tooMuch(what string, limit int) *Refusal {
	return malformed("%s: more than the limit of %d", what, limit)
}

// clip shortens text from the wire for use in a reason.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "..."
	}
	return fmt.Sprintf("%q", s)
}
