package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestKillRotations kills `keys rotate` at random instants, twenty times: afterwards every key opens, the rotation ends, nothing is left
// to what came before it, and no key is back that was destroyed.
func TestKillRotations(t *testing.T) {
	m := storagetest.StartMinIO(t)
	asRoot(t, m)
	for _, name := range []string{keysInDir, keysInBucket, keysInDatabase} {
		t.Run(name, func(t *testing.T) {
			const kills, keys = 20, 60
			dir, _ := keysIn(t, name, m, "")
			s := start(t, dir, recordAll)
			converse(t, s.src("udp"), bursts(), time.Second)
			settle(t, dir, 1, 20*time.Second)
			s.stop()
			p := partsOf(t, dir)
			defer p.Close()
			want, destroyed := map[string]string{}, map[string]bool{}
			for i := range keys {
				id := fmt.Sprint("key-", i)
				key, err := p.archive.Keys.Create(t.Context(), id)
				if err == nil && i%3 > 0 { // the others wait on this machine
					err = p.archive.Keys.Settle(t.Context(), id)
				}
				if err != nil {
					t.Fatal(err)
				}
				want[id] = key.Recipient()
			}
			begin := func() *exec.Cmd {
				t.Helper()
				cmd := exec.Command(os.Args[0], "keys", "rotate", "--data-dir", dir)
				cmd.Env = append(os.Environ(), childEnv+"=1")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return cmd
			}
			began := time.Now()
			if err := begin().Wait(); err != nil {
				t.Fatal(err)
			}
			whole := time.Since(began) // of one that nobody kills
			random := rand.New(rand.NewPCG(20261128, 26))
			cut := 0
			for i := range kills {
				cmd := begin()
				kill := time.AfterFunc(time.Duration(random.Int64N(int64(whole))), func() { _ = cmd.Process.Kill() })
				if i%4 == 3 { // beside it
					id := fmt.Sprint("key-", i)
					if err := p.archive.Keys.Destroy(t.Context(), id); err != nil {
						t.Error(err)
					}
					delete(want, id)
					destroyed[id] = true
				}
				if err := cmd.Wait(); err != nil {
					cut++
				}
				kill.Stop()
				wantKeys(t, p.archive.Keys, want, destroyed)
			}
			if out, code := cliRun(t, "keys", "rotate", "--data-dir", dir, "--retire", "--json"); code != exitOK {
				t.Errorf("keys rotate: exit %d: %s", code, out)
			}
			// All that was rotated halfway is done now; once more, as what was retired is only what the last rotation came after.
			fresh := partsOf(t, dir)
			defer fresh.Close()
			wantKeys(t, fresh.archive.Keys, want, destroyed)
			status, err := fresh.archive.Keys.Status(t.Context())
			if err != nil || status.Rotation != nil || status.Wrapped[status.KEKs[0]] != len(want)+2 {
				t.Errorf("status %+v, %v: want %d keys, the recording's and the check by one", status, err, len(want))
			}
			if there := surveyOf(t, dir); len(there.Keys) != len(want)+1 {
				t.Errorf("%d keys are there, want %d", len(there.Keys), len(want)+1)
			}
			for _, row := range list(t, dir, "--state", "locked") {
				play(t, dir, row.ID)
			}
			t.Logf("%d of %d were cut off; one that is not takes %s", cut, kills, whole)
			if cut < kills/4 {
				t.Error("few were cut off: the test did not test it")
			}
		})
	}
}

func wantKeys(t *testing.T, keys *seal.Keys, want map[string]string, destroyed map[string]bool) {
	t.Helper()
	for id, recipient := range want {
		if key, err := keys.Get(t.Context(), id); err != nil || key.Recipient() != recipient {
			t.Errorf("key %s: %v, or another", id, err)
		}
	}
	for id := range destroyed {
		if _, err := keys.Get(t.Context(), id); !errors.Is(err, seal.ErrDestroyed) {
			t.Errorf("destroyed key %s: %v", id, err)
		}
	}
}
