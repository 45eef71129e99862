package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// A store is a policyStore of functions.
type store struct {
	current func() (api.PolicyInForce, error)
	replace func(text, actor string) error
}

func (s store) Current(context.Context) (api.PolicyInForce, error) { return s.current() }
func (s store) Replace(_ context.Context, text []byte, actor string) error {
	return s.replace(string(text), actor)
}

// classes is a store whose policy has these.
func classes(all ...policy.Class) store {
	return store{current: func() (api.PolicyInForce, error) {
		return api.PolicyInForce{Digest: "d", Classes: all, Editable: true}, nil
	}}
}

// keep puts a recording into the catalog.
func (s *served) keep(id, class string, state catalog.State) {
	s.t.Helper()
	if err := s.catalog.Put(s.t.Context(), catalog.Recording{ID: id, Class: class, State: state, StartedAt: s.now, EndedAt: s.now.Add(time.Minute)}); err != nil {
		s.t.Fatal(err)
	}
}

// TestScreens: a recording of a screen may be linked for training and evaluation, and for nothing else (R10).
func TestScreens(t *testing.T) {
	s := serve(t, api.Config{Policy: classes(policy.Class{Name: "training", Kind: policy.Training}, policy.Class{Name: "quality"},
		policy.Class{Name: "evidence", Kind: policy.Evidence}, policy.Class{Name: "emergency", Kind: policy.Emergency})})
	s.keep("t", "training", catalog.StateLocked)
	s.keep("n", "training", catalog.StateNotRecorded)
	for _, class := range []string{"quality", "evidence", "emergency", "gone"} {
		s.keep("other-"+class, class, catalog.StateLocked)
		detail := s.post("/api/v1/recordings/other-"+class+"/screen", `{"reference":"scr-1"}`, http.StatusForbidden)
		if !strings.Contains(detail, "training and evaluation only") {
			t.Errorf("class %s is refused with %q", class, detail)
		}
	}
	s.post("/api/v1/recordings/none/screen", `{"reference":"scr-1"}`, http.StatusNotFound)
	s.post("/api/v1/recordings/n/screen", `{"reference":"scr-1"}`, http.StatusConflict)
	for _, body := range []string{`{}`, `{"reference":""}`, `{"reference":"https://x/y"}`, `{"reference":"a b"}`, `{"reference":"` + strings.Repeat("x", 129) + `"}`, `{"reference":"a","url":"b"}`} {
		s.post("/api/v1/recordings/t/screen", body, http.StatusBadRequest)
	}
	if got := s.events(); len(got) != 0 {
		t.Errorf("what was refused left %+v", got)
	}
	s.post("/api/v1/recordings/t/screen", `{"reference":"scr-1"}`, http.StatusNoContent)
	if got := s.events(); len(got) != 1 || got[0].Type != "recording.screen_linked" || got[0].Subject != "t" || got[0].Actor != "api" || got[0].Data["reference"] != "scr-1" {
		t.Errorf("witnessed: %+v", got)
	}
}

// TestNoStillImages: there is no way to attach an image to a recording (R10).
func TestNoStillImages(t *testing.T) {
	s := serve(t, api.Config{Policy: classes(policy.Class{Name: "training", Kind: policy.Training})})
	s.keep("t", "training", catalog.StateLocked)
	for _, typ := range []string{"image/png", "image/jpeg", "multipart/form-data; boundary=x", "video/mp4"} {
		s.ask(request{method: http.MethodPost, path: "/api/v1/recordings/t/screen", body: "\x89PNG", typ: typ}, http.StatusUnsupportedMediaType)
	}
	for _, path := range []string{"image", "images", "attachments", "screenshot", "screen/image"} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			r := httptest.NewRequest(method, "/api/v1/recordings/t/"+path, strings.NewReader("\x89PNG"))
			r.Header.Set("Content-Type", "image/png")
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != http.StatusNotFound {
				t.Errorf("%s %s is answered %d", method, path, w.Code)
			}
		}
	}
	if got := s.events(); len(got) != 0 {
		t.Errorf("what was refused left %+v", got)
	}
}
