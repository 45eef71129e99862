package main

import (
	"testing"
	"time"
)

// TestDeadSRC: all calls of a client that has died end together, though none of them is hung up with an answer.
func TestDeadSRC(t *testing.T) {
	t.Parallel()
	const calls = 16
	dir := t.TempDir()
	s := start(t, dir, recordAll, "--media-silence=1s")
	src := s.src("udp")
	for range calls {
		call, err := src.Invite(t.Context(), bursts())
		if err != nil {
			t.Fatal(err)
		}
		defer call.Abandon()
	}
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	rows := settle(t, dir, calls, lostAfter)
	for _, r := range rows {
		if apart := r.EndedAt.Sub(rows[0].EndedAt).Abs(); r.EndCause != "lost" || apart > 5*time.Second {
			t.Errorf("ended by %s, %s from another", r.EndCause, apart)
		}
	}
}
