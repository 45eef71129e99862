package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// ErrNoObjection is returned for an objection that is not on the list.
var ErrNoObjection = errors.New("there is no such objection")

// An Objection is somebody's wish never to be recorded (R23). Its address is not kept: the list has a keyed hash of it.
type Objection struct {
	Address string // a number or an address of record
	Source  policy.SignalSource
	Proof   string // reference of what proves it; may be empty
}

// Check says what is wrong with an objection, without naming anybody.
func (o Objection) Check() error {
	switch {
	case o.Address == "":
		return errors.New("number, aor: whose objection is it?")
	case len(o.Address) > maxAddress:
		return fmt.Errorf("number, aor: at most %d bytes", maxAddress)
	case !slices.Contains(signalSources, o.Source):
		return fmt.Errorf("source: must be one of %v", signalSources)
	case len(o.Proof) > maxProof:
		return fmt.Errorf("proof: at most %d bytes", maxProof)
	}
	return nil
}

// An ObjectionEntry is what the list has of an objection.
type ObjectionEntry struct {
	Hash   string              `json:"hash"` // of the address
	Source policy.SignalSource `json:"source"`
	Proof  string              `json:"proof,omitempty"`
	At     time.Time           `json:"at"`
}

// An objections keeps the list of those who object, and witnesses every change. Remove gives ErrNoObjection for an address that is not
// on it; to add one that is there is no error.
type objections interface {
	Add(ctx context.Context, o Objection, actor string) error
	Remove(ctx context.Context, address, actor string) error
	// List gives at most so many entries in the order of their hashes, from the one behind after on.
	List(ctx context.Context, after string, limit int) ([]ObjectionEntry, error)
}

// maxAddress bounds a number or an address of record, in bytes.
const maxAddress = 256

// somebody is whom a request is about: by number, or by address of record.
type somebody struct {
	Number string `json:"number"`
	AOR    string `json:"aor"`
}

// address gives the one of the two that is there.
func (b somebody) address() (string, error) {
	switch {
	case (b.Number == "") == (b.AOR == ""):
		return "", errors.New("give number or aor, one of them")
	case len(b.Number)+len(b.AOR) > maxAddress:
		return "", fmt.Errorf("number, aor: at most %d bytes", maxAddress)
	case b.Number != "" && siprec.Number(b.Number) == "":
		return "", errors.New("number: is none; write it as +33140000001")
	}
	return b.Number + b.AOR, nil
}

// objections answers a page of the list: {"objections": [...], "next": "cursor of the next page, or empty"}.
func (s *Server) objections(w http.ResponseWriter, r *http.Request) {
	after, limit, err := readPage(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if !s.witness(w, r, eventSearched, "", map[string]any{"of": "objections"}) {
		return
	}
	list, err := s.cfg.Objections.List(r.Context(), after, limit)
	if err != nil {
		s.internal(w, r, err)
		return
	}
	next := ""
	if len(list) == limit {
		next = list[limit-1].Hash
	}
	if list == nil {
		list = []ObjectionEntry{}
	}
	answer(w, map[string]any{"objections": list, "next": next})
}

// readPage reads which part of a list is asked for.
func readPage(v url.Values) (after string, limit int, err error) {
	limit = defaultLimit
	for name, values := range v {
		switch {
		case len(values) > 1:
			return after, limit, fmt.Errorf("%s: given more than once", name)
		case name == "after":
			after = values[0]
		case name == "limit":
			if limit, err = strconv.Atoi(values[0]); err != nil || limit < 1 || limit > maxLimit {
				return after, limit, fmt.Errorf("limit: must be from 1 to %d", maxLimit)
			}
		default:
			return after, limit, fmt.Errorf("%s: no such filter", name)
		}
	}
	return after, limit, nil
}

func (s *Server) object(w http.ResponseWriter, r *http.Request) {
	var body struct {
		somebody
		Source policy.SignalSource `json:"source"`
		Proof  string              `json:"proof"`
	}
	if !read(w, r, &body) {
		return
	}
	address, err := body.address()
	if body.Source == "" {
		body.Source = policy.FromAPI
	}
	o := Objection{Address: address, Source: body.Source, Proof: body.Proof}
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.done(w, r, s.cfg.Objections.Add(r.Context(), o, actor))
}

// withdraw takes an objection off the list.
func (s *Server) withdraw(w http.ResponseWriter, r *http.Request) {
	var body somebody
	if !read(w, r, &body) {
		return
	}
	address, err := body.address()
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	s.done(w, r, s.cfg.Objections.Remove(r.Context(), address, actor))
}
