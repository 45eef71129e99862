package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A CDR is what a telephone system says of a call that has ended, so that a recording that should be there and is not is found (R06).
type CDR struct {
	CallID      string
	Identifiers []string  // others of the same call
	Caller      string    // number or address of record; may be empty
	Callee      string    // likewise
	EndedAt     time.Time // never zero
	Class       string    // that the call should have been recorded under; empty: what the policy says
}

// An expecter looks for the recording of a call, and raises an alarm when none comes in time. A Conflict says why it cannot.
type expecter interface {
	Expect(ctx context.Context, c CDR) error
}

// Bounds of a CDR.
const (
	maxIdentifiers = 16
	maxIdentifier  = 512 // bytes, of any text of a CDR
)

// expect takes a CDR. What follows from it is witnessed by the one who looks for the recording.
func (s *Server) expect(w http.ResponseWriter, r *http.Request) {
	var body struct {
		CallID      string    `json:"call_id"`
		Identifiers []string  `json:"identifiers"`
		Caller      string    `json:"caller"`
		Callee      string    `json:"callee"`
		EndedAt     time.Time `json:"ended_at"`
		Class       string    `json:"class"`
	}
	if !read(w, r, &body) {
		return
	}
	c := CDR(body)
	if err := c.check(); err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.cfg.Expecter.Expect(r.Context(), c); err != nil {
		s.undone(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (c CDR) check() error {
	switch {
	case c.CallID == "" && len(c.Identifiers) == 0:
		return errors.New("call_id: it, or one of identifiers, is needed to find the call")
	case c.EndedAt.IsZero():
		return errors.New("ended_at: when did the call end? write it as 2026-11-23T14:00:00Z")
	case len(c.Identifiers) > maxIdentifiers:
		return fmt.Errorf("identifiers: at most %d", maxIdentifiers)
	}
	for _, text := range append([]string{c.CallID, c.Caller, c.Callee, c.Class}, c.Identifiers...) {
		if len(text) > maxIdentifier {
			return fmt.Errorf("no text of a CDR may be longer than %d bytes", maxIdentifier)
		}
	}
	return nil
}
