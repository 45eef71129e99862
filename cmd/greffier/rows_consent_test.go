package main

import (
	"context"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

const trialPhase = 2 * time.Second

// TestR17NoNotice: a call whose class wants notice within a time, and gets none, leaves nothing: not what was held in memory, and not
// what was recorded meanwhile.
func TestR17NoNotice(t *testing.T) {
	for _, unknown := range []string{"hold", "record"} {
		t.Run(unknown, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), trial(t, "consent: {mode: notice, within: PT3S, unknown: "+unknown+"}"))
			s.talk(conversation(trialPhase), 3*trialPhase)
			row := s.ended(1)[0]
			if got, want := row.State+" "+row.why(), map[string]string{"hold": "not_recorded no_notice", "record": "destroyed no_notice"}[unknown]; got != want {
				t.Errorf("the call is %s, want %s", got, want)
			}
			s.leavesNothing(row.ID)
			verifyGood(t, s.Config.DataDir)
		})
	}
}

// TestR17Notice: what was held until the notice came is kept, from the call's beginning on, with the proof of the notice.
func TestR17Notice(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: {mode: notice, within: PT10S, unknown: hold}"))
	s.talk(conversation(trialPhase, s.says(trialPhase, "", policy.SignalInformed)), 2*trialPhase)
	row := s.ended(1)[0]
	s.hears(row.ID, "++")
	side := sidecarIn(t, s, row.ID)
	if len(side.Consent) != 1 || side.Consent[0].Kind != policy.SignalInformed || side.Consent[0].Proof != "PROOF-1" || side.Consent[0].Source != policy.FromAPI {
		t.Errorf("what was said about being recorded: %+v", side.Consent)
	}
	checkEvents(t, s, row.ID, "session.offered", "recording.decision", "recording.held", "consent.changed", "recording.started intended", "recording.started done")
	verifyGood(t, s.Config.DataDir)
}

// TestR28AfterNotice: the first frame that is kept was spoken after the notice. Until it comes the answer is inactive.
func TestR28AfterNotice(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "start: after_notice\nconsent: notice"))
	var informed time.Time
	spec := conversation(trialPhase, s.says(trialPhase, "", policy.SignalInformed))
	tell := spec.Timeline[0].Do
	spec.Timeline[0].Do = func(ctx context.Context, call *siprectest.Call) error {
		informed = time.Now()
		return tell(ctx, call)
	}
	call := s.talk(spec, 3*trialPhase)
	row := s.ended(1)[0]
	s.hears(row.ID, "-++")
	if row.StartedAt.Before(informed.Truncate(time.Millisecond)) {
		t.Errorf("the recording begins at %s, and the notice was given at %s", row.StartedAt, informed)
	}
	if n := len(call.Requests()); n != 1 {
		t.Errorf("the SRC was asked %d times, want one re-INVITE", n)
	}
	verifyGood(t, s.Config.DataDir)
}

// TestR23ObjectionInCall: an objection stops both channels at once, and nothing remains of either party, of what was written before
// neither.
func TestR23ObjectionInCall(t *testing.T) {
	for _, party := range []string{"customer", "adviser", ""} {
		t.Run("by "+party, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_out, objection: destroy}"))
			s.talk(conversation(trialPhase, s.says(trialPhase, party, policy.SignalObjected)), 2*trialPhase)
			row := s.ended(1)[0]
			if row.State != "destroyed" || row.why() != "objected" {
				t.Errorf("the recording is %s by %s", row.State, row.why())
			}
			s.leavesNothing(row.ID)
			verifyGood(t, s.Config.DataDir)
		})
	}
}

// TestR23ObjectionByKey: the key that the class names is an objection, whether it comes as an event or in the sound; of what was said
// before it nothing remains either.
func TestR23ObjectionByKey(t *testing.T) {
	for name, as := range map[string]siprectest.DigitKind{"event": siprectest.ByEvent, "sound": siprectest.InBand} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_out, objection: destroy, keys: {object: \"9\"}}\npause: {in_band: true}"))
			s.talk(conversation(trialPhase, presses(trialPhase, "9", as)), 2*trialPhase)
			row := s.ended(1)[0]
			if row.State != "destroyed" || row.why() != "objected" {
				t.Errorf("the recording is %s by %s", row.State, row.why())
			}
			type said struct{ Kind, Source string }
			if got, want := eventsOf[said](t, s, recorder.EventConsent), (said{"objected", "dtmf"}); len(got) != 1 || got[0] != want {
				t.Errorf("said was %v, want %v", got, want)
			}
			s.leavesNothing(row.ID)
			verifyGood(t, s.Config.DataDir)
		})
	}
}

// TestR23ObjectionKeeps: where the class says stop, what was kept until the objection stays, and nothing after it is there.
func TestR23ObjectionKeeps(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_out, objection: stop}"))
	s.talk(conversation(trialPhase, s.says(trialPhase, "customer", policy.SignalObjected)), 3*trialPhase)
	row := s.ended(1)[0]
	if row.State != "locked" || row.EndCause != "consent" {
		t.Errorf("the recording is %s, ended by %s", row.State, row.EndCause)
	}
	s.hears(row.ID, "+--")
	verifyGood(t, s.Config.DataDir)
}

// TestR06Objection: a class that a text obliges to records in spite of an objection, answers with the text, and logs it.
func TestR06Objection(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "mandate: \"Act 1, Art. 2\"\nsample: 100%\nconsent: none_mandated"))
	var v policy.Verdict
	spec := conversation(trialPhase, siprectest.Event{At: trialPhase, Do: func(ctx context.Context, _ *siprectest.Call) (err error) {
		v, err = s.recorder.Signal(ctx, s.live().ID, policy.Signal{Party: "customer", Kind: policy.SignalObjected, Source: policy.FromAPI}, "test")
		return err
	}})
	s.talk(spec, 2*trialPhase)
	if want := policy.NotApplicable + "Act 1, Art. 2"; v.Answer != want {
		t.Errorf("the objection is answered %q, want %q", v.Answer, want)
	}
	row := s.ended(1)[0]
	s.hears(row.ID, "++")
	checkEvents(t, s, row.ID, "session.offered", "recording.decision", "recording.started intended", "recording.started done", "consent.changed", "session.ended")
	verifyGood(t, s.Config.DataDir)
}

// TestConsentComesLate: with opt-in by all, nothing is kept before the last of the parties has consented; what a party takes back stops
// it, and destroys what there was.
func TestConsentComesLate(t *testing.T) {
	t.Run("all consent", func(t *testing.T) {
		t.Parallel()
		s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_in_all, unknown: none}"))
		s.talk(conversation(trialPhase, s.says(trialPhase/2, "customer", policy.SignalConsented), s.says(trialPhase, "adviser", policy.SignalConsented)), 3*trialPhase)
		s.hears(s.ended(1)[0].ID, "-++")
		verifyGood(t, s.Config.DataDir)
	})
	t.Run("one does not", func(t *testing.T) {
		t.Parallel()
		s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_in_all, unknown: hold, within: PT3S}"))
		s.talk(conversation(trialPhase, s.says(trialPhase/2, "customer", policy.SignalConsented)), 3*trialPhase)
		row := s.ended(1)[0]
		if row.State != "not_recorded" || row.Reason != "no_consent" {
			t.Errorf("the recording is %s by %s", row.State, row.Reason)
		}
		s.leavesNothing(row.ID)
	})
	t.Run("one withdraws", func(t *testing.T) {
		t.Parallel()
		s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_in_any, unknown: none}"))
		s.talk(conversation(trialPhase, s.says(trialPhase/4, "customer", policy.SignalConsented), s.says(2*trialPhase, "customer", policy.SignalObjected)), 3*trialPhase)
		row := s.ended(1)[0]
		if row.State != "destroyed" || row.why() != "withdrawn" {
			t.Errorf("the recording is %s by %s", row.State, row.why())
		}
		s.leavesNothing(row.ID)
	})
}

// TestNewcomer: somebody who joins a call of which all have consented silences it until they have as well; what is said until then is
// not in the file, and it ends in no other way.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), trial(t, "consent: {mode: opt_in_all, unknown: none}"))
	spec := conversation(trialPhase, s.says(0, "customer", policy.SignalConsented), s.says(0, "adviser", policy.SignalConsented))
	three := *spec.Metadata
	three.Participants = append(three.Participants[:2:2], siprectest.Participant{ID: "third", AOR: "sip:+33655667788@carrier.example", Sends: []siprec.Label{"1"}})
	spec.Timeline = append(spec.Timeline, tells(trialPhase, &three), s.says(2*trialPhase, "third", policy.SignalConsented))
	s.talk(spec, 3*trialPhase)
	row := s.ended(1)[0]
	s.hears(row.ID, "+-+")
	if side := sidecarIn(t, s, row.ID); len(side.Pauses) != 1 || side.Pauses[0].Reason != "no_consent" {
		t.Errorf("pauses %+v", side.Pauses)
	}
	verifyGood(t, s.Config.DataDir)
}
