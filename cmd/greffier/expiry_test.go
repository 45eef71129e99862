package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/storagetest"
)

// TestExpiryInRealTime: a class that keeps its recordings for seconds, on a service and in a directory: until the term ends a recording is
// locked and can be heard; then it cannot, within a second, and its bytes are gone with the next sweep, by the clock of the service.
func TestExpiryInRealTime(t *testing.T) {
	const term, margin, sweep = 20 * time.Second, 2 * time.Second, 45 * time.Second
	m := storagetest.StartMinIO(t)
	asWriter(t, m)
	for name, config := range map[string]string{
		"directory": "store: {type: dir}\n",
		"service":   fmt.Sprintf("store: {type: s3, s3: {endpoint: %q, bucket: %s, ca_file: %s}}\n", m.Config.Endpoint, m.NewBucket(t).Bucket(), m.Config.CAFile),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "greffier.yaml")
			if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startWith(t, path, t.TempDir(), trial(t, "retention: PT20S"))
			s.talk(conversation(trialPhase), trialPhase)
			store := s.parts.archive.Store
			var row listedRecording
			eventually(t, "locked", 15*time.Second, func() bool {
				rows := list(t, s.Config.DataDir, "--config", path, "--state", "locked")
				if len(rows) == 1 {
					row = rows[0]
				}
				return len(rows) == 1
			})
			if left := time.Until(row.LockedUntil); left > term+time.Second || left < 0 {
				t.Errorf("it is locked for %s more, of a term of %s", left, term)
			}
			<-time.After(time.Until(row.LockedUntil) - margin)
			if rows := list(t, s.Config.DataDir, "--config", path, "--state", "locked"); len(rows) != 1 {
				t.Errorf("%s before its term ends it is not there", margin)
			}
			if sound, err := s.parts.archive.Play(t.Context(), row.ID, "test", "", ""); err != nil {
				t.Errorf("%s before its term ends it is not heard: %v", margin, err)
			} else {
				sound.Close()
			}
			<-time.After(time.Until(row.LockedUntil) + margin)
			if sound, err := s.parts.archive.Play(t.Context(), row.ID, "test", "", ""); err == nil {
				sound.Close()
				t.Errorf("%s after its term it is still heard", margin)
			}
			eventually(t, "the bytes are gone", sweep, func() bool {
				n := 0
				for _, err := range store.List(t.Context(), "rec/") {
					if err != nil {
						t.Fatal(err)
					}
					n++
				}
				return n == 0
			})
			if out, code := cliRun(t, "verify", "--data-dir", s.Config.DataDir, "--config", path); code != exitOK {
				t.Errorf("verify: exit %d: %s", code, out)
			}
		})
	}
}
