package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// A CallState says what is happening to a call that goes on.
type CallState string

// The states of calls that go on.
const (
	CallRecording   CallState = "recording"    // what is said is kept
	CallHeld        CallState = "held"         // in memory only, until notice or consent comes
	CallPaused      CallState = "paused"       // recorded, and nothing is heard now
	CallWaiting     CallState = "waiting"      // nothing is kept until a fact, notice, consent or mark comes
	CallNotRecorded CallState = "not_recorded" // nothing is kept
)

// CallStates lists the states.
func CallStates() []CallState {
	return []CallState{CallRecording, CallHeld, CallPaused, CallWaiting, CallNotRecorded}
}

// A Call is a call that goes on.
type Call struct {
	ID               string      `json:"id"` // of the recording, also where there is none
	RecordingSession string      `json:"recording_session"`
	SRC              string      `json:"src"`
	Tenant           string      `json:"tenant,omitempty"`
	State            CallState   `json:"state"`
	Class            string      `json:"class,omitempty"`
	Rule             string      `json:"rule,omitempty"`
	Reason           string      `json:"reason"`           // of the decision
	Paused           string      `json:"paused,omitempty"` // why
	StartedAt        time.Time   `json:"started_at"`
	CallIDs          []string    `json:"call_ids"`
	Parties          []CallParty `json:"parties"`
}

// A CallParty is somebody in a call that goes on.
type CallParty struct {
	ID       string              `json:"id"` // as a signal of consent names them
	AOR      string              `json:"aor,omitempty"`
	Name     string              `json:"name,omitempty"`
	Number   string              `json:"number,omitempty"`
	Internal bool                `json:"internal"`
	Consent  policy.ConsentState `json:"consent,omitempty"`
}

// A live lists the calls that go on, the oldest first.
type live interface {
	Live() []Call
}

// watchFor is how long one event stands for the answers to somebody who watches the calls, and asks again and again.
const watchFor = time.Minute

// A callFilter says which calls are asked for.
type callFilter struct {
	callID, number, party, class string
	state                        CallState
	watch                        bool
}

// readCallFilter reads the filters. Every unknown or unreadable one is an error: a filter that is ignored finds too much.
func readCallFilter(v url.Values) (f callFilter, err error) {
	for name, values := range v {
		value := values[0]
		if len(values) > 1 {
			return f, fmt.Errorf("%s: given more than once", name)
		}
		switch name {
		case "call_id":
			f.callID = value
		case "number":
			if f.number = value; value != "" && !strings.ContainsAny(value, "0123456789") {
				err = errors.New("has no digits")
			}
		case "party":
			f.party = strings.ToLower(value)
		case "class":
			f.class = value
		case "state":
			if f.state = CallState(value); value != "" && !slices.Contains(CallStates(), f.state) {
				err = fmt.Errorf("must be one of %v", CallStates())
			}
		case "watch":
			if f.watch = value == "true"; !f.watch && value != "false" {
				err = errors.New("must be true or false")
			}
		default:
			err = errors.New("no such filter")
		}
		if err != nil {
			return f, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}

// finds tells whether the call is asked for.
func (f callFilter) finds(c Call) bool {
	is := func(p CallParty) bool {
		return f.number == "" || catalog.MatchNumber(p.Number, f.number)
	}
	named := func(p CallParty) bool {
		return strings.Contains(strings.ToLower(p.AOR), f.party) || strings.Contains(strings.ToLower(p.Name), f.party)
	}
	has := func(id string) bool { return catalog.MatchCallID(id, f.callID) }
	return (f.class == "" || c.Class == f.class) && (f.state == "" || c.State == f.state) &&
		(f.callID == "" || slices.ContainsFunc(c.CallIDs, has)) &&
		(f.number == "" || slices.ContainsFunc(c.Parties, is)) && (f.party == "" || slices.ContainsFunc(c.Parties, named))
}

// calls answers what goes on now: {"calls": [...]}.
func (s *Server) calls(w http.ResponseWriter, r *http.Request) {
	f, err := readCallFilter(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if !s.witnessCalls(w, r, f) {
		return
	}
	found := []Call{}
	for _, c := range s.cfg.Live.Live() {
		if f.finds(c) {
			found = append(found, c)
		}
	}
	answer(w, map[string]any{"calls": found})
}

// witnessCalls witnesses a look at the calls. Of somebody who watches them, one event tells for a while: it says until when.
func (s *Server) witnessCalls(w http.ResponseWriter, r *http.Request, f callFilter) bool {
	filters := []string{}
	for name := range r.URL.Query() {
		filters = append(filters, name)
	}
	slices.Sort(filters)
	data := map[string]any{"of": "calls", "filters": filters}
	if !f.watch {
		return s.witness(w, r, eventSearched, "", data)
	}
	who := sha256.Sum256([]byte(r.Header.Get("Authorization") + "\n" + r.Header.Get("Cookie") + "\n" + r.URL.RawQuery))
	now := s.cfg.Clock()
	s.mu.Lock()
	until, known := s.watches[who]
	s.mu.Unlock()
	if known && now.Before(until) {
		return true
	}
	until = now.Add(watchFor)
	data["until"] = until.UTC()
	if !s.witness(w, r, eventSearched, "", data) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, end := range s.watches {
		if !now.Before(end) || len(s.watches) >= maxSessions {
			delete(s.watches, k)
		}
	}
	s.watches[who] = until
	return true
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	calls := s.cfg.Live.Live()
	at := slices.IndexFunc(calls, func(c Call) bool { return c.ID == id })
	if at < 0 {
		fail(w, http.StatusNotFound, ErrNoCall.Error())
		return
	}
	if s.witness(w, r, eventViewed, id, map[string]any{"of": "call"}) {
		answer(w, calls[at])
	}
}
