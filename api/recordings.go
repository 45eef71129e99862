package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// Types of access events. docs/formats.md lists them with their data.
const (
	eventSearched = "access.searched"
	eventViewed   = "access.viewed"
)

// Recordings in one answer.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// actor names whoever holds the token, until there are users; administrator, whoever holds the other one.
const (
	actor         = "api"
	administrator = "admin"
)

// query reads the filters of a search. Every unknown or unreadable one is an error: a filter that is ignored finds too much.
func query(v url.Values) (catalog.Query, error) {
	q := catalog.Query{Limit: defaultLimit}
	for name, values := range v {
		value := values[0]
		var err error
		if len(values) > 1 {
			return q, fmt.Errorf("%s: given more than once", name)
		}
		switch name {
		case "from":
			q.From, err = time.Parse(time.RFC3339, value)
		case "to":
			q.To, err = time.Parse(time.RFC3339, value)
		case "party":
			q.Party = value
		case "number":
			q.Number = value
		case "src":
			q.SRC = value
		case "class":
			q.Class = value
		case "rule":
			q.Rule = value
		case "state":
			if q.State = catalog.State(value); !slices.Contains(catalog.States(), q.State) {
				err = fmt.Errorf("must be one of %v", catalog.States())
			}
		case "mos_below":
			q.MOSBelow, err = number(value, 1, 5)
		case "loss_above": // in percent
			q.LossAbove, err = number(value, 0, 100)
			q.LossAbove /= 100
			q.ByLoss = true
		case "call_id":
			q.CallID = value
		case "tenant":
			q.Tenant = value
		case "conversation":
			q.Conversation = value
		case "recording_session":
			q.RecordingSession = value
		case "warning":
			q.Warning = value
		case "after":
			q.After = value
		case "limit":
			q.Limit, err = strconv.Atoi(value)
			if err == nil && (q.Limit < 1 || q.Limit > maxLimit) {
				err = fmt.Errorf("must be from 1 to %d", maxLimit)
			}
		default:
			err = errors.New("no such filter")
		}
		if err != nil {
			return q, fmt.Errorf("%s: %w", name, err)
		}
	}
	return q, nil
}

func number(s string, least, most float64) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v >= least && v <= most) {
		return 0, fmt.Errorf("must be a number from %v to %v", least, most)
	}
	return v, nil
}

// list answers a search: {"recordings": [...], "next": "cursor of the next page, or empty"}.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q, err := query(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	filters := []string{}
	for name := range r.URL.Query() {
		filters = append(filters, name) // the values may be names and numbers: they stay out of the log
	}
	if !s.witness(w, r, eventSearched, "", map[string]any{"filters": filters}) {
		return
	}
	rows, err := s.cfg.Finder.Find(r.Context(), q)
	if errors.Is(err, catalog.ErrNotFound) {
		fail(w, http.StatusBadRequest, "after: no such recording")
		return
	}
	if errors.Is(err, catalog.ErrQuery) {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if err != nil {
		s.internal(w, r, err)
		return
	}
	next := ""
	if len(rows) == q.Limit {
		next = rows[len(rows)-1].ID
	}
	if rows == nil {
		rows = []catalog.Recording{}
	}
	answer(w, map[string]any{"recordings": rows, "next": next})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	row, err := s.cfg.Catalog.Get(r.Context(), id)
	if errors.Is(err, catalog.ErrNotFound) {
		fail(w, http.StatusNotFound, ErrNotFound.Error())
		return
	}
	if err != nil {
		s.internal(w, r, err)
		return
	}
	if s.witness(w, r, eventViewed, id, map[string]any{}) {
		answer(w, row)
	}
}

// mediaTypes are the types of the files (RFC 2361, RFC 9639 section 12.1, RFC 7845 section 10).
var mediaTypes = map[policy.Format]string{policy.WAV: "audio/wav", policy.FLAC: "audio/flac", policy.Opus: "audio/ogg"}

// audio serves the file as it is stored, with Range (RFC 9110 section 14). A reason may be stated as ?why=.
func (s *Server) audio(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	sound, err := s.cfg.Player.Play(r.Context(), id, actor, r.URL.Query().Get("why"), r.Header.Get("Range"))
	if err != nil {
		s.unplayable(w, r, err)
		return
	}
	defer sound.Close()
	w.Header().Set("Content-Type", mediaTypes[sound.Format])
	w.Header().Set("Content-Disposition", fmt.Sprintf("inline; filename=%q", id+"."+string(sound.Format)))
	http.ServeContent(w, r, "", time.Time{}, sound)
}

// waveform serves what a player draws: {"interval_ms": 50, "channels": ["base64", ...]}, a byte per interval and channel.
func (s *Server) waveform(w http.ResponseWriter, r *http.Request) {
	wave, err := s.cfg.Player.Waveform(r.Context(), r.PathValue("id"), actor)
	switch {
	case err != nil:
		s.unplayable(w, r, err)
	case wave == nil:
		fail(w, http.StatusNotFound, "the recording was stored by a version that made no waveforms")
	default:
		answer(w, wave)
	}
}

// unplayable answers for a recording whose sound cannot be opened.
func (s *Server) unplayable(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, ErrNotFinished):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusConflict, err.Error())
	case errors.Is(err, ErrGone):
		fail(w, http.StatusGone, err.Error())
	case errors.Is(err, ErrRestricted):
		fail(w, http.StatusForbidden, err.Error())
	default:
		s.internal(w, r, err)
	}
}

// witness writes an event of whoever holds the token; when it cannot, nothing is shown or done.
func (s *Server) witness(w http.ResponseWriter, r *http.Request, typ, id string, data any) bool {
	return s.witnessBy(w, r, actor, typ, id, data)
}

// witnessBy is witness for somebody who is named.
func (s *Server) witnessBy(w http.ResponseWriter, r *http.Request, who, typ, id string, data any) bool {
	_, err := s.cfg.Audit.Append(r.Context(), audit.Event{Time: s.cfg.Clock(), Type: typ, Subject: id, Actor: who, Data: data})
	if err != nil {
		s.internal(w, r, fmt.Errorf("witness %s: %w", typ, err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
