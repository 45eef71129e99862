package api

import (
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// eventScreenLinked is the type of the event that links a recording with one of a screen.
const eventScreenLinked = "recording.screen_linked"

// screenReference is the form of a reference: an identifier in the system that keeps the recording of the screen.
var screenReference = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// withoutSound are the states of recordings of which there is nothing.
var withoutSound = []catalog.State{catalog.StateNotRecorded, catalog.StateFailed, catalog.StateExpired, catalog.StateShredded, catalog.StateErased}

// linkScreen links a recording with one of a screen, which is kept elsewhere: for training and evaluation only (R10). The link is an
// event. There is no way to link a still image.
func (s *Server) linkScreen(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Reference string `json:"reference"`
	}
	if !read(w, r, &body) {
		return
	}
	if !screenReference.MatchString(body.Reference) {
		fail(w, http.StatusBadRequest, "reference: must be 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
		return
	}
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
	inForce, err := s.cfg.Policy.Current(r.Context())
	if err != nil {
		s.internal(w, r, err)
		return
	}
	at := slices.IndexFunc(inForce.Classes, func(c policy.Class) bool { return c.Name == row.Class })
	switch {
	case at < 0 || !inForce.Classes[at].MayLinkScreen():
		fail(w, http.StatusForbidden, "a screen may be recorded for training and evaluation only, and the recording is of a class of another kind")
	case slices.Contains(withoutSound, row.State):
		fail(w, http.StatusConflict, "there is no recording of this call to link")
	case s.witness(w, r, eventScreenLinked, id, map[string]any{"reference": body.Reference}):
		w.WriteHeader(http.StatusNoContent)
	}
}
