package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestExpiryByLifecycle: a recording whose recorder is gone, on a service whose day for lifecycle rules is ten seconds. The service hides it
// before its term, and it is heard all the same; when its lock ends the service deletes it, nobody else does. A recorder that comes back then
// destroys the key, and finds nothing wrong.
func TestExpiryByLifecycle(t *testing.T) {
	t.Parallel()
	const term = 50 * time.Second
	c := storagetest.StartCeph(t)
	store := c.NewBucket(t)
	config, secret, dir := filepath.Join(t.TempDir(), "greffier.yaml"), filepath.Join(t.TempDir(), "secret"), t.TempDir()
	text := fmt.Sprintf("store: {type: s3, s3: {endpoint: %q, region: us-east-1, path_style: true, bucket: %s, ca_file: %s, access_key: %s, secret_key_file: %s}}\n",
		c.Config.Endpoint, store.Bucket(), c.Config.CAFile, c.Config.AccessKey, secret)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(secret, []byte(string(c.Config.SecretKey)), 0o600)); err != nil {
		t.Fatal(err)
	}
	rules := trial(t, "retention: PT50S")
	startWith(t, config, dir, rules).stop() // it makes the audit log, in which the rules are
	if out, code := cliRun(t, "storage", "apply", "-c", config, "--data-dir", dir, "--policy", rules, "--yes"); code != exitOK {
		t.Fatalf("apply: exit %d: %s", code, out)
	}
	s := startWith(t, config, dir, rules)
	s.talk(conversation(trialPhase), trialPhase)
	var row listedRecording
	eventually(t, "locked", 15*time.Second, func() bool {
		rows := list(t, dir, "--config", config, "--state", "locked")
		if len(rows) == 1 {
			row = rows[0]
		}
		return len(rows) == 1
	})
	s.stop()

	stored := map[storage.Ref]bool{}
	for info, err := range store.List(t.Context(), storage.RecordingPrefix) {
		if err != nil {
			t.Fatal(err)
		}
		stored[info.Ref] = true
	}
	if len(stored) != 2 {
		t.Fatalf("%d objects of a recording", len(stored))
	}
	there := func(hidden bool) (n int) {
		for ref := range stored {
			if hidden {
				ref.VersionID = ""
			}
			if _, err := store.Stat(t.Context(), ref); err == nil {
				n++
			}
		}
		return n
	}
	eventually(t, "hidden by the service", term, func() bool { return there(true) == 0 })
	if time.Now().After(row.LockedUntil) {
		t.Fatal("hidden only after its lock: nothing is proven")
	}
	t.Logf("hidden %s before its lock ends", time.Until(row.LockedUntil).Round(time.Second))
	if out, code := cliRun(t, "recordings", "play", row.ID, "--config", config, "--data-dir", dir, "-o", filepath.Join(t.TempDir(), "call.wav")); code != exitOK {
		t.Errorf("hidden, and not heard: exit %d: %s", code, out)
	}
	if out, code := cliRun(t, "verify", "--config", config, "--data-dir", dir); code != exitOK {
		t.Errorf("hidden: verify: exit %d: %s", code, out)
	}
	<-time.After(time.Until(row.LockedUntil) - time.Second)
	if n := there(false); n != len(stored) {
		t.Errorf("a second before its lock ends %d of %d objects are there", n, len(stored))
	}
	eventually(t, "deleted by the service", 4*storagetest.CephDay, func() bool { return there(false) == 0 })
	t.Logf("gone %s after its lock ended", time.Since(row.LockedUntil).Round(time.Second))
	again := startWith(t, config, dir, rules)
	eventually(t, "expired", 15*time.Second, func() bool { return len(list(t, dir, "--config", config, "--state", "expired")) == 1 })
	again.stop()
	if out, code := cliRun(t, "verify", "--config", config, "--data-dir", dir); code != exitOK {
		t.Errorf("gone: verify: exit %d: %s", code, out)
	}
}
