package main

import (
	"slices"
	"testing"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// persistent is one recording session that stays, through which three calls pass (RFC 8068 section 3.4). What is said of a call holds from
// when it arrives, so that the client is silent while it says so.
var persistent = flow{
	name: "persistent", about: "three calls one after the other in one recording session; between the second and the third there is none, and media go on",
	steps: []step{
		opening,
		{how: reinvite, hush: true, lines: both, doc: said(2, siprec.Complete, one(alice, "Alice", "1"), one(carol, "Carol", "2")), tones: tones{600, 700}, wait: phase},
		{how: update, doc: stopped(said(2, siprec.Partial)), tones: tones{1400, 1500}, wait: phase},
		{how: reinvite, hush: true, lines: both, doc: said(3, siprec.Complete, one(alice, "Alice", "1"), one(dave, "Dave", "2")), tones: tones{800, 900}, wait: phase},
		{how: bye},
	},
}

// TestPersistentSession: each call is a recording of its own, with its own people and sound only, and all name the recording session.
func TestPersistentSession(t *testing.T) {
	t.Parallel()
	p, dir := newPKI(t), t.TempDir()
	s := startFlows(t, p, dir)
	want := []struct {
		cause  siprec.EndCause
		tones  tones
		people string
	}{
		{siprec.EndSession, tones{400, 500}, alice + "=1 " + bob + "=2"},
		{siprec.EndSession, tones{600, 700}, alice + "=1 " + carol + "=2"},
		{siprec.EndBye, tones{800, 900}, alice + "=1 " + dave + "=2"},
	}
	for _, run := range runFlows(t, s, p, persistent) {
		t.Run(run.transport, func(t *testing.T) {
			if run.err != nil {
				t.Fatal(run.err)
			}
			var rows []listedRecording
			eventually(t, "recordings locked", lostAfter, func() bool {
				rows = list(t, dir, "--call-id", run.callID(run.transport), "--state", "locked")
				return len(rows) >= len(want)
			})
			if len(rows) != len(want) {
				t.Fatalf("%d recordings, want %d", len(rows), len(want))
			}
			slices.SortFunc(rows, func(a, b listedRecording) int { return a.StartedAt.Compare(b.StartedAt) })
			sessions := map[string]bool{}
			for i, w := range want {
				side := sidecarOf(t, dir, rows[i].ID)
				sessions[side.Session.RecordingSession] = true
				if side.Session.EndCause != w.cause || side.Session.CommunicationSession == "" || len(side.Warnings) > 0 {
					t.Errorf("call %d of session %q ended by %s, warnings %v", i, side.Session.CommunicationSession, side.Session.EndCause, side.Warnings)
				}
				if got := people(side); got != w.people {
					t.Errorf("call %d: people %s, want %s", i, got, w.people)
				}
				channels, rate := play(t, dir, rows[i].ID)
				for c := range channels {
					kept{}.checkTones(t, c, siprectest.Detect(channels[c], rate, run.all()...), []int{w.tones[c]})
				}
			}
			if len(sessions) != 1 || sessions[""] {
				t.Errorf("recording sessions %v, want one", sessions)
			}
		})
	}
	verifyGood(t, dir)
}
