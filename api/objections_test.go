package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
)

// An objecting is a list of objections of functions.
type objecting struct {
	add    func(o api.Objection, actor string) error
	remove func(address, actor string) error
	list   func(after string, limit int) ([]api.ObjectionEntry, error)
}

func (o objecting) Add(_ context.Context, x api.Objection, actor string) error {
	return o.add(x, actor)
}
func (o objecting) Remove(_ context.Context, address, actor string) error {
	return o.remove(address, actor)
}
func (o objecting) List(_ context.Context, after string, limit int) ([]api.ObjectionEntry, error) {
	return o.list(after, limit)
}

const objectionsPath = "/api/v1/objections"

// TestObjections: objections come and go by number or address, each with where it came from.
func TestObjections(t *testing.T) {
	var did []string
	s := serve(t, api.Config{Objections: objecting{
		add: func(o api.Objection, actor string) error {
			did = append(did, fmt.Sprintf("add %s %s %s %s", o.Address, o.Source, o.Proof, actor))
			return nil
		},
		remove: func(address, actor string) error { did = append(did, "remove "+address+" "+actor); return nil },
	}})
	s.post(objectionsPath, `{"number":"+33 1 40 00 00 01","source":"operator","proof":"letter 12"}`, http.StatusNoContent)
	s.post(objectionsPath, `{"aor":"sip:martin@example.net"}`, http.StatusNoContent)
	s.ask(request{method: http.MethodDelete, path: objectionsPath, body: `{"number":"+33140000001"}`}, http.StatusNoContent)
	want := []string{"add +33 1 40 00 00 01 operator letter 12 api", "add sip:martin@example.net api  api", "remove +33140000001 api"}
	if !reflect.DeepEqual(did, want) {
		t.Errorf("done: %q, want %q", did, want)
	}
	for _, body := range []string{`{}`, `{"number":"1","aor":"sip:a@b"}`, `{"number":"Martin"}`, `{"number":"+331","source":"dtmf"}`, `{"number":"+331","name":"Martin"}`,
		`{"aor":"` + strings.Repeat("x", 257) + `"}`, `{"number":"+331","proof":"` + strings.Repeat("x", 1025) + `"}`} {
		s.post(objectionsPath, body, http.StatusBadRequest)
	}
	for _, body := range []string{`{}`, `{"number":"+331","proof":"x"}`} {
		s.ask(request{method: http.MethodDelete, path: objectionsPath, body: body}, http.StatusBadRequest)
	}
	s.ask(request{method: http.MethodDelete, path: objectionsPath, body: `{"number":"+331"}`, typ: "text/plain"}, http.StatusUnsupportedMediaType)
	if len(did) != len(want) {
		t.Errorf("what was refused was done: %q", did[len(want):])
	}
}

// TestObjectionsAreListed: a page ends where the next begins, and the look is witnessed.
func TestObjectionsAreListed(t *testing.T) {
	all := []api.ObjectionEntry{{Hash: "a", Source: policy.FromOperator, Proof: "letter"}, {Hash: "b", Source: policy.FromAPI}, {Hash: "c", Source: policy.FromAPI}}
	s := serve(t, api.Config{Objections: objecting{list: func(after string, limit int) ([]api.ObjectionEntry, error) {
		var page []api.ObjectionEntry
		for _, o := range all {
			if o.Hash > after && len(page) < limit {
				page = append(page, o)
			}
		}
		return page, nil
	}}})
	var page struct {
		Objections []api.ObjectionEntry
		Next       string
	}
	if s.get(objectionsPath, &page); len(page.Objections) != 3 || page.Next != "" || page.Objections[0] != all[0] {
		t.Errorf("the list is %+v", page)
	}
	if s.get(objectionsPath+"?limit=2", &page); len(page.Objections) != 2 || page.Next != "b" {
		t.Errorf("the first page is %+v", page)
	}
	if s.get(objectionsPath+"?limit=2&after=b", &page); len(page.Objections) != 1 || page.Next != "" {
		t.Errorf("the second page is %+v", page)
	}
	if s.get(objectionsPath+"?after=c", &page); page.Objections == nil || len(page.Objections) != 0 {
		t.Errorf("the last page is %+v", page)
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?limit=1&limit=2", "?number=1"} {
		s.ask(request{method: http.MethodGet, path: objectionsPath + query}, http.StatusBadRequest)
	}
	if got := s.events(); len(got) != 4 || got[0].Type != "access.searched" || got[0].Data["of"] != "objections" {
		t.Errorf("witnessed: %+v", got)
	}
}

func TestObjectionsFail(t *testing.T) {
	for err, status := range map[error]int{api.ErrNoObjection: http.StatusNotFound, api.Conflict("the list is full"): http.StatusConflict, errors.New("disk full"): http.StatusInternalServerError} {
		s := serve(t, api.Config{Objections: objecting{
			add: func(api.Objection, string) error { return err }, remove: func(string, string) error { return err },
			list: func(string, int) ([]api.ObjectionEntry, error) { return nil, err },
		}})
		s.post(objectionsPath, `{"number":"+331"}`, status)
		s.ask(request{method: http.MethodDelete, path: objectionsPath, body: `{"number":"+331"}`}, status)
		s.ask(request{method: http.MethodGet, path: objectionsPath}, http.StatusInternalServerError)
	}
}
