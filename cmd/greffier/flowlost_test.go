package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// deadCalls is how many calls the client has that dies.
const deadCalls = 16

// deadID is the Call-ID of one of them.
func deadID(n int) string { return fmt.Sprintf("dead-%d", n) }

// die opens calls, and leaves nobody who would answer for them.
func die(t *testing.T, server string) {
	t.Helper()
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	for n := range deadCalls {
		spec := bursts()
		spec.CallID = deadID(n)
		call, err := src.Invite(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		defer call.Abandon()
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkDead expects the calls of the dead client to have ended together, though none was hung up with an answer.
func checkDead(t *testing.T, dir string) {
	t.Helper()
	var first time.Time
	for n := range deadCalls {
		var rows []listedRecording
		eventually(t, "recording locked", lostAfter, func() bool {
			rows = list(t, dir, "--call-id", deadID(n), "--state", "locked")
			return len(rows) == 1
		})
		r := rows[0]
		if n == 0 {
			first = r.EndedAt
		}
		if apart := r.EndedAt.Sub(first).Abs(); r.EndCause != "lost" || apart > 5*time.Second {
			t.Errorf("call %d ended by %s, %s from the first", n, r.EndCause, apart)
		}
	}
}
