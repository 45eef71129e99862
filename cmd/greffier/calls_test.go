package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec/siprectest"
)

// calls runs a calls command against the server, and expects the exit code. It gives what was printed, errors included.
func (r *running) calls(code int, args ...string) string {
	r.t.Helper()
	var out bytes.Buffer
	args = append([]string{"calls"}, args...)
	got := run(context.Background(), append(args, "--url", r.url(), "--data-dir", r.Config.DataDir), &out, &out)
	if got != code {
		r.t.Errorf("greffier %s: exit %d, want %d: %s", strings.Join(args, " "), got, code, out.String())
	}
	return out.String()
}

// meanwhile does something at an instant of a call, with the call's id.
func (r *running) meanwhile(at time.Duration, do func(id string)) siprectest.Event {
	return siprectest.Event{At: at, Do: func(context.Context, *siprectest.Call) error {
		do(r.live().ID)
		return nil
	}}
}

// expect looks for words in an output.
func expect(t *testing.T, output string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(output, w) {
			t.Errorf("%q is not in:\n%s", w, output)
		}
	}
}

// TestCallsCommands: a call that goes on is found, paused and resumed from the command line; what was said meanwhile is not in the file.
func TestCallsCommands(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "start: at_once"))
	spec := conversation(trialPhase,
		s.meanwhile(trialPhase/2, func(id string) {
			expect(t, s.calls(exitOK, "list"), id, "recording", "trial", "Customer (customer", "Adviser (adviser")
			for _, found := range [][]string{{"--number", "0611223344"}, {"--party", "custom"}, {"--class", "trial"}, {"--state", "recording"}} {
				expect(t, s.calls(exitOK, append([]string{"list"}, found...)...), id)
			}
			if out := s.calls(exitOK, "list", "--party", "nobody"); strings.Contains(out, id) {
				t.Errorf("nobody is found: %s", out)
			}
			expect(t, s.calls(exitFailed, "list", "--state", "asleep"), "state: must be one of")
			expect(t, s.calls(exitFailed, "mark", id, "start"), "does not begin on a mark")
			expect(t, s.calls(exitFailed, "consent", id, "consented", "--party", "stranger"), "no such party")
			expect(t, s.calls(exitFailed, "consent", id, "consented"), "nobody consents for everybody")
		}),
		s.meanwhile(trialPhase, func(id string) {
			expect(t, s.calls(exitOK, "pause", id, "--reason", "payment"), "paused (payment)")
			var calls []api.Call
			if err := json.Unmarshal([]byte(s.calls(exitOK, "list", "--json", "--state", "paused")), &calls); err != nil || len(calls) != 1 || calls[0].Paused != "payment" {
				t.Errorf("paused are %+v: %v", calls, err)
			}
		}),
		s.meanwhile(2*trialPhase, func(id string) { s.calls(exitOK, "resume", id) }),
	)
	s.talk(spec, 3*trialPhase)
	row := s.ended(1)[0]
	s.hears(row.ID, "+-+")
	for _, deed := range [][]string{{"pause", "--reason", "other"}, {"resume"}, {"private"}} {
		expect(t, s.calls(exitNotFound, append(deed, row.ID)...), "no such call goes on", "calls list")
	}
	verifyGood(t, s.Config.DataDir)
}

// TestPrivateCommand: a private call leaves nothing (R44), unless a text obliges to record it: then whoever asks is told which.
func TestPrivateCommand(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_out, objection: destroy}"))
	s.talk(conversation(trialPhase, s.meanwhile(trialPhase, func(id string) {
		expect(t, s.calls(exitOK, "private", id), "what was kept is destroyed")
	})), 2*trialPhase)
	s.leavesNothing(s.ended(1)[0].ID)

	obliged := start(t, t.TempDir(), trial(t, "mandate: \"Act 1, Art. 2\"\nsample: 100%\nconsent: none_mandated"))
	obliged.talk(conversation(trialPhase, obliged.meanwhile(trialPhase, func(id string) {
		expect(t, obliged.calls(exitFailed, "private", id), "it is recorded", policy.NotApplicable+"Act 1, Art. 2")
		expect(t, obliged.calls(exitFailed, "private", id, "--json"), `"applicable": false`)
	})), 2*trialPhase)
	obliged.hears(obliged.ended(1)[0].ID, "++")
}

// TestNothingToActOn: of a call that is not recorded nothing can be paused, and it is not taken for one that is not there.
func TestNothingToActOn(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "")
	spec := conversation(trialPhase, s.meanwhile(trialPhase/2, func(id string) {
		expect(t, s.calls(exitOK, "list"), id, "not_recorded")
		expect(t, s.calls(exitFailed, "pause", id, "--reason", "health"), "nothing of this call is recorded")
	}))
	s.talk(spec, trialPhase)
}

// TestMarkCommand: what is kept begins and ends on marks that are set from the command line.
func TestMarkCommand(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "kind: evidence\nstart: on_mark"))
	s.talk(conversation(trialPhase,
		s.meanwhile(trialPhase, func(id string) { s.calls(exitOK, "mark", id, "start") }),
		s.meanwhile(2*trialPhase, func(id string) { s.calls(exitOK, "mark", id, "end") }),
	), 3*trialPhase)
	s.hears(s.ended(1)[0].ID, "-+-")
	if code := run(t.Context(), []string{"calls", "mark", "1", "middle"}, io.Discard, io.Discard); code != exitUsage {
		t.Errorf("a mark in the middle: exit %d", code)
	}
}

// TestRemote: where the server is, and that its token is shown to nobody else.
func TestRemote(t *testing.T) {
	for _, c := range []struct{ listen, cert, want string }{
		{"127.0.0.1:8080", "", "http://127.0.0.1:8080"}, {"0.0.0.0:8443", "cert.pem", "https://127.0.0.1:8443"}, {"[::]:8443", "cert.pem", "https://[::1]:8443"},
		{"192.0.2.1:443", "cert.pem", "https://192.0.2.1:443"},
	} {
		if got := (HTTPConfig{Listen: c.listen, TLSCert: c.cert}).address(); got != c.want {
			t.Errorf("%s is asked at %s, want %s", c.listen, got, c.want)
		}
	}
	for base, good := range map[string]bool{
		"http://127.0.0.1:1": true, "http://[::1]:1": true, "http://localhost:1": true, "https://recorder.example": true,
		"http://recorder.example": false, "http://192.0.2.1": false, "http://localhost.example": false, "ftp://127.0.0.1": false, "127.0.0.1:8080": false, "": false,
	} {
		if err := mayCarryToken(base); (err == nil) != good {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// TestRemoteTLS: the certificate's authority is the one that is named, and a server that sends the command elsewhere is not followed.
func TestRemoteTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/calls/away/resume":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		default:
			io.WriteString(w, `{"calls":[]}`)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the test wants to fail
	t.Cleanup(server.Close)
	dir := t.TempDir()
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(token, []byte("secret\n"), 0o600), os.WriteFile(ca, authority, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"list", "--ca", ca}, exitOK},
		{[]string{"list"}, exitFailed},
		{[]string{"list", "--ca", token}, exitFailed},
		{[]string{"resume", "away", "--ca", ca}, exitFailed},
	} {
		var out bytes.Buffer
		args := append(append([]string{"calls"}, c.args...), "--url", server.URL, "--token-file", token)
		if code := run(t.Context(), args, &out, &out); code != c.code {
			t.Errorf("greffier %s: exit %d, want %d: %s", strings.Join(args, " "), code, c.code, out.String())
		}
	}
}

// put sends a policy to the server.
func (r *running) put(token, text string) (status int, body string) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodPut, r.url()+"/api/v1/policy", strings.NewReader(text))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	q.Header.Set("Content-Type", "text/yaml")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// TestPolicyFile: a policy that loads is put into its file whole, by an administrator only (R35); one that does not changes nothing.
func TestPolicyFile(t *testing.T) {
	t.Parallel()
	path := trial(t, "start: at_once")
	before := readFile(t, path)
	link := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), link)
	good := before + "# and no more\n"
	if status, body := s.put(s.Token, good); status != http.StatusForbidden {
		t.Errorf("whoever may listen is answered %d: %s", status, body)
	}
	if status, body := s.put(s.Admin, strings.Replace(before, "retention: PT1H", "retention: never", 1)); status != http.StatusUnprocessableEntity || !strings.Contains(body, `"line":`) {
		t.Errorf("a policy without an end is answered %d: %s", status, body)
	}
	if readFile(t, path) != before {
		t.Error("a policy that was refused is in the file")
	}
	if status, body := s.put(s.Admin, good); status != http.StatusAccepted {
		t.Errorf("a good policy is answered %d: %s", status, body)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || readFile(t, path) != good || readFile(t, link) != good {
		t.Errorf("the file has mode %s and holds:\n%s", info.Mode(), readFile(t, path))
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".policy-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if s.stop(); s.Admin == s.Token || !strings.Contains(auditText(t, s.Config.DataDir), "policy.proposed") {
		t.Error("the proposal is not in the audit log, or its token is everybody's")
	}
	unconfigured := start(t, t.TempDir(), "")
	if status, body := unconfigured.put(unconfigured.Admin, good); status != http.StatusConflict {
		t.Errorf("without a policy file: %d: %s", status, body)
	}
}

func auditText(t *testing.T, dataDir string) string {
	t.Helper()
	return readFile(t, filepath.Join(dataDir, auditDir, "log.jsonl"))
}
