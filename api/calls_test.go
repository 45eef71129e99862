package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
)

// twoCalls go on: one is recorded, the other is not.
func twoCalls() calling {
	began := time.Date(2026, 11, 23, 13, 59, 0, 0, time.UTC)
	return calling{
		{ID: "1", State: api.CallRecording, Class: "quality", Reason: "sampled_in", StartedAt: began, CallIDs: []string{"a@sbc", "ab30317f1a784dc48ff824d0d3715d86"},
			Parties: []api.CallParty{{ID: "p1", AOR: "sip:+33140000001@carrier.example", Name: "Mrs Martin", Number: "+33140000001", Consent: policy.Informed}, {ID: "p2", AOR: "sip:1001@corp.example", Number: "1001", Internal: true}}},
		{ID: "2", State: api.CallNotRecorded, Reason: "no_rule", StartedAt: began, CallIDs: []string{"b@sbc"}, Parties: []api.CallParty{{ID: "p3", AOR: "sip:1002@corp.example", Number: "1002", Internal: true}}},
	}
}

type callList struct{ Calls []api.Call }

func (l callList) ids() string {
	var ids []string
	for _, c := range l.Calls {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

// TestCallsAreFound: each filter finds what a search among recordings would find.
func TestCallsAreFound(t *testing.T) {
	s := serve(t, api.Config{Live: twoCalls()})
	for _, c := range []struct{ query, want string }{
		{"", "1 2"},
		{"?call_id=a@sbc", "1"},
		{"?call_id=AB30317F-1A78-4DC4-8FF8-24D0D3715D86", "1"},
		{"?call_id=c@sbc", ""},
		{"?number=0140000001", "1"},
		{"?number=%2B3314", "1"},
		{"?number=1002", "2"},
		{"?party=martin", "1"},
		{"?party=CORP.example", "1 2"},
		{"?class=quality", "1"},
		{"?class=other", ""},
		{"?state=not_recorded", "2"},
		{"?state=recording&party=1002", ""},
	} {
		var got callList
		if s.get("/api/v1/calls"+c.query, &got); got.ids() != c.want || got.Calls == nil {
			t.Errorf("%s finds %q, want %q", c.query, got.ids(), c.want)
		}
	}
	for _, query := range []string{"?nobody=1", "?state=paying", "?number=x", "?class=a&class=b", "?watch=1"} {
		s.ask(request{method: http.MethodGet, path: "/api/v1/calls" + query}, http.StatusBadRequest)
	}
}

// TestCallsAreWitnessed: looking at calls is in the audit log, without the words that were looked for.
func TestCallsAreWitnessed(t *testing.T) {
	s := serve(t, api.Config{Live: twoCalls()})
	s.get("/api/v1/calls?number=%2B33140000001&class=quality", &callList{})
	var one api.Call
	if s.get("/api/v1/calls/1", &one); one.ID != "1" || one.Parties[0].Consent != policy.Informed {
		t.Errorf("the call is shown as %+v", one)
	}
	s.ask(request{method: http.MethodGet, path: "/api/v1/calls/3"}, http.StatusNotFound)
	got := s.events()
	if len(got) != 2 || got[0].Type != "access.searched" || got[1].Type != "access.viewed" || got[1].Subject != "1" || got[1].Actor != "api" {
		t.Fatalf("witnessed: %+v", got)
	}
	if filters, _ := got[0].Data["filters"].([]any); !slices.Equal(filters, []any{"class", "number"}) {
		t.Errorf("the search is witnessed with %v", got[0].Data)
	}
}

// TestNothingIsShownUnwitnessed: when the audit log cannot be written, nobody is told who is on the telephone.
func TestNothingIsShownUnwitnessed(t *testing.T) {
	s := serve(t, api.Config{Live: twoCalls()})
	s.log.Close()
	for _, path := range []string{"/api/v1/calls", "/api/v1/calls/1", "/api/v1/calls?watch=true"} {
		if got := s.ask(request{method: http.MethodGet, path: path}, http.StatusInternalServerError); strings.Contains(got, "Martin") {
			t.Errorf("%s answers %s", path, got)
		}
	}
}

// TestWatching: whoever asks again and again is witnessed once for as long as the event says, and each watcher for himself.
func TestWatching(t *testing.T) {
	s := serve(t, api.Config{Live: twoCalls()})
	watch := func(query string) { s.get("/api/v1/calls?watch=true"+query, &callList{}) }
	watch("")
	watch("")
	if got := s.events(); len(got) != 1 || got[0].Data["until"] != "2026-11-23T14:01:00Z" {
		t.Errorf("after two looks: %+v", got)
	}
	watch("&class=quality")
	if n := len(s.events()); n != 2 {
		t.Errorf("another question leaves %d events, want 2", n)
	}
	s.now = s.now.Add(time.Minute)
	watch("")
	if n := len(s.events()); n != 3 {
		t.Errorf("a minute later there are %d events, want 3", n)
	}
	s.get("/api/v1/calls", &callList{})
	s.get("/api/v1/calls", &callList{})
	if n := len(s.events()); n != 5 {
		t.Errorf("two searches leave %d events, want 5", n)
	}
}
