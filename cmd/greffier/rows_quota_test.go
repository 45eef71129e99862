package main

import (
	"testing"
	"time"
)

// TestR05Quota: of an adviser's calls as many are kept as the quota says, whichever come first: a call that is drawn later and has the
// better draw takes the place of another, of which nothing is left.
func TestR05Quota(t *testing.T) {
	t.Parallel()
	const calls, places = 8, 2
	s := start(t, t.TempDir(), trial(t, "quota: {calls: 2, every: week}\nretention: P1M\nquarantine: P7D"))
	for range calls {
		s.talk(conversation(trialPhase), 600*time.Millisecond)
	}
	var rows []listedRecording
	eventually(t, "the quota is kept", 30*time.Second, func() bool {
		rows = s.ended(calls)
		kept := 0
		for _, row := range rows {
			if row.State == "stored" {
				kept++
			}
		}
		return kept == places
	})
	for _, row := range rows {
		switch {
		case row.State == "stored":
			s.hears(row.ID, "+")
		case row.why() != "quota_over" || row.State != "not_recorded" && row.State != "destroyed":
			t.Errorf("%s is %s by %s", row.ID, row.State, row.why())
		default:
			s.leavesNothing(row.ID)
		}
	}
	verifyGood(t, s.Config.DataDir)
}
