package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

// shortCall is how long a call lasts that is only to be recorded or not.
const shortCall = 600 * time.Millisecond

// asks sends a body to the server's API, and expects the status.
func (r *running) asks(method, path, body string, status int) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.url()+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+r.Token)
	q.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != status {
		r.t.Errorf("%s %s: %s: %s: %v, want %d", method, path, answer.Status, b, err, status)
	}
}

// elsewhere runs an objections command in a process beside the server, and waits until the server has taken it up.
func (r *running) elsewhere(args ...string) {
	r.t.Helper()
	before := r.lists.Objectors()
	r.objections(exitOK, args...)
	eventually(r.t, "the list is taken up", 5*listsInterval, func() bool { return r.lists.Objectors() != before })
}

// TestR23Standing: calls of a number on the list leave nothing, from the moment when it is put there, by the API or from the command line;
// when it is taken off they are recorded again. The audit log says why, and has no number.
func TestR23Standing(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: opt_out"))
	calls := []struct {
		before   func()
		recorded bool
	}{
		{func() {}, true},
		{func() {
			s.asks(http.MethodPost, "objections", `{"number":"+33 6 11 22 33 44","proof":"DOC-17"}`, http.StatusNoContent)
		}, false},
		{func() { s.asks(http.MethodDelete, "objections", `{"number":"+33611223344"}`, http.StatusNoContent) }, true},
		{func() { s.elsewhere("add", "+33611223344") }, false},
		{func() { s.elsewhere("remove", "+33611223344") }, true},
	}
	for _, call := range calls {
		call.before()
		s.talk(conversation(trialPhase), shortCall)
	}
	type decided struct {
		Record bool
		Reason string
	}
	decisions := eventsOf[decided](t, s, recorder.EventDecision)
	for i, row := range s.ended(len(calls)) {
		want := decided{true, "sampled_in"}
		if !calls[i].recorded {
			want = decided{false, "objected"}
		}
		if decisions[i] != want {
			t.Errorf("call %d: decided %+v, want %+v", i+1, decisions[i], want)
		}
		if calls[i].recorded {
			s.hears(row.ID, "+")
			continue
		}
		if row.State != "not_recorded" || row.Reason != "objected" {
			t.Errorf("call %d is %s by %s", i+1, row.State, row.Reason)
		}
		s.leavesNothing(row.ID)
	}
	if text := auditText(t, s.Config.DataDir); strings.Contains(text, "611223344") {
		t.Error("the audit log has the number")
	}
	verifyGood(t, s.Config.DataDir)
}

// TestR23Mandated: a class that a text obliges to records those on the list, and the decision says so with the text.
func TestR23Mandated(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "mandate: \"Act 1, Art. 2\"\nsample: 100%\nconsent: none_mandated"))
	s.talk(conversation(trialPhase), shortCall)
	s.asks(http.MethodPost, "objections", `{"aor":"sip:+33611223344@carrier.example"}`, http.StatusNoContent)
	s.talk(conversation(trialPhase), shortCall)
	for _, row := range s.ended(2) {
		s.hears(row.ID, "+")
	}
	type decided struct {
		Record bool
		Detail string
	}
	got := eventsOf[decided](t, s, recorder.EventDecision)
	if len(got) != 2 || got[0] != (decided{Record: true}) || got[1] != (decided{true, policy.NotApplicable + "Act 1, Art. 2"}) {
		t.Errorf("decided was %+v", got)
	}
	verifyGood(t, s.Config.DataDir)
}

// TestR44Protected: calls of somebody whom the directory protects leave nothing, even where a text obliges to record every call.
func TestR44Protected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users, config := filepath.Join(dir, "users.yaml"), filepath.Join(dir, "greffier.yaml")
	for path, text := range map[string]string{
		users:  "users:\n  - {id: council, numbers: [\"1001\"], protected: true}\n  - {id: cdurand, numbers: [\"1002\"]}\n",
		config: fmt.Sprintf("directory: %s\n", users),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startWith(t, config, t.TempDir(), trial(t, "mandate: \"Act 1, Art. 2\"\nsample: 100%\nconsent: none_mandated"))
	s.talk(withAdviser("1001"), shortCall)
	s.talk(withAdviser("1002"), shortCall)
	rows := s.ended(2)
	if rows[0].State != "not_recorded" || rows[0].Reason != "protected" {
		t.Errorf("the call is %s by %s", rows[0].State, rows[0].Reason)
	}
	s.leavesNothing(rows[0].ID)
	s.hears(rows[1].ID, "+")
	verifyGood(t, s.Config.DataDir)
}

// TestR44Private: a call that is reported as private leaves nothing, and who asked for it, and what followed, is in the audit log.
func TestR44Private(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_out, objection: destroy}"))
	s.talk(conversation(trialPhase, s.meanwhile(trialPhase, func(id string) { s.asks(http.MethodPost, "calls/"+id+"/private", "{}", http.StatusOK) })), 2*trialPhase)
	row := s.ended(1)[0]
	if row.State != "destroyed" || row.why() != "objected" {
		t.Errorf("the call is %s by %s", row.State, row.why())
	}
	s.leavesNothing(row.ID)
	type said struct{ Party, Kind, Source, Action, Reason string }
	if got, want := eventsOf[said](t, s, recorder.EventConsent), (said{"", "objected", "api", "destroy", "objected"}); len(got) != 1 || got[0] != want {
		t.Errorf("witnessed was %+v, want %+v", got, want)
	}
	checkEvents(t, s, row.ID, "session.offered", "recording.decision", "recording.started intended", "recording.started done", "session.ended",
		"recording.destroyed intended", "recording.destroyed done", "consent.changed")
	verifyGood(t, s.Config.DataDir)
}
