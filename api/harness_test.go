package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// The tokens of every test.
const (
	token      = "the-token"
	adminToken = "the-admin-token"
)

const jsonType = "application/json"

// A calling is a list of calls that go on.
type calling []api.Call

func (c calling) Live() []api.Call { return c }

// A control is a controller of functions. One that is nil must not be called.
type control struct {
	pause  func(id string, reason policy.PauseReason, actor string) error
	resume func(id, actor string) error
	mark   func(id string, begin bool, actor string) error
	signal func(id string, s policy.Signal, actor string) (policy.Verdict, error)
}

func (c control) Pause(_ context.Context, id string, reason policy.PauseReason, actor string) error {
	return c.pause(id, reason, actor)
}
func (c control) Resume(_ context.Context, id, actor string) error { return c.resume(id, actor) }
func (c control) Mark(_ context.Context, id string, begin bool, actor string) error {
	return c.mark(id, begin, actor)
}
func (c control) Signal(_ context.Context, id string, s policy.Signal, actor string) (policy.Verdict, error) {
	return c.signal(id, s, actor)
}

// A served is a server under test, with a catalog, an audit log and a clock of its own.
type served struct {
	http.Handler
	t       *testing.T
	catalog *catalog.Catalog
	dir     string // of the audit log
	log     *audit.Log
	now     time.Time
}

// serve makes a server. The parts that a test does not give are missing.
func serve(t *testing.T, c api.Config) *served {
	t.Helper()
	s := &served{t: t, dir: filepath.Join(t.TempDir(), "audit"), now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)}
	var err error
	if s.catalog, err = catalog.Open(filepath.Join(t.TempDir(), "catalog.sqlite")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.catalog.Close() })
	if s.log, err = audit.Open(s.dir, audit.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.log.Close() })
	c.Catalog, c.Audit, c.Token, c.AdminToken = s.catalog, s.log, token, adminToken
	c.Clock = func() time.Time { return s.now }
	s.Handler = api.New(c).Handler()
	return s
}

// A request is one to a server under test.
type request struct {
	method, path string
	body, typ    string // typ "": JSON where there is a body
	token        string // "": the ordinary one; "-": none
}

// ask sends a request, and expects the status. What is no success must be a problem document with a text.
func (s *served) ask(q request, status int) string {
	s.t.Helper()
	r := httptest.NewRequest(q.method, q.path, strings.NewReader(q.body))
	if q.typ == "" && q.method != http.MethodGet {
		q.typ = jsonType
	}
	if q.typ != "" {
		r.Header.Set("Content-Type", q.typ)
	}
	if q.token == "" {
		q.token = token
	}
	if q.token != "-" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != status {
		s.t.Errorf("%s %s %s: status %d, want %d: %s", q.method, q.path, q.body, w.Code, status, w.Body)
	}
	if w.Code >= http.StatusBadRequest {
		var problem struct{ Detail string }
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Detail == "" || w.Header().Get("Content-Type") != "application/problem+json" {
			s.t.Errorf("%s %s: %d is answered without a problem document: %s", q.method, q.path, w.Code, w.Body)
		}
		return problem.Detail
	}
	return w.Body.String()
}

// get asks for a path, and reads the answer.
func (s *served) get(path string, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.ask(request{method: http.MethodGet, path: path}, http.StatusOK)), into); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// post sends JSON, and expects the status.
func (s *served) post(path, body string, status int) string {
	s.t.Helper()
	return s.ask(request{method: http.MethodPost, path: path, body: body}, status)
}

// An event is what a test reads of the audit log.
type event struct {
	Type, Subject, Actor string
	Data                 map[string]any
}

// events are those of the audit log, but for the log's own.
func (s *served) events() (all []event) {
	s.t.Helper()
	for e, err := range audit.Read(s.dir) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Type == audit.TypeCreated {
			continue
		}
		found := event{Type: e.Type, Subject: e.Subject, Actor: e.Actor}
		if err := json.Unmarshal(e.Data, &found.Data); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, found)
	}
	return all
}
