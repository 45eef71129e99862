package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAfterTheCall: beside a running server, a recording in its quarantine is annotated, redacted and verified by commands, and what
// does not fit is refused with the reason.
func TestAfterTheCall(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile(recordAll)
	if err != nil {
		t.Fatal(err)
	}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	kept := strings.NewReplacer("retention: PT1H", "retention: P2D", "quarantine: PT0S", "quarantine: P1D").Replace(string(text))
	if err := os.WriteFile(policy, []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, policy)
	converse(t, s.src("udp"), bursts(), time.Second)
	var id string
	eventually(t, "a recording is stored", 20*time.Second, func() bool {
		rows := list(t, dir, "--state", "stored")
		if len(rows) > 0 {
			id = rows[0].ID
		}
		return len(rows) == 1
	})
	command := func(want int, args ...string) string {
		t.Helper()
		out, code := cliRun(t, append(append([]string{"recordings"}, args...), "--data-dir", dir)...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d: %s", args, code, want, out)
		}
		return out
	}
	note := filepath.Join(t.TempDir(), "note.txt")
	if err := os.WriteFile(note, []byte("well done"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := strings.TrimSpace(command(exitOK, "annotate", id, note))
	if out := command(exitOK, "analyses", id); !strings.Contains(out, doc) || !strings.Contains(out, "note") {
		t.Errorf("the documents are %s", out)
	}
	if out := command(exitOK, "analyses", id, "--open", doc); out != "well done\n" {
		t.Errorf("the document says %q", out)
	}
	command(exitNotFound, "analyses", id, "--open", "other")
	command(exitNotFound, "analyses", "nobody")
	command(exitNotFound, "annotate", "nobody", note)
	command(exitUsage, "annotate", id)
	command(exitFailed, "annotate", id, note, "--kind", "poem")
	command(exitFailed, "release", id, "--why", "nothing is suspected")
	command(exitFailed, "proven", id, "--why", "no evidence")
	command(exitUsage, "redact", id, "--from", "100ms", "--to", "200ms")
	command(exitFailed, "redact", id, "--from", "1h", "--to", "2h", "--why", "too late")
	command(exitNotFound, "redact", "nobody", "--from", "0s", "--to", "1s", "--why", "x")

	before, rate := play(t, dir, id)
	var made struct{ Recording, Redacts string }
	if err := json.Unmarshal([]byte(command(exitOK, "redact", id, "--from", "100ms", "--to", "300ms", "--why", "a number", "--json")), &made); err != nil || made.Redacts != id {
		t.Fatalf("made %+v, %v", made, err)
	}
	after, _ := play(t, dir, made.Recording)
	for c := range before {
		for i, v := range after[c] {
			if silent := i >= rate/10 && i < 3*rate/10; silent && v != 0 || !silent && v != before[c][i] {
				t.Fatalf("sample %d of channel %d is %d, was %d", i, c, v, before[c][i])
			}
		}
	}
	if rows := list(t, dir, "--state", "destroyed"); len(rows) != 1 || rows[0].ID != id {
		t.Errorf("destroyed are %+v", rows)
	}
	command(exitFailed, "play", id, "-o", filepath.Join(t.TempDir(), "x.wav"))
	if out := command(exitOK, "analyses", id); strings.Contains(out, "stored") {
		t.Errorf("the documents of the original are %s", out)
	}
	verifyGood(t, dir)
	s.stop()
	verifyGood(t, dir)
}
