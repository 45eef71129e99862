package srs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// What can become of a request of ours.
var (
	// ErrNoDialog is returned for a dialog that is not, or no longer, open.
	ErrNoDialog = errors.New("there is no such dialog")
	// ErrGone says that the client no longer knows the dialog: it answered with 481 or 408 (RFC 3261 section 12.2.1.2). The
	// session goes on here until it is hung up with EndLost.
	ErrGone = errors.New("the client no longer knows the dialog")
	// ErrSilent says that no answer came in time, or that the client could not be reached; to RFC 3261 section 12.2.1.2 it is
	// the same as ErrGone.
	ErrSilent = errors.New("the client did not answer")
	// ErrNotAllowed says that the client does not take such a request: its profile or its Allow header field says so.
	ErrNotAllowed = errors.New("the client does not take this request")
	// ErrChanged says that the client changed its session description meanwhile: answer the new one, and try again.
	ErrChanged = errors.New("the client's session description has changed")

	// errNotTaken says that the client accepted a re-INVITE of ours, and that what it answered is of no use. It is there, and
	// the session is refreshed.
	errNotTaken = errors.New("the client's answer is not taken")
)

// A RequestError is a refusal of a request of ours; the session goes on as it was.
type RequestError struct {
	Method     string
	Status     int           // 300 to 699, but for those that are ErrGone
	RetryAfter time.Duration // what the client asks us to wait; 0 when it says nothing
}

func (e *RequestError) Error() string {
	return fmt.Sprintf("%s was answered with %d", e.Method, e.Status)
}

// outcome turns a final answer into an error; nil for 2xx.
func outcome(method sip.RequestMethod, res *sip.Response) error {
	switch {
	case res.StatusCode < 300:
		return nil
	case res.StatusCode == 481 || res.StatusCode == 408:
		return fmt.Errorf("%s was answered with %d: %w", method, res.StatusCode, ErrGone)
	}
	return &RequestError{Method: string(method), Status: res.StatusCode, RetryAfter: retryAfter(res)}
}

// refusedWith tells whether an error is a refusal with one of the statuses.
func refusedWith(err error, statuses ...int) bool {
	var r *RequestError
	if !errors.As(err, &r) {
		return false
	}
	for _, s := range statuses {
		if r.Status == s {
			return true
		}
	}
	return false
}

// retryAfter reads Retry-After (RFC 3261 section 20.33): seconds, and perhaps a comment and parameters.
func retryAfter(res *sip.Response) time.Duration {
	for _, h := range res.GetHeaders("retry-after") {
		v := h.Value()
		if i := strings.IndexAny(v, "(; \t"); i >= 0 {
			v = v[:i]
		}
		if n, err := strconv.ParseUint(v, 10, 31); err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

// silence explains why no answer came: the caller's context ended, or the client is to blame.
func silence(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	case err == nil || errors.Is(err, context.DeadlineExceeded):
		return ErrSilent
	}
	return fmt.Errorf("%w: %w", ErrSilent, err)
}
