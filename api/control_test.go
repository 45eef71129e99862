package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
)

// obedient does everything, and notes what.
func obedient(did *[]string) control {
	note := func(words ...string) error { *did = append(*did, strings.Join(words, " ")); return nil }
	return control{
		pause: func(id string, reason policy.PauseReason, actor string) error {
			return note("pause", id, string(reason), actor)
		},
		resume: func(id, actor string) error { return note("resume", id, actor) },
		mark: func(id string, begin bool, actor string) error {
			return note("mark", id, map[bool]string{true: "start", false: "end"}[begin], actor)
		},
		signal: func(id string, s policy.Signal, actor string) (policy.Verdict, error) {
			return policy.Verdict{Action: policy.DestroyAudio, Reason: policy.WhyObjected}, note("signal", id, s.Party, string(s.Kind), string(s.Source), s.Proof, actor)
		},
	}
}

func TestDeeds(t *testing.T) {
	var did []string
	s := serve(t, api.Config{Control: obedient(&did)})
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/api/v1/calls/1/pause", `{"reason":"payment"}`, http.StatusNoContent},
		{"/api/v1/calls/1/resume", `{}`, http.StatusNoContent},
		{"/api/v1/calls/1/resume", ``, http.StatusNoContent},
		{"/api/v1/calls/1/mark", `{"mark":"start"}`, http.StatusNoContent},
		{"/api/v1/calls/1/mark", `{"mark":"end"}`, http.StatusNoContent},
		{"/api/v1/calls/1/consent", `{"party":"p1","kind":"consented","proof":"FORM-7","source":"agreement"}`, http.StatusOK},
		{"/api/v1/calls/1/consent", `{"kind":"informed"}`, http.StatusOK},
		{"/api/v1/calls/1/private", `{}`, http.StatusOK},
	} {
		s.post(c.path, c.body, c.status)
	}
	want := []string{
		"pause 1 payment api", "resume 1 api", "resume 1 api", "mark 1 start api", "mark 1 end api",
		"signal 1 p1 consented agreement FORM-7 api", "signal 1  informed api  api", "signal 1  objected api private call api",
	}
	if !reflect.DeepEqual(did, want) {
		t.Errorf("done:\n%s\nwant:\n%s", strings.Join(did, "\n"), strings.Join(want, "\n"))
	}
}

// TestDeedsRefused: what is not said well is done to no call.
func TestDeedsRefused(t *testing.T) {
	s := serve(t, api.Config{Control: control{}})
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"pause", ``, http.StatusBadRequest},
		{"pause", `{"reason":"boredom"}`, http.StatusBadRequest},
		{"pause", `{"reason":"payment","until":"noon"}`, http.StatusBadRequest},
		{"pause", `{"reason":"payment"}{}`, http.StatusBadRequest},
		{"pause", `{"reason":"payment"} x`, http.StatusBadRequest},
		{"pause", `{"reason":7}`, http.StatusBadRequest},
		{"pause", `{"reason"`, http.StatusBadRequest},
		{"pause", `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, http.StatusRequestEntityTooLarge},
		{"resume", `{"reason":"payment"}`, http.StatusBadRequest},
		{"mark", `{"mark":"middle"}`, http.StatusBadRequest},
		{"mark", `{}`, http.StatusBadRequest},
		{"consent", `{}`, http.StatusBadRequest},
		{"consent", `{"kind":"delighted"}`, http.StatusBadRequest},
		{"consent", `{"kind":"consented"}`, http.StatusBadRequest}, // nobody consents for everybody
		{"consent", `{"party":"p1","kind":"consented","source":"dtmf"}`, http.StatusBadRequest},
		{"consent", `{"party":"p1","kind":"consented","source":"rumour"}`, http.StatusBadRequest},
		{"consent", `{"party":"p1","kind":"consented","proof":"` + strings.Repeat("x", 1025) + `"}`, http.StatusBadRequest},
		{"private", `{"party":"p1"}`, http.StatusBadRequest},
	} {
		s.post("/api/v1/calls/1/"+c.path, c.body, c.status)
	}
	for _, deed := range []string{"pause", "resume", "mark", "consent", "private"} {
		for _, typ := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ";"} {
			s.ask(request{method: http.MethodPost, path: "/api/v1/calls/1/" + deed, body: `{}`, typ: typ}, http.StatusUnsupportedMediaType)
		}
		s.ask(request{method: http.MethodPost, path: "/api/v1/calls/1/" + deed, body: `{}`, token: "-"}, http.StatusUnauthorized)
		s.ask(request{method: http.MethodPost, path: "/api/v1/calls/1/" + deed, body: `{}`, token: adminToken}, http.StatusUnauthorized)
	}
}

// TestDeedsFail: what a controller cannot do is told as what it is, and an error of its own is told to nobody.
func TestDeedsFail(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		detail string
	}{
		{api.ErrNoCall, http.StatusNotFound, "no such call goes on"},
		{api.Conflict("the call is not recorded"), http.StatusConflict, "the call is not recorded"},
		{errors.New("disk 7 is full"), http.StatusInternalServerError, "the request could not be answered; the server's log says why"},
	} {
		s := serve(t, api.Config{Control: control{
			pause:  func(string, policy.PauseReason, string) error { return c.err },
			resume: func(string, string) error { return c.err },
			mark:   func(string, bool, string) error { return c.err },
			signal: func(string, policy.Signal, string) (policy.Verdict, error) { return policy.Verdict{}, c.err },
		}})
		for path, body := range map[string]string{"pause": `{"reason":"other"}`, "resume": `{}`, "mark": `{"mark":"end"}`, "consent": `{"kind":"informed"}`, "private": `{}`} {
			if got := s.post("/api/v1/calls/1/"+path, body, c.status); got != c.detail {
				t.Errorf("%s is answered %q, want %q", path, got, c.detail)
			}
		}
	}
}

// TestPrivate: whoever takes a private call off the record learns whether that was possible (R44).
func TestPrivate(t *testing.T) {
	verdict := policy.Verdict{}
	s := serve(t, api.Config{Control: control{signal: func(string, policy.Signal, string) (policy.Verdict, error) { return verdict, nil }}})
	for _, c := range []struct {
		verdict policy.Verdict
		want    string
	}{
		{policy.Verdict{Action: policy.DestroyAudio, Reason: policy.WhyObjected}, `{"applicable":true,"action":"destroy","reason":"objected"}`},
		{policy.Verdict{Action: policy.NoAudio, Reason: policy.WhyObjected}, `{"applicable":true,"action":"none","reason":"objected"}`},
		{policy.Verdict{Action: policy.KeepAudio, Reason: policy.WhyMandate, Answer: policy.NotApplicable + "Act 1"},
			`{"applicable":false,"action":"record","reason":"mandate","answer":"not applicable: Act 1"}`},
	} {
		verdict = c.verdict
		if got := strings.TrimSpace(s.post("/api/v1/calls/1/private", "", http.StatusOK)); got != c.want {
			t.Errorf("answered %s, want %s", got, c.want)
		}
	}
}

// TestMissingParts: a server without a part says so, to those who may ask.
func TestMissingParts(t *testing.T) {
	s := serve(t, api.Config{})
	for _, c := range []struct{ method, path, token string }{
		{"GET", "calls", ""}, {"GET", "calls/1", ""}, {"POST", "calls/1/pause", ""}, {"POST", "calls/1/resume", ""}, {"POST", "calls/1/mark", ""},
		{"POST", "calls/1/consent", ""}, {"POST", "calls/1/private", ""}, {"POST", "recordings/1/screen", ""}, {"POST", "cdrs", ""},
		{"GET", "objections", ""}, {"POST", "objections", ""}, {"DELETE", "objections", ""}, {"GET", "policy", ""}, {"PUT", "policy", adminToken},
	} {
		s.ask(request{method: c.method, path: "/api/v1/" + c.path, token: c.token}, http.StatusNotImplemented)
		s.ask(request{method: c.method, path: "/api/v1/" + c.path, token: "-"}, http.StatusUnauthorized)
	}
}

// FuzzConsent: whatever is sent, a signal that reaches a call is a good one, and the answer is JSON.
func FuzzConsent(f *testing.F) {
	for _, seed := range []string{
		`{"party":"p1","kind":"consented","proof":"FORM-7","source":"agreement"}`, `{"kind":"objected"}`, ``, `{}`, `null`, `[]`, `{"kind":"informed"}{}`,
		`{"kind":"consented","kind":"objected"}`, "{\"party\":\"\\u0000\",\"kind\":\"informed\"}",
	} {
		f.Add([]byte(seed))
	}
	handler := api.New(api.Config{Token: token, Control: control{signal: func(_ string, s policy.Signal, _ string) (policy.Verdict, error) {
		return policy.Verdict{Action: policy.NoAudio}, s.Check()
	}}}).Handler()
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/api/v1/calls/1/consent", bytes.NewReader(body))
		r.Header.Set("Content-Type", jsonType)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code == http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
			t.Errorf("answered %d: %s", w.Code, w.Body)
		}
	})
}
