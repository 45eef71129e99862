package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
)

const (
	policyPath = "/api/v1/policy"
	yamlType   = "text/yaml"
)

func recordAll(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../testdata/policies/record-all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPolicyIsShown: whoever may search may read what calls are decided by, and that is witnessed.
func TestPolicyIsShown(t *testing.T) {
	text := recordAll(t)
	p, err := policy.Parse([]byte(text), policy.Options{SamplingKey: make([]byte, policy.MinSamplingKey), Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, api.Config{Policy: store{current: func() (api.PolicyInForce, error) {
		return api.PolicyInForce{Digest: p.Digest(), Text: text, Classes: p.Classes(), Rules: p.Rules()}, nil
	}}})
	var got struct {
		Digest, Text string
		Editable     bool
		Classes      []struct {
			Name      string
			Retention string
		}
		Rules []struct{ Name string }
	}
	s.get(policyPath, &got)
	if got.Digest != p.Digest() || got.Text != text || got.Editable || len(got.Classes) != len(p.Classes()) || got.Classes[0].Retention == "" || len(got.Rules) != len(p.Rules()) {
		t.Errorf("the policy is shown as %+v", got)
	}
	if e := s.events(); len(e) != 1 || e[0].Type != "access.viewed" || e[0].Data["digest"] != p.Digest() {
		t.Errorf("witnessed: %+v", e)
	}
}

// TestPolicyIsForAdministrators: nobody else may change it (R35), whatever they hold.
func TestPolicyIsForAdministrators(t *testing.T) {
	taken := 0
	st := classes()
	st.replace = func(text, actor string) error {
		if taken++; text != recordAll(t) || actor != "admin" {
			t.Errorf("taken from %q: %s", actor, text)
		}
		return nil
	}
	s := serve(t, api.Config{Policy: st})
	put := request{method: http.MethodPut, path: policyPath, body: recordAll(t), typ: yamlType}
	ask := func(token string, status int) string { put.token = token; return s.ask(put, status) }
	if detail := ask(token, http.StatusForbidden); !strings.Contains(detail, "administrator") {
		t.Errorf("refused with %q", detail)
	}
	ask("-", http.StatusUnauthorized)
	ask("guess", http.StatusUnauthorized)
	login := httptest.NewRequest(http.MethodPost, "/api/v1/session", nil)
	login.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, login)
	byCookie := httptest.NewRequest(http.MethodPut, policyPath, strings.NewReader(recordAll(t)))
	byCookie.Header.Set("Content-Type", yamlType)
	byCookie.AddCookie(w.Result().Cookies()[0])
	w = httptest.NewRecorder()
	if s.ServeHTTP(w, byCookie); w.Code != http.StatusForbidden {
		t.Errorf("a browser's session is answered %d", w.Code)
	}
	if len(s.events()) != 0 || taken != 0 {
		t.Errorf("%d taken from those who may not; witnessed: %+v", taken, s.events())
	}
	ask(adminToken, http.StatusAccepted)
	got := s.events()
	if len(got) != 1 || got[0].Type != "policy.proposed" || got[0].Actor != "admin" || got[0].Data["instead_of"] != "d" || taken != 1 {
		t.Errorf("%d taken, witnessed: %+v", taken, got)
	}
	s.ask(request{method: http.MethodGet, path: policyPath, token: adminToken}, http.StatusUnauthorized)
}

// TestNoAdministrator: without an administrator's token nobody is one, not even who sends none.
func TestNoAdministrator(t *testing.T) {
	handler := api.New(api.Config{Token: token, Policy: classes()}).Handler()
	for _, given := range []string{"Bearer ", "Bearer", "", "Bearer " + adminToken} {
		r := httptest.NewRequest(http.MethodPut, policyPath, nil)
		r.Header.Set("Authorization", given)
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
			t.Errorf("%q is answered %d", given, w.Code)
		}
	}
}

// TestPolicyIsRefused: a policy that does not load replaces none, and its author is told where each problem is.
func TestPolicyIsRefused(t *testing.T) {
	st := classes()
	st.replace = func(string, string) error { t.Error("taken"); return nil }
	s := serve(t, api.Config{Policy: st})
	put := func(body, typ string, status int) {
		s.ask(request{method: http.MethodPut, path: policyPath, body: body, typ: typ, token: adminToken}, status)
	}
	put(recordAll(t), jsonType, http.StatusUnsupportedMediaType)
	put(strings.Repeat("#", policy.MaxBytes+1), yamlType, http.StatusRequestEntityTooLarge)
	put("", yamlType, http.StatusUnprocessableEntity)
	r := httptest.NewRequest(http.MethodPut, policyPath, strings.NewReader("version: 1\nclasses:\n  a: {colour: red}\nrules: []\n"))
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Content-Type", "application/yaml")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var problem struct {
		Problems []struct {
			Line, Column int
			Message      string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != http.StatusUnprocessableEntity {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	if len(problem.Problems) < 2 || problem.Problems[0].Line != 3 || problem.Problems[0].Column == 0 || problem.Problems[0].Message == "" {
		t.Errorf("problems: %+v", problem.Problems)
	}
	if e := s.events(); len(e) != 0 {
		t.Errorf("witnessed: %+v", e)
	}
}

// TestPolicyCannotBeTaken: what the store says against it is told as what it is.
func TestPolicyCannotBeTaken(t *testing.T) {
	put := request{method: http.MethodPut, path: policyPath, body: recordAll(t), typ: yamlType, token: adminToken}
	for _, c := range []struct {
		err    error
		status int
	}{
		{&policy.Error{Problems: []policy.Problem{{Message: "no sampling key"}}}, http.StatusUnprocessableEntity},
		{api.Conflict("another one is being written"), http.StatusConflict},
		{errors.New("disk full"), http.StatusInternalServerError},
	} {
		st := classes()
		st.replace = func(string, string) error { return c.err }
		serve(t, api.Config{Policy: st}).ask(put, c.status)
	}
	fixed := store{current: func() (api.PolicyInForce, error) { return api.PolicyInForce{}, nil }}
	if detail := serve(t, api.Config{Policy: fixed}).ask(put, http.StatusConflict); !strings.Contains(detail, "no policy file") {
		t.Errorf("refused with %q", detail)
	}
	broken := serve(t, api.Config{Policy: store{current: func() (api.PolicyInForce, error) { return api.PolicyInForce{}, errors.New("disk") }}})
	broken.ask(put, http.StatusInternalServerError)
	broken.ask(request{method: http.MethodGet, path: policyPath}, http.StatusInternalServerError)
	deaf := serve(t, api.Config{Policy: classes()})
	deaf.log.Close()
	deaf.ask(put, http.StatusInternalServerError) // it is not taken unwitnessed
}
