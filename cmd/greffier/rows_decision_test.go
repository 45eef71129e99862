package main

import (
	"os"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestR36Marks: evidence begins on a mark and ends on one; what is stored is what was said between, and each span is a recording.
func TestR36Marks(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "kind: evidence\nstart: on_mark"))
	spec := conversation(trialPhase, s.marks(trialPhase, true), s.marks(2*trialPhase, false), s.marks(3*trialPhase, true))
	s.talk(spec, 4*trialPhase)
	rows := s.ended(2)
	s.hears(rows[0].ID, "-+--")
	s.hears(rows[1].ID, "---+")
	for _, row := range rows {
		if d := row.DurationMS - trialPhase.Milliseconds(); d > 100 || d < -100 {
			t.Errorf("%s lasts %d ms, and the marks are %s apart", row.ID, row.DurationMS, trialPhase)
		}
	}
	if rows[0].EndCause != "mark" {
		t.Errorf("the first ended by %s", rows[0].EndCause)
	}
	verifyGood(t, s.Config.DataDir)
}

// TestR46NothingBeforeTheMark: without a mark nothing is kept, and nobody can have what was said before one.
func TestR46NothingBeforeTheMark(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "kind: evidence\nstart: on_mark"))
	s.talk(conversation(trialPhase), trialPhase)
	row := s.ended(1)[0]
	if row.State != "not_recorded" || row.Reason != "not_marked" {
		t.Errorf("the call is %s by %s", row.State, row.Reason)
	}
	s.leavesNothing(row.ID)
	verifyGood(t, s.Config.DataDir)
}

// TestR34Internal: a call among colleagues is not recorded unless a rule says that it may be.
func TestR34Internal(t *testing.T) {
	t.Parallel()
	spec := conversation(trialPhase)
	spec.Metadata.Participants[0].AOR = "sip:1002@corp.example"
	s := start(t, t.TempDir(), trial(t, "start: at_once"))
	s.talk(spec, trialPhase)
	row := s.ended(1)[0]
	if row.State != "not_recorded" || row.Reason != "internal" {
		t.Errorf("the call is %s by %s", row.State, row.Reason)
	}
	s.leavesNothing(row.ID)
}

// waitingPolicy is a trial whose rule needs the called party.
func waitingPolicy(t *testing.T) string {
	t.Helper()
	path := trial(t, "wait: {at_most: PT3S, then: none}")
	text := strings.Replace(readFile(t, path), "{name: all, class: trial}", "{name: all, class: trial, needs: callee.known}", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// calledNumber tells in metadata that the adviser was called.
const calledNumber = `<calledpartynumber xmlns="urn:trial">1001</calledpartynumber>`

// TestWaitsForTheCallee: as long as the called party is not known nothing is recorded, and the SRC is asked for nothing; when an UPDATE
// names them, the call is decided about, and recorded from then on.
func TestWaitsForTheCallee(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), waitingPolicy(t))
	spec := conversation(trialPhase)
	both := *spec.Metadata
	both.Extension = calledNumber
	alone := both
	alone.Participants = both.Participants[:1:1]
	spec.Metadata = &alone
	spec.Timeline = []siprectest.Event{tells(trialPhase, &both)}
	s.talk(spec, 3*trialPhase)
	row := s.ended(1)[0]
	s.hears(row.ID, "-++")
	checkEvents(t, s, row.ID, "session.offered", "recording.decision", "recording.decision", "recording.started intended", "recording.started done")
	verifyGood(t, s.Config.DataDir)
}

// TestNobodyNamesTheCallee: when they are not named in time the call is not recorded, and the reason is theirs.
func TestNobodyNamesTheCallee(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), waitingPolicy(t))
	spec := conversation(trialPhase)
	spec.Metadata.Participants = spec.Metadata.Participants[:1]
	s.talk(spec, 3*trialPhase)
	row := s.ended(1)[0]
	if row.State != "not_recorded" || row.Reason != "facts_missing" {
		t.Errorf("the call is %s by %s", row.State, row.Reason)
	}
	s.leavesNothing(row.ID)
}
