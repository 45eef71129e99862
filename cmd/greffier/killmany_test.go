package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// killPolicy records calls to 1001, holds those to 1002 until somebody consents, which nobody does, and records none to 1003.
const killPolicy = `version: 1
internal: {domains: [corp.example]}
classes:
  all: {purpose: Test, legal_basis: legal_obligation, mandate: TEST, works_council: {none: TEST}, retention: PT2H, quarantine: PT0S, sample: 100%}
  held: {purpose: Test, legal_basis: consent, works_council: {none: TEST}, retention: PT2H, sample: 99.999999%, consent: {mode: opt_in_all, unknown: hold, within: PT1S}}
rules:
  - {name: held, when: 'participants.exists(p, p.number == "1002")', class: held}
  - {name: never, when: 'participants.exists(p, p.number == "1003")', record: false}
  - {name: all, class: all}
`

// TestKillTwoHundredTimes kills the server at random instants of the calls' lives, two hundred times on the same data, while it records
// calls, holds calls, discards calls, and finishes what the kills before left. No promise is broken: what was answered and is to be
// recorded is there to within its last second; of what was held or not to be recorded nothing is anywhere; everything agrees.
func TestKillTwoHundredTimes(t *testing.T) {
	t.Parallel()
	const kills, each, longest = 200, 4, 1400 * time.Millisecond
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(killPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(20261128, 200))
	args := []string{"serve", "--data-dir", dir, "--policy", policy, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--media-ports", "0-0", "--log-level", "error"}
	spoken := map[string]time.Duration{} // of calls that were answered and are to be recorded, until the kill
	unlawful := map[string]bool{}        // calls of which nothing may be there
	for range kills {
		p := spawn(t, args...)
		src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip, T1: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(longest))))
		report := src.Load(ctx, siprectest.LoadSpec{
			Calls: each, Rate: 100, Duration: time.Second, Grace: 100 * time.Millisecond,
			Call: func(i int) siprectest.CallSpec { return withAdviser([]string{"1001", "1002", "1001", "1003"}[i%4]) },
		})
		cancel()
		p.kill(t)
		for _, r := range report.Results {
			switch {
			case r.Index%2 == 1:
				unlawful[r.CallID] = true
			case !r.Truth.Start.IsZero():
				spoken[r.CallID] = r.Truth.Length
			}
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, dir, policy)
	recorded, locked := map[string]listedRecording{}, 0 // by every identifier of the call
	eventually(t, "every recording is finished", 60*time.Second, func() bool {
		clear(recorded)
		locked = 0
		for _, row := range list(t, dir) {
			switch row.State {
			case "not_recorded":
				if row.EndedAt.IsZero() {
					return false
				}
				continue
			case "locked":
			default:
				return false
			}
			locked++
			for _, id := range row.CallIDs {
				recorded[id] = row
			}
		}
		return true
	})
	for id, length := range spoken {
		row, ok := recorded[id]
		if lost := length - time.Duration(row.DurationMS)*time.Millisecond; !ok {
			t.Errorf("call %s was answered and is not recorded", id)
		} else if lost > time.Second {
			t.Errorf("call %s: %s of %s are lost", id, lost, length)
		}
	}
	for id := range unlawful {
		if row, ok := recorded[id]; ok {
			t.Errorf("call %s was not to be recorded, and %s is there", id, row.ID)
		}
	}
	s.isInNoFile(append(customerSays, adviserSays...)...)
	t.Logf("%d kills; %d calls were to be recorded and answered, %d are in the store; %d were not to be recorded", kills, len(spoken), locked, len(unlawful))
	verifyGood(t, dir)
}
