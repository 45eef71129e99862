package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/storage/storagetest"
)

// keysStatusOf is what `keys status --json` prints.
func keysStatusOf(t *testing.T, args ...string) keysStatus {
	t.Helper()
	out, code := cliRun(t, append([]string{"keys", "status", "--json"}, args...)...)
	var s keysStatus
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK {
		t.Fatalf("keys status: exit %d: %s %v", code, out, err)
	}
	return s
}

// TestRotateKeys changes the key-encryption key beside a running server, takes the old one away, and records on.
func TestRotateKeys(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	converse(t, s.src("udp"), bursts(), time.Second)
	settle(t, dir, 1, 20*time.Second)
	old := readFile(t, filepath.Join(dir, secretsDir, kekFile))
	out, code := cliRun(t, "keys", "rotate", "--data-dir", dir, "--retire", "--json")
	var rotated rotatedKeys
	if err := json.Unmarshal([]byte(out), &rotated); err != nil || code != exitOK || rotated.Rewrapped != 2 || rotated.Failed != 0 || !rotated.Retired {
		t.Fatalf("keys rotate: exit %d: %s %v", code, out, err)
	}
	if now := readFile(t, filepath.Join(dir, secretsDir, kekFile)); strings.Contains(now, old[strings.Index(old, "AGE-SECRET"):]) {
		t.Error("the old key-encryption key is still there")
	}
	converse(t, s.src("udp"), bursts(), time.Second)
	settle(t, dir, 2, 20*time.Second)
	if got := keysStatusOf(t, "--data-dir", dir); len(got.KEKs) != 1 || got.KEKs[0].ID != rotated.To || got.KEKs[0].Keys != 3 || got.Problem != "" {
		t.Errorf("status %+v", got)
	}
	var outcomes []string
	for e, err := range audit.Read(filepath.Join(dir, auditDir)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "keys.rotated" {
			outcomes = append(outcomes, string(e.Outcome))
		}
	}
	if strings.Join(outcomes, " ") != "intended done" {
		t.Errorf("witnessed: %q", outcomes)
	}
	verifyGood(t, dir)
}

// TestVaultIsAway records and stores by a Vault; while that is away calls go on, at a server too that starts then, and are stored when it
// is back.
func TestVaultIsAway(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	for name, value := range map[string]string{"KEK": v.URL("transit/greffier"), "TOKEN_FILE": v.TokenFile(t)} {
		t.Setenv("GREFFIER_KEYS_"+name, value)
	}
	s := start(t, dir, recordAll)
	converse(t, s.src("udp"), bursts(), time.Second)
	v.Fail(http.StatusServiceUnavailable)
	converse(t, s.src("udp"), bursts(), time.Second)
	settle(t, dir, 2, 20*time.Second) // the secret is in memory
	s.stop()
	s = startLogging(t, discardLog{}, dir, recordAll)
	converse(t, s.src("udp"), bursts(), time.Second)
	if rows := list(t, dir, "--state", "locked"); len(rows) != 2 {
		t.Errorf("%d recordings are locked, want 2: the third has to wait", len(rows))
	}
	if got := keysStatusOf(t, "--data-dir", dir); !strings.Contains(got.Problem, "unseal Vault") || len(got.KEKs) != 1 || got.KEKs[0].Service == "" {
		t.Errorf("status %+v", got)
	}
	v.Fail(0)
	settle(t, dir, 3, 40*time.Second)
	verifyGood(t, dir)
	if _, err := os.Stat(filepath.Join(dir, secretsDir, kekFile)); err == nil {
		t.Error("there is a key-encryption key in a file, too")
	}
}

type discardLog struct{}

func (discardLog) Write(p []byte) (int, error) { return len(p), nil }

// TestRestoredKeysStayDestroyed puts a copy of the keys from before back after one was destroyed: the audit log brings the tombstone back.
func TestRestoredKeysStayDestroyed(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "quarantine: PT0S", "quarantine: PT30M", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, policy)
	converse(t, s.src("udp"), bursts(), 2*time.Second)
	var id string
	eventually(t, "recording stored", 20*time.Second, func() bool {
		rows := list(t, dir, "--state", "stored")
		if len(rows) == 1 {
			id = rows[0].ID
		}
		return len(rows) == 1
	})
	s.stop()
	keys, backup := filepath.Join(dir, keysDir), filepath.Join(t.TempDir(), "keys")
	if err := os.CopyFS(backup, os.DirFS(keys)); err != nil {
		t.Fatal(err)
	}
	// A redaction destroys the original.
	if out, code := cliRun(t, "recordings", "redact", id, "--data-dir", dir, "--from", "0s", "--to", "1s", "--why", "test"); code != exitOK {
		t.Fatalf("redact: exit %d: %s", code, out)
	}
	restore := func() {
		t.Helper()
		if err := os.RemoveAll(keys); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(keys, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
		if err := chmodTree(keys); err != nil {
			t.Fatal(err)
		}
		if files, err := filepath.Glob(filepath.Join(keys, "*", id+".age")); err != nil || len(files) != 1 {
			t.Fatalf("the backup has no key: %v, %v", files, err)
		}
	}
	gone := func(how string) {
		t.Helper()
		if files, err := filepath.Glob(filepath.Join(keys, "*", id+".age")); err != nil || len(files) != 0 {
			t.Errorf("%s: the destroyed key is back: %v, %v", how, files, err)
		}
		if files, err := filepath.Glob(filepath.Join(keys, "*", id+".destroyed")); err != nil || len(files) != 1 {
			t.Errorf("%s: it has no tombstone: %v, %v", how, files, err)
		}
	}
	gone("before")
	restore()
	out, code := cliRun(t, "keys", "replay", "--data-dir", dir, "--json")
	if code != exitOK || !strings.Contains(out, `"destroyed": 1`) && !strings.Contains(out, `"destroyed":1`) {
		t.Errorf("keys replay: exit %d: %s", code, out)
	}
	gone("by the command")
	restore()
	s = start(t, dir, policy)
	resp, err := http.Get(s.url() + "/healthz") // is not answered before
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	gone("by a start")
}
