package main

import (
	"context"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestKillAnywhere kills the server at different instants of the calls' lives, over and over on the same data. After each
// start every call that was answered is recorded, whole to within the last second, and in the end everything agrees.
func TestKillAnywhere(t *testing.T) {
	const rounds, calls = 8, 6
	dir := t.TempDir()
	args := []string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "error"}
	type answered struct {
		callID string
		spoken time.Duration // between the answer and the kill, or the hang-up
	}
	var all []answered
	for round := range rounds {
		p := spawn(t, args...)
		src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip, T1: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		// The kill falls into set-up, the first second, the middle, the hang-up and the finishing of calls of 1.5 s.
		life := time.Duration(round) * 260 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), life+20*time.Millisecond)
		report := src.Load(ctx, siprectest.LoadSpec{
			Calls: calls, Rate: 100, Duration: 1500 * time.Millisecond, Grace: 100 * time.Millisecond,
			Call: func(int) siprectest.CallSpec { return bursts() },
		})
		cancel()
		p.kill(t)
		for _, r := range report.Results {
			if !r.Truth.Start.IsZero() {
				all = append(all, answered{r.CallID, r.Truth.Length})
			}
		}
		if err := src.Close(); err != nil {
			t.Fatal(err)
		}
	}
	spawn(t, args...)
	recorded := map[string]time.Duration{}
	eventually(t, "every recording finished", 30*time.Second, func() bool {
		clear(recorded)
		unfinished := 0
		for _, r := range list(t, dir) {
			if r.State != "locked" {
				unfinished++
			} else if len(r.CallIDs) > 0 {
				recorded[r.CallIDs[0]] = time.Duration(r.DurationMS) * time.Millisecond
			}
		}
		return unfinished == 0
	})
	for _, a := range all {
		length, ok := recorded[a.callID]
		if !ok {
			t.Errorf("call %s was answered and is not recorded", a.callID)
		} else if lost := a.spoken - length; lost > time.Second {
			t.Errorf("call %s: %s of %s are lost", a.callID, lost, a.spoken)
		}
	}
	t.Logf("%d calls answered, %d recorded", len(all), len(recorded))
	verifyGood(t, dir)
}
