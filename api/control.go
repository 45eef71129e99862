package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/greffier/greffier/policy"
)

// ErrNoCall is returned for a call that does not go on, or never did.
var ErrNoCall = errors.New("no such call goes on")

// A Conflict is an error: what was asked for does not fit what there is. Its text is the answer, and names nobody.
type Conflict string

func (c Conflict) Error() string { return string(c) }

// A controller acts on calls that go on. Each deed is witnessed by it, with the actor. Its errors are ErrNoCall, a Conflict, or such as
// nobody outside is told. What is as it should be already is no error.
type controller interface {
	Pause(ctx context.Context, id string, reason policy.PauseReason, actor string) error
	Resume(ctx context.Context, id, actor string) error
	// Mark begins what is to be kept of a call, or ends it.
	Mark(ctx context.Context, id string, begin bool, actor string) error
	Signal(ctx context.Context, id string, signal policy.Signal, actor string) (policy.Verdict, error)
}

// pauseReasons are those that may be given.
var pauseReasons = []policy.PauseReason{policy.PausePayment, policy.PauseHealth, policy.PausePrivate, policy.PauseOther}

func (s *Server) pause(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Reason policy.PauseReason `json:"reason"`
	}
	if !read(w, r, &body) {
		return
	}
	if !slices.Contains(pauseReasons, body.Reason) {
		fail(w, http.StatusBadRequest, fmt.Sprintf("reason: must be one of %v", pauseReasons))
		return
	}
	s.done(w, r, s.cfg.Control.Pause(r.Context(), r.PathValue("id"), body.Reason, actor))
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	if read(w, r, &struct{}{}) {
		s.done(w, r, s.cfg.Control.Resume(r.Context(), r.PathValue("id"), actor))
	}
}

func (s *Server) mark(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Mark string `json:"mark"`
	}
	if !read(w, r, &body) {
		return
	}
	if body.Mark != "start" && body.Mark != "end" {
		fail(w, http.StatusBadRequest, "mark: must be start or end")
		return
	}
	s.done(w, r, s.cfg.Control.Mark(r.Context(), r.PathValue("id"), body.Mark == "start", actor))
}

// signalSources are those that a client may name: the others are the server's own to say.
var signalSources = []policy.SignalSource{policy.FromAPI, policy.FromOperator, policy.FromAgreement}

// maxProof bounds the text that names a proof, in bytes.
const maxProof = 1024

// A signalAnswer tells what follows from what somebody said.
type signalAnswer struct {
	Action policy.Action        `json:"action"`
	Reason policy.VerdictReason `json:"reason"`
	Answer string               `json:"answer,omitempty"` // to be told to somebody who objected in vain
}

func (s *Server) consent(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Party  string              `json:"party"`
		Kind   policy.SignalKind   `json:"kind"`
		Proof  string              `json:"proof"`
		Source policy.SignalSource `json:"source"`
	}
	if !read(w, r, &body) {
		return
	}
	if body.Source == "" {
		body.Source = policy.FromAPI
	}
	signal := policy.Signal{Party: body.Party, Kind: body.Kind, Source: body.Source, Proof: body.Proof, At: s.cfg.Clock()}
	err := signal.Check()
	switch {
	case err == nil && !slices.Contains(signalSources, signal.Source):
		err = fmt.Errorf("source: must be one of %v", signalSources)
	case err == nil && len(signal.Proof) > maxProof:
		err = fmt.Errorf("proof: at most %d bytes", maxProof)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	v, err := s.cfg.Control.Signal(r.Context(), r.PathValue("id"), signal, actor)
	if err != nil {
		s.undone(w, r, err)
		return
	}
	answer(w, signalAnswer{v.Action, v.Reason, v.Answer})
}

// privateProof is the proof of an objection by which somebody takes a private call off the record.
const privateProof = "private call"

// private takes a call off the record (R44): an objection of everybody in it. It does not work where a text obliges to record, and
// then the answer says so.
func (s *Server) private(w http.ResponseWriter, r *http.Request) {
	if !read(w, r, &struct{}{}) {
		return
	}
	signal := policy.Signal{Kind: policy.SignalObjected, Source: policy.FromAPI, Proof: privateProof, At: s.cfg.Clock()}
	v, err := s.cfg.Control.Signal(r.Context(), r.PathValue("id"), signal, actor)
	if err != nil {
		s.undone(w, r, err)
		return
	}
	answer(w, struct {
		Applicable bool `json:"applicable"`
		signalAnswer
	}{v.Action != policy.KeepAudio, signalAnswer{v.Action, v.Reason, v.Answer}})
}

// done answers for a deed.
func (s *Server) done(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		s.undone(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// undone answers for a deed that could not be done.
func (s *Server) undone(w http.ResponseWriter, r *http.Request, err error) {
	var conflict Conflict
	switch {
	case errors.Is(err, ErrNoCall), errors.Is(err, ErrNoObjection):
		fail(w, http.StatusNotFound, err.Error())
	case errors.As(err, &conflict):
		fail(w, http.StatusConflict, conflict.Error())
	default:
		s.internal(w, r, err)
	}
}
