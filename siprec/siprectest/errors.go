package siprectest

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrTimeout is in the chain of the error when the SRS did not answer a request in time (RFC 3261 timers B and F).
	ErrTimeout = errors.New("no answer from the recording server: check its address, port and transport")
	// ErrClosed is in the chain of the error when the Client was closed meanwhile.
	ErrClosed = errors.New("client is closed")
	// ErrEnded is in the chain of the error when the recording session had already ended.
	ErrEnded = errors.New("recording session has ended")
	// ErrNoStream is in the chain of the error when a label names no stream of the call.
	ErrNoStream = errors.New("no stream has this label")
)

// A ResponseError is a final answer outside 2xx.
type ResponseError struct {
	Method     string
	Status     int    // 300 to 699
	Reason     string // reason phrase of the status line
	RetryAfter time.Duration
	Warning    string   // Warning header field, as it came
	Requires   []string // Unsupported header field's option tags, with 420
}

func (e *ResponseError) Error() string {
	s := fmt.Sprintf("%s answered %d %s", e.Method, e.Status, e.Reason)
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (retry after %v)", e.RetryAfter)
	}
	if e.Warning != "" {
		s += ": " + e.Warning
	}
	return s
}

// Status gives the SIP status in the error's chain, or 0.
func Status(err error) int {
	if r := (*ResponseError)(nil); errors.As(err, &r) {
		return r.Status
	}
	return 0
}
