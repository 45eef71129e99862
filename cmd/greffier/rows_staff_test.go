package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec/siprectest"
)

// staffed writes a configuration with a directory of two advisers, of whom one has acknowledged the notice.
func staffed(t *testing.T) (config string) {
	t.Helper()
	dir := t.TempDir()
	users := filepath.Join(dir, "users.yaml")
	config = filepath.Join(dir, "greffier.yaml")
	for path, text := range map[string]string{
		users:  "users:\n  - {id: bmartin, numbers: [\"1001\"], acknowledged: [NOTICE-1]}\n  - {id: cdurand, numbers: [\"1002\"]}\n",
		config: fmt.Sprintf("directory: %s\n", users),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// withAdviser is a conversation with another adviser.
func withAdviser(number string) siprectest.CallSpec {
	spec := conversation(trialPhase)
	spec.Metadata.Participants[1].AOR = "sip:" + number + "@corp.example"
	return spec
}

// TestR29: an adviser who has not acknowledged the notice is not recorded, and the audit log says why; one who has is.
func TestR29(t *testing.T) {
	t.Parallel()
	s := startWith(t, staffed(t), t.TempDir(), trial(t, "acknowledgement: NOTICE-1"))
	s.talk(withAdviser("1002"), trialPhase)
	s.talk(withAdviser("1001"), trialPhase)
	rows := s.ended(2)
	if rows[0].State != "not_recorded" || rows[0].Reason != "not_acknowledged" {
		t.Errorf("without acknowledgement the call is %s by %s", rows[0].State, rows[0].Reason)
	}
	type decided struct {
		Record         bool
		Reason, Detail string
	}
	want := decided{false, "not_acknowledged", "notice: NOTICE-1"}
	if got := eventsOf[decided](t, s, recorder.EventDecision); len(got) != 2 || got[0] != want || !got[1].Record {
		t.Errorf("decisions %+v, want the first %+v", got, want)
	}
	s.hears(rows[1].ID, "+")
	s.isInNoFile(customerSays...)
	verifyGood(t, s.Config.DataDir)
}

// TestR04Coverage: how much of each adviser's calls was recorded is reported week by week, and a week above the ceiling is warned of. Of
// calls that were not recorded nobody's name is kept, and they are counted all the same.
func TestR04Coverage(t *testing.T) {
	t.Parallel()
	policy := trial(t, "start: at_once")
	text := strings.Replace(readFile(t, policy), "{name: all, class: trial}", "{name: out, when: 'participants.exists(p, p.number == \"1002\")', record: false}\n  - {name: all, class: trial}", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := staffed(t)
	s := startWith(t, config, t.TempDir(), policy)
	for range coverageLeast {
		s.talk(withAdviser("1001"), 100*time.Millisecond)
		s.talk(withAdviser("1002"), 100*time.Millisecond)
	}
	s.ended(2 * coverageLeast)
	args := []string{"policy", "coverage", "--data-dir", s.Config.DataDir, "--config", withPolicy(t, config, policy)}
	out, code := cliRun(t, append(args, "--json")...)
	var got struct {
		recorder.Coverage
		Above []recorder.AgentWeek
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	shares := map[string]float64{}
	for _, w := range got.Weeks {
		shares[w.Agent] += w.Share()
	}
	if code != exitFailed || len(got.Weeks) != 2 || shares["bmartin"] != 1 || shares["cdurand"] != 0 || len(got.Above) != 1 || got.Above[0].Agent != "bmartin" || got.All.Recorded != coverageLeast {
		t.Errorf("exit %d, %s", code, out)
	}
	if out, code := cliRun(t, append(args, "--ceiling", "100")...); code != exitOK || !strings.Contains(out, "bmartin") || strings.Contains(out, "warning") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// withPolicy writes a configuration that names a policy, too.
func withPolicy(t *testing.T, config, policy string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "greffier.yaml")
	if err := os.WriteFile(path, []byte(readFile(t, config)+"policy: "+policy+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
