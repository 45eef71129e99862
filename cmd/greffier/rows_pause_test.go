package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// keyLead is how long before a phase its pause is asked for. Nothing is said in that time, and asking takes some of it.
const keyLead = 300 * time.Millisecond

// presses has keys pressed on the adviser's stream at an instant.
func presses(at time.Duration, keys string, as siprectest.DigitKind) siprectest.Event {
	return siprectest.Event{At: at, Do: func(ctx context.Context, call *siprectest.Call) error { return call.Press(ctx, "2", keys, as) }}
}

// offers sends a re-INVITE at an instant.
func offers(at time.Duration, ch siprectest.Change) siprectest.Event {
	return siprectest.Event{At: at, Do: func(ctx context.Context, call *siprectest.Call) error {
		_, err := call.ReInvite(ctx, ch)
		return err
	}}
}

// pauseKeys is a class whose keys pause and resume; in is added to its terms.
func pauseKeys(in string) string {
	return "pause: {keys: {pause: \"*\", resume: \"#\"}" + in + "}"
}

// saysPaused is a header field by which an SRC tells of a pause, and what it means.
const saysPaused = "signals:\n  - {name: card, when: 'headers[\"X-Pause\"] == \"card\"', means: paused, reason: payment}"

// A pauseCase is a way in which a pause comes about, and what it leaves.
type pauseCase struct {
	class   string
	besides string
	config  string
	events  func(s *running, m siprectest.Metadata) []siprectest.Event // m is what the call begins with
	heard   string                                                     // in each phase
	reason  string
	by      string
	warning string
}

// TestR07: between a pause and its end nothing is kept, of either channel and however the pause comes about: what was said is not in the
// file, and nowhere on disk; in its place is silence of the right length, with a marker that says why.
func TestR07(t *testing.T) {
	const p = trialPhase
	for name, test := range map[string]pauseCase{
		"key": {class: pauseKeys(""), heard: "+-+", reason: "other", by: "key", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{presses(p-keyLead, "*", siprectest.ByEvent), presses(2*p, "#", siprectest.ByEvent)}
		}},
		"key in the sound": {class: pauseKeys(", in_band: true"), heard: "+--", reason: "other", by: "key", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{presses(p-keyLead, "*", siprectest.InBand), presses(2*p, "#", siprectest.InBand)} // in a pause the sound is not looked at
		}},
		"card number": {class: pauseKeys(""), heard: "+--", reason: "payment", by: "card", warning: "payment-suspected", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{presses(700*time.Millisecond, "4970101", siprectest.ByEvent)} // after the first burst; the last key begins 1.2 s later
		}},
		"card number in the sound": {class: pauseKeys(", in_band: true"), heard: "+--", reason: "payment", by: "card", warning: "payment-suspected", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{presses(700*time.Millisecond, "4970101", siprectest.InBand)}
		}},
		"header field": {besides: saysPaused, config: "sip: {sources: [{name: sbc, addresses: [127.0.0.1], headers: [X-Pause]}]}\n", heard: "+-+", reason: "payment", by: "metadata",
			events: func(*running, siprectest.Metadata) []siprectest.Event {
				say := func(v string) siprectest.Change {
					return siprectest.Change{Headers: []siprectest.Header{{Name: "X-Pause", Value: v}}}
				}
				return []siprectest.Event{offers(p-keyLead, say("card")), offers(2*p, say("none"))}
			}},
		"metadata": {besides: "signals:\n  - {name: ill, when: 'ext[\"about\"] == \"health\"', means: paused, reason: health}", heard: "+-+", reason: "health", by: "metadata",
			events: func(_ *running, m siprectest.Metadata) []siprectest.Event {
				say := func(about string) *siprectest.Metadata {
					changed := m
					changed.Extension = `<about xmlns="urn:trial">` + about + `</about>`
					return &changed
				}
				return []siprectest.Event{tells(p-keyLead, say("health")), tells(2*p, say("weather"))}
			}},
		"a=record:paused": {heard: "+-+", reason: "other", by: "metadata", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{offers(p-keyLead, siprectest.Change{Record: "paused"}), offers(2*p, siprectest.Change{Record: "on"})}
		}},
		"hold": {heard: "+-+", reason: "hold", events: func(*running, siprectest.Metadata) []siprectest.Event {
			return []siprectest.Event{
				offers(p-keyLead, siprectest.Change{Directions: map[siprec.Label]siprec.Direction{"1": siprec.Inactive, "2": siprec.Inactive}}),
				offers(2*p, siprectest.Change{Directions: map[siprec.Label]siprec.Direction{"1": siprec.SendOnly, "2": siprec.SendOnly}}),
			}
		}},
		"nobody ends it": {class: "pause: {at_most: PT2S}", heard: "+-+", reason: "payment", by: "api", warning: "pause-ended-by-limit",
			events: func(s *running, _ siprectest.Metadata) []siprectest.Event { return s.askedPause("payment")[:1] }},
		"after a time": {class: "pause: {after: PT2S}", heard: "+--", reason: "other", by: "limit", events: func(*running, siprectest.Metadata) []siprectest.Event { return nil }},
	} {
		t.Run(name, test.run)
	}
}

// TestR08: the reason that was given for a pause stands in the sidecar and in the audit log, and how the recording is silent is the same for each.
func TestR08(t *testing.T) {
	for _, reason := range policy.PauseReasons() {
		test := pauseCase{heard: "+-+", reason: string(reason), by: "api", events: func(s *running, _ siprectest.Metadata) []siprectest.Event { return s.askedPause(string(reason)) }}
		t.Run(string(reason), test.run)
	}
}

func (test pauseCase) run(t *testing.T) {
	t.Parallel()
	config := ""
	if test.config != "" {
		config = filepath.Join(t.TempDir(), "greffier.yaml")
		if err := os.WriteFile(config, []byte(test.config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startWith(t, config, t.TempDir(), trial(t, test.class, test.besides))
	spec := conversation(trialPhase)
	spec.Timeline = test.events(s, *spec.Metadata)
	s.talk(spec, 3*trialPhase)
	var row listedRecording
	if test.warning == "payment-suspected" { // it is not locked before somebody has looked
		eventually(t, "stored", 20*time.Second, func() bool {
			rows := list(t, s.Config.DataDir)
			row = rows[0]
			return row.State == "stored"
		})
	} else {
		row = s.ended(1)[0]
	}
	s.hears(row.ID, test.heard)
	s.silent(row.ID, test.heard)
	s.isInNoFile(slices.Concat(customerSays, adviserSays)...)
	side := sidecarIn(t, s, row.ID)
	if len(side.Pauses) != 1 || side.Pauses[0].Reason != test.reason {
		t.Errorf("pauses %+v, want one for %s", side.Pauses, test.reason)
	}
	if test.warning != "" && !slices.Contains(side.Warnings, test.warning) {
		t.Errorf("warnings %v, want %s", side.Warnings, test.warning)
	}
	type paused struct{ Reason, By string }
	if got, want := eventsOf[paused](t, s, recorder.EventPaused), (paused{test.reason, test.by}); test.by != "" && (len(got) != 1 || got[0] != want) {
		t.Errorf("the pauses are witnessed as %v, want one as %v", got, want)
	}
	verifyGood(t, s.Config.DataDir)
}

// askedPause pauses the call for its second phase, by the command that asks the API.
func (r *running) askedPause(reason string) []siprectest.Event {
	return []siprectest.Event{
		r.meanwhile(trialPhase-keyLead, func(id string) { r.calls(exitOK, "pause", id, "--reason", reason) }),
		r.meanwhile(2*trialPhase, func(id string) { r.calls(exitOK, "resume", id) }),
	}
}

// silent expects a phase of which nothing was heard to be silence, sample by sample but for its edges, and the recording to be as long as
// the call: what is not there takes its time.
func (r *running) silent(id, heard string) {
	r.t.Helper()
	channels, rate := play(r.t, r.Config.DataDir, id)
	want := float64(len(heard)) * trialPhase.Seconds()
	for c, channel := range channels {
		if got := float64(len(channel)) / float64(rate); math.Abs(got-want) > 0.2 {
			r.t.Errorf("channel %d lasts %.2f s, want %.2f", c, got, want)
		}
		for i, h := range heard {
			if h != '-' {
				continue
			}
			edge := rate / 4
			each := int(trialPhase.Seconds() * float64(rate))
			from, to := i*each+edge, min((i+1)*each-edge, len(channel))
			for at := from; at < to; at++ {
				if channel[at] != channel[from] || channel[at] > 8 || channel[at] < -8 {
					r.t.Errorf("channel %d: sample %d of phase %d is %d, and not silence", c, at-i*each, i, channel[at])
					break
				}
			}
		}
	}
}
