package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/recorder"
)

// policyAt asks a server which policy is in force.
func policyAt(t *testing.T, url, token string) (p api.PolicyInForce) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/policy", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(b, &p) != nil {
		t.Fatalf("GET policy: %s: %s: %v", answer.Status, b, err)
	}
	return p
}

// replace puts a text into a file's place, whole.
func replace(t *testing.T, path, text string) {
	t.Helper()
	temp := filepath.Join(filepath.Dir(path), "next.yaml")
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

// TestR35: whoever may listen cannot change the policy, and an administrator can; every policy that was ever in force is in the audit log by
// its digest, and every decision names that of the policy that took it. A call goes on under the policy that it began under.
func TestR35(t *testing.T) {
	t.Parallel()
	path := trial(t, "start: at_once")
	first := readFile(t, path)
	second := strings.Replace(first, "{name: all, class: trial}", "{name: none, when: 'true', record: false}\n  - {name: all, class: trial}", 1)
	third := first + "# as before\n"
	s := start(t, t.TempDir(), path)
	spec := conversation(trialPhase)
	spec.Timeline = append(spec.Timeline, s.meanwhile(trialPhase, func(string) {
		if status, body := s.put(s.Token, second); status != http.StatusForbidden {
			t.Errorf("whoever may listen is answered %d: %s", status, body)
		}
		if digest := policyAt(t, s.url(), s.Token).Digest; digest != digestOf([]byte(first)) {
			t.Errorf("after a change that was refused %s is in force", digest)
		}
		if status, body := s.put(s.Admin, second); status != http.StatusAccepted {
			t.Errorf("an administrator is answered %d: %s", status, body)
		}
		if digest := policyAt(t, s.url(), s.Token).Digest; digest != digestOf([]byte(second)) {
			t.Errorf("after the change %s is in force", digest)
		}
	}), tells(2*trialPhase, spec.Metadata))
	s.talk(spec, 3*trialPhase)
	s.talk(conversation(trialPhase), trialPhase/4)
	replace(t, path, third)
	eventually(t, "the file is taken up", 5*listsInterval, func() bool { return policyAt(t, s.url(), s.Token).Digest == digestOf([]byte(third)) })
	s.talk(conversation(trialPhase), trialPhase/4)

	rows := s.ended(3)
	s.hears(rows[0].ID, "+++")
	if rows[1].State != "not_recorded" || rows[2].State != "locked" && rows[2].State != "stored" {
		t.Errorf("under the second policy a call is %s, and under the third %s", rows[1].State, rows[2].State)
	}
	var want []string
	for _, text := range []string{first, second, third} {
		want = append(want, digestOf([]byte(text)))
	}
	type digested struct {
		Digest string
		Record bool
	}
	var loaded, decided []string
	for _, e := range eventsOf[digested](t, s, eventPolicyLoaded) {
		loaded = append(loaded, e.Digest)
	}
	for _, e := range eventsOf[struct {
		Digest string `json:"policy_digest"`
	}](t, s, recorder.EventDecision) {
		decided = append(decided, e.Digest)
	}
	if !slices.Equal(loaded, want) {
		t.Errorf("in force were %v, want %v", loaded, want)
	}
	if !slices.Equal(decided, want) {
		t.Errorf("decided was by %v, want %v", decided, want)
	}
	verifyGood(t, s.Config.DataDir)
}

// TestR35AtHangup: SIGHUP has a changed policy taken up at once: sooner than a second look could find it.
func TestR35AtHangup(t *testing.T) {
	t.Parallel()
	path, dir := trial(t, "start: at_once"), t.TempDir()
	p := spawn(t, "serve", "--data-dir="+dir, "--policy="+path, "--sip-listen=udp://127.0.0.1:0", "--http-listen=127.0.0.1:0", "--media-ports=0-0", "--log-level=warn")
	token := strings.TrimSpace(readFile(t, filepath.Join(dir, secretsDir, tokenFile)))
	next := readFile(t, path) + "# reviewed\n"
	replace(t, path, next)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the policy is in force", listsInterval-50*time.Millisecond, func() bool { return policyAt(t, p.url, token).Digest == digestOf([]byte(next)) })
}
