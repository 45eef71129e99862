package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/recorder"
)

// TestR06Missing: a call that the telephone system tells of, that a text obliges to record and that was not recorded, raises an alarm after
// the class's time: in audit log, metrics and log, which name nobody. A call that was recorded raises none, nor does one that is told of
// twice another.
func TestR06Missing(t *testing.T) {
	t.Parallel()
	log := &lockedLog{}
	s := startLogging(t, log, t.TempDir(), trial(t, "mandate: \"Act 1, Art. 2\"\nsample: 100%\nconsent: none_mandated\nmissing_alarm: PT2S"))
	s.talk(conversation(trialPhase), shortCall)
	row := s.ended(1)[0]
	if len(row.CallIDs) == 0 {
		t.Fatal("the recording has no identifier of its call")
	}
	ended := time.Now()
	tell := func(call, more string) {
		s.asks(http.MethodPost, "cdrs", fmt.Sprintf(`{"call_id":%q,"ended_at":%q%s}`, call, ended.Format(time.RFC3339Nano), more), http.StatusAccepted)
	}
	tell(row.CallIDs[0], `,"class":"trial"`)
	tell("never-seen@sbc", `,"class":"trial","caller":"+33611223344"`)
	tell("never-seen@sbc", `,"class":"trial","caller":"+33611223344"`)
	tell("by-its-parties@sbc", `,"caller":"+33611223344","callee":"1001"`)
	s.asks(http.MethodPost, "cdrs", fmt.Sprintf(`{"call_id":"x","ended_at":%q,"class":"none"}`, ended.Format(time.RFC3339Nano)), http.StatusConflict)

	type absent struct {
		Class, Reason string
		CallHash      string    `json:"call_hash"`
		EndedAt       time.Time `json:"ended_at"`
	}
	var told []absent
	eventually(t, "the alarms are raised", 20*time.Second, func() bool {
		left, err := s.parts.archive.Catalog.DueExpected(t.Context(), time.Now().Add(time.Hour), 10)
		told = eventsOf[absent](t, s, recorder.EventAbsent)
		return err == nil && len(left) == 0 // that of the call that was recorded has been looked for, too
	})
	for _, a := range told {
		if a.Class != "trial" || a.Reason != "no_recording" || a.CallHash == "" || a.EndedAt.Sub(ended).Abs() > time.Second {
			t.Errorf("told was %+v", a)
		}
	}
	if len(told) != 2 || told[0].CallHash == told[1].CallHash {
		t.Errorf("%d alarms, want one for each of two calls: %+v", len(told), told)
	}
	if early := time.Since(ended); early < 2*time.Second {
		t.Errorf("the alarms came %s after the call", early)
	}
	answer, err := http.Get(s.url() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), `greffier_events_total{class="trial",event="recording.missing",outcome="no_recording"} 2`) {
		t.Errorf("metrics do not count what is missing: %v", err)
	}
	if n := strings.Count(log.String(), "a call that had to be recorded has no recording"); n != 2 {
		t.Errorf("%d lines in the log, want 2:\n%s", n, log.String())
	}
	for name, text := range map[string]string{"the log": log.String(), "the audit log": auditText(t, s.Config.DataDir)} {
		for _, word := range []string{"never-seen", "by-its-parties", "611223344"} {
			if strings.Contains(text, word) {
				t.Errorf("%s has %q", name, word)
			}
		}
	}
	verifyGood(t, s.Config.DataDir)
}
