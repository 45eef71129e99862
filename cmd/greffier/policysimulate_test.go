package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/recorder"
)

// simulated is what one policy decided by, and the other is tried on.
const simulated = `version: 1
country: FR
keep_facts: P90D
internal: {domains: [corp.example], numbers: ["^10[0-9]{2}$"]}
classes:
  quality: {purpose: Quality, legal_basis: legitimate_interests, balance_test: T, works_council: {none: T}, retention: P6M, quarantine: P1D, sample: "0.999999999", consent: opt_out}
rules:
%s  - {name: everybody, class: quality}
`

// TestPolicySimulate: the calls of three advisers, decided about by one policy, are decided about again by another: by rule, group and adviser.
// The same policy changes nothing, also where somebody objects for good. Whoever has objected since is not recorded, and of what was
// destroyed nothing is known.
func TestPolicySimulate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	users := write("users.yaml", "users:\n  - {id: bmartin, numbers: [\"1001\"], groups: [paris]}\n  - {id: cdurand, numbers: [\"1002\"], groups: [paris, night]}\n  - {id: efabre, numbers: [\"1003\"], groups: [night]}\n")
	before := write("before.yaml", fmt.Sprintf(simulated, ""))
	after := write("after.yaml", fmt.Sprintf(simulated, "  - {name: not-at-night, when: 'participants.exists(p, \"night\" in p.groups)', record: false}\n"))
	config := write("greffier.yaml", fmt.Sprintf("policy: %s\ndirectory: %s\n", before, users))
	s := startWith(t, config, t.TempDir(), before)
	for i := range 12 {
		s.talk(withAdviser(fmt.Sprint(1001+i%3)), 100*time.Millisecond)
	}
	s.objectsForGood(config, "06 55 55 55 55")
	objecting := withAdviser("1001")
	objecting.Metadata.Participants[0].AOR = "sip:+33655555555@carrier.example"
	s.talk(objecting, 100*time.Millisecond)
	rows := s.ended(13)
	if last := rows[12]; last.State != "not_recorded" || last.Reason != "objected" {
		t.Errorf("the call of who objects for good is %s by %s", last.State, last.Reason)
	}
	for policyFile, name := range map[string]string{before: "simulate-same", after: "simulate-other"} {
		s.simulates(name, "--config", config, "--policy", policyFile)
		s.simulates(name+"-json", "--config", config, "--policy", policyFile, "--json")
	}
	s.simulates("simulate-directory", "--config", config, "--policy", after, "--directory", write("moved.yaml", "users:\n  - {id: bmartin, numbers: [\"1001\"], groups: [night]}\n"))
	type witnessed struct {
		Since  time.Time
		Digest string `json:"policy_digest"`
	}
	if got := eventsOf[witnessed](t, s, recorder.EventSimulated); len(got) != 5 || got[0].Digest == "" {
		t.Errorf("witnessed is %+v", got)
	}
	s.simulatesLess(config, before, rows[0].ID)
	if _, err := audit.Verify(s.parts.archive.AuditDir); err != nil {
		t.Error(err)
	}
}

// objectsForGood puts a number on the standing list.
func (r *running) objectsForGood(config, number string) {
	r.t.Helper()
	if out, code := cliRun(r.t, "objections", "add", number, "--source", "agreement", "--data-dir", r.Config.DataDir, "--config", config); code != exitOK {
		r.t.Fatal(out)
	}
	r.lists.Refresh(r.t.Context())
}

// simulatesLess has one of twelve recordings destroyed, and the customer of all object: the first is not simulated with, and the others would
// not be recorded any more.
func (r *running) simulatesLess(config, policyFile, id string) {
	r.t.Helper()
	if err := r.parts.archive.Catalog.Doom(r.t.Context(), id, "objected"); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "it is destroyed", 30*time.Second, func() bool { return len(list(r.t, r.Config.DataDir, "--state", "destroyed")) == 1 })
	r.objectsForGood(config, "06 11 22 33 44")
	out, code := cliRun(r.t, "policy", "simulate", "--data-dir", r.Config.DataDir, "--config", config, "--policy", policyFile, "--json")
	var sim recorder.Simulation
	if err := json.Unmarshal([]byte(out), &sim); err != nil || code != exitOK {
		r.t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if sim.Decisions != 11 || sim.Unknown != 2 || sim.Changed != 11 || sim.After.Recorded != 0 {
		r.t.Errorf("after an objection: %s", out)
	}
}

// simulates holds what `policy simulate` prints to a golden file, but for the instants.
func (r *running) simulates(name string, args ...string) {
	r.t.Helper()
	var out, errOut bytes.Buffer
	if code := run(r.t.Context(), append([]string{"policy", "simulate", "--data-dir", r.Config.DataDir}, args...), &out, &errOut); code != exitOK {
		r.t.Fatalf("exit %d: %s", code, errOut.String())
	}
	var text strings.Builder
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, `"since"`) {
			line = "  \"since\": \"thirty days before\",\n"
		}
		text.WriteString(line)
	}
	path := filepath.Join(policyTests, name+".golden")
	if *updateGolden {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	if want := readFile(r.t, path); want != text.String() {
		r.t.Errorf("%s says:\n%s\nand the command prints:\n%s", path, want, text.String())
	}
}
