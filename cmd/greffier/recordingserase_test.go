package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/recorder"
)

// recordAllBut gives the policy of record-all with other words.
func recordAllBut(t *testing.T, words ...string) string {
	t.Helper()
	text := readFile(t, recordAll)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(strings.NewReplacer(words...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return policy
}

// TestHoldAndErase: beside a running server, commands hold recordings by id and by rule, release them, and two persons erase one.
func TestHoldAndErase(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAllBut(t, "retention: PT1H", "retention: P2D", "legal_basis: legal_obligation", "legal_basis: legitimate_interests",
		"mandate: ", "balance_test: ", "sample: 100%", "sample: 99.9999%", "works_council:", "acknowledgement: TEST\n    works_council:"))
	converse(t, s.src("udp"), bursts(), time.Second)
	stored := func(n int) []listedRecording {
		t.Helper()
		var rows []listedRecording
		eventually(t, "recordings are locked", 20*time.Second, func() bool {
			rows = list(t, dir, "--state", "locked")
			return len(rows) == n
		})
		return rows
	}
	id := stored(1)[0].ID
	command := func(want int, args ...string) string {
		t.Helper()
		out, code := cliRun(t, append(append([]string{"recordings"}, args...), "--data-dir", dir)...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
		}
		return out
	}
	command(exitUsage, "hold", id)
	command(exitFailed, "hold", "--reason", "Case 1")
	command(exitFailed, "hold", "--query", "--reason", "Case 1")
	command(exitFailed, "hold", "--class", "all", "--reason", "Case 1")
	command(exitNotFound, "hold", "nobody", "--reason", "Case 1")
	command(exitFailed, "release-hold", "--reason", "x")
	command(exitFailed, "release-hold", id, "--reason", "x")

	var h recorder.HoldStatus
	if err := json.Unmarshal([]byte(command(exitOK, "hold", id, "--reason", "Case 1", "--json")), &h); err != nil || len(h.Recordings) != 1 || h.Recordings[0].State != catalog.HoldPlaced {
		t.Errorf("the hold is %+v, %v", h, err)
	}
	command(exitFailed, "erase", "request", id, "--reason", "request 12")
	command(exitFailed, "redact", id, "--from", "100ms", "--to", "200ms", "--why", "x")
	if out := command(exitOK, "hold", "--query", "--from", "2020-01-01", "--name", "rule", "--reason", "Case 2"); !strings.Contains(out, "hold rule: 1 held") {
		t.Errorf("held by the rule: %q", out)
	}
	converse(t, s.src("udp"), bursts(), time.Second)
	stored(2)
	eventually(t, "the rule holds the next one", 5*time.Second, func() bool { return strings.Contains(command(exitOK, "holds"), "2 held") })
	verifyGood(t, dir)
	command(exitFailed, "release-hold", id, "--reason", "two hold it")
	if out := command(exitOK, "release-hold", "--name", "rule", "--reason", "settled"); !strings.Contains(out, "2 released") {
		t.Errorf("released: %q", out)
	}
	command(exitOK, "release-hold", id, "--reason", "settled")
	var all []recorder.HoldStatus
	if err := json.Unmarshal([]byte(command(exitOK, "holds", "--all", "--json")), &all); err != nil || len(all) != 2 {
		t.Errorf("the holds are %+v, %v", all, err)
	}

	command(exitOK, "restrict", id, "--reason", "request 4")
	sound := filepath.Join(t.TempDir(), "x.wav")
	command(exitFailed, "play", id, "-o", sound)
	if code := s.status(t, "/api/v1/recordings/"+id+"/audio"); code != 403 {
		t.Errorf("over HTTP what is restricted is answered %d", code)
	}
	command(exitOK, "play", id, "-o", sound, "--despite-restriction", "defence of a claim")
	command(exitOK, "unrestrict", id, "--reason", "accurate")
	command(exitFailed, "unrestrict", id, "--reason", "again")

	command(exitNotFound, "erase", "approve", "nobody")
	command(exitFailed, "erase", "approve", id)
	command(exitOK, "erase", "request", id, "--reason", "request 12")
	command(exitFailed, "erase", "approve", id) // the same person
	if out := command(exitOK, "erase", "list", "--open"); !strings.Contains(out, "request 12") {
		t.Errorf("the requests are %q", out)
	}
	command(exitOK, "erase", "refuse", id, "--reason", "not hers")
	askAs(t, dir, id, "os:somebody-else")
	if out := command(exitOK, "erase", "approve", id); !strings.Contains(out, "is erased") {
		t.Errorf("erased: %q", out)
	}
	if rows := list(t, dir, "--state", "erased"); len(rows) != 1 || rows[0].GoneReason != "erased" {
		t.Errorf("erased are %+v", rows)
	}
	if code := s.status(t, "/api/v1/recordings/"+id+"/audio"); code != 410 {
		t.Errorf("over HTTP what is erased is answered %d", code)
	}
	verifyGood(t, dir)
	s.stop()
	verifyGood(t, dir)
}

// status asks the API as its user, and gives the status of the answer.
func (s *running) status(t *testing.T, path string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// askAs asks for an erasure as another person than the one who runs the tests.
func askAs(t *testing.T, dir, id, who string) {
	t.Helper()
	p, err := located{DataDir: dir}.open(t.Context(), witnesses)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.archive.RequestErasure(t.Context(), id, who, "request 13"); err != nil {
		t.Fatal(err)
	}
}

// TestEraserIsConfigured: with credentials of its own, and both of them.
func TestEraserIsConfigured(t *testing.T) {
	const s3 = "store: {type: s3, s3: {endpoint: s3.example, bucket: b, access_key: writer, secret_key_file: w"
	for text, want := range map[string]string{
		s3 + "}}\n": "",
		s3 + ", eraser_access_key: eraser, eraser_secret_key_file: e}}\n": "",
		s3 + ", eraser_access_key: eraser}}\n":                            "together",
		s3 + ", eraser_secret_key_file: e}}\n":                            "together",
		s3 + ", eraser_access_key: writer, eraser_secret_key_file: w}}\n": "credentials of its own",
	} {
		path := filepath.Join(t.TempDir(), "greffier.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(path, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
