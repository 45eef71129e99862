package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestTwoPartyCall is the straight line: a forked call becomes a locked, findable, playable, witnessed recording, with each
// party on its channel, the channels within 20 ms of each other, and the length within 20 ms of the call.
func TestTwoPartyCall(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir, recordAll)
			truth := converse(t, s.src(transport), bursts(), 6*time.Second)
			rows := settle(t, dir, 1, 20*time.Second)
			if len(rows) != 1 {
				t.Fatalf("%d recordings, want 1", len(rows))
			}
			r := rows[0]
			if r.State != "locked" || r.LockedUntil.Before(r.EndedAt.Add(time.Hour)) || r.Class != "all" || r.Rule != "everything" {
				t.Errorf("recording is %s until %s, class %s, rule %s", r.State, r.LockedUntil, r.Class, r.Rule)
			}
			report := judge(t, dir, r, truth, siprectest.DefaultLimits)
			t.Logf("misalignment %s, length error %s", report.Misalignment, report.LengthError)
			for _, filter := range [][]string{{"--party", "alice"}, {"--number", "+33140000002"}, {"--class", "all"}, {"--rule", "everything"}, {"--state", "locked"}} {
				if got := list(t, dir, filter...); len(got) != 1 || got[0].ID != r.ID {
					t.Errorf("list %v finds %d recordings", filter, len(got))
				}
			}
			if got := list(t, dir, "--party", "nobody"); len(got) != 0 {
				t.Errorf("list finds %d recordings of nobody", len(got))
			}
			verifyGood(t, dir)
			checkEvents(t, s, r.ID, "session.offered", "recording.decision", "recording.started intended", "recording.started done",
				"session.ended", "recording.stored intended", "recording.stored done", "recording.locked intended", "recording.locked done")
		})
	}
}

// checkEvents expects the events of one recording to begin with those named, in this order.
func checkEvents(t *testing.T, s *running, id string, want ...string) {
	t.Helper()
	var got []string
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Subject == id {
			got = append(got, strings.TrimSpace(e.Type+" "+string(e.Outcome)))
		}
	}
	if len(got) < len(want) || strings.Join(got[:len(want)], "\n") != strings.Join(want, "\n") {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestR01SampledOutLeavesNothing: the answer is inactive, an SRC that sends all the same is not heard, no byte of audio is
// in spool or store, and one event says why.
func TestR01SampledOutLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "sample: 100%", "sample: 0.0000001%", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, policy)
	spec := bursts()
	for i := range spec.Streams {
		spec.Streams[i].IgnoreDirection = true
	}
	src := s.src("udp")
	call, err := src.Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range call.Answer().Media {
		if m.Direction != siprec.Inactive || m.Label == "" || m.Addr.Port() == 0 {
			t.Errorf("answer for %q: %s at %s, want inactive", m.Label, m.Direction, m.Addr)
		}
	}
	if err := call.Play(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows := settle(t, dir, 1, 5*time.Second)
	if rows[0].State != "not_recorded" || rows[0].Reason != "sampled_out" {
		t.Errorf("recording is %s by %s", rows[0].State, rows[0].Reason)
	}
	for _, p := range rows[0].Participants {
		if !strings.HasPrefix(p.AOR, catalog.HashPrefix) || p.Name != "" || !strings.HasPrefix(p.Number, catalog.HashPrefix) {
			t.Errorf("the catalog kept %+v of a call that was not recorded", p)
		}
	}
	decisions := 0
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "recording.decision" {
			decisions++
			var d struct {
				Record bool
				Reason string
			}
			if err := json.Unmarshal(e.Data, &d); err != nil || d.Record || d.Reason != "sampled_out" {
				t.Errorf("decision %s: %v", e.Data, err)
			}
		}
	}
	if decisions != 1 {
		t.Errorf("%d decisions, want 1", decisions)
	}
	// A frame of the burst, as it would be in clear; and no file at all of a recording, clear or sealed.
	pcm := make([]int16, 160)
	siprectest.Bursts(440, time.Second, 100*time.Millisecond).Read(pcm, 4000)
	noAudio(t, dir, rows[0].ID, siprectest.EncodePCMU(nil, pcm))
	verifyGood(t, dir)
}

// noAudio searches everything under dir for the bytes, and store, spool and keys for anything at all of a recording.
func noAudio(t *testing.T, dir, id string, needle []byte) {
	t.Helper()
	searched := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if strings.Contains(rel, id) || strings.HasPrefix(rel, filepath.Join(spoolDir, "recordings")+"/") || strings.Contains(rel, "recording.wav") {
			t.Errorf("%s exists", rel)
		}
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		searched++
		if bytes.Contains(b, needle) {
			t.Errorf("%s holds audio", rel)
		}
		return nil
	})
	if err != nil || searched < 4 {
		t.Fatalf("searched %d files: %v", searched, err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestImpairedCalls: whatever happens to one side, the channels stay within 20 ms of each other.
func TestImpairedCalls(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	cases := map[string]func(*siprectest.CallSpec){
		"late start": func(c *siprectest.CallSpec) { c.Streams[1].Script.Start = 3200 * time.Millisecond },
		"gap": func(c *siprectest.CallSpec) {
			c.Streams[0].Script.Gaps = []siprectest.Gap{{At: 4200 * time.Millisecond, For: 600 * time.Millisecond}}
		},
		"lost gap": func(c *siprectest.CallSpec) {
			c.Streams[0].Script.Gaps = []siprectest.Gap{{At: 4200 * time.Millisecond, For: 600 * time.Millisecond, Lost: true}}
		},
		"loss": func(c *siprectest.CallSpec) {
			c.Streams[0].Script.Loss, c.Streams[1].Script.Loss = 0.05, 0.05
			c.Streams[1].Script.Seed = 7
		},
		"DTX":  func(c *siprectest.CallSpec) { c.Streams[0].Script.DTX = true },
		"hold": func(c *siprectest.CallSpec) { c.Timeline = siprectest.Hold(3*time.Second, 6*time.Second, "1") },
		"all": func(c *siprectest.CallSpec) {
			c.Streams[1].Script.Start = 3200 * time.Millisecond
			c.Streams[0].Script.Gaps = []siprectest.Gap{{At: 4200 * time.Millisecond, For: 600 * time.Millisecond}}
			c.Streams[0].Script.Loss, c.Streams[1].Script.Loss = 0.05, 0.05
			c.Streams[1].Script.DTX = true
			c.Timeline = siprectest.Hold(6*time.Second, 8*time.Second, "1")
		},
	}
	for name, impair := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := bursts()
			spec.Metadata.SIPSessionIDs = []string{"impaired-" + strings.ReplaceAll(name, " ", "-")}
			impair(&spec)
			truth := converse(t, s.src("udp"), spec, 12*time.Second)
			var r listedRecording
			eventually(t, "recording locked", 20*time.Second, func() bool {
				rows := list(t, dir, "--call-id", spec.Metadata.SIPSessionIDs[0], "--state", "locked")
				if len(rows) == 1 {
					r = rows[0]
				}
				return len(rows) == 1
			})
			report := judge(t, dir, r, truth, siprectest.DefaultLimits)
			t.Logf("misalignment %s, length error %s", report.Misalignment, report.LengthError)
		})
	}
}

// TestStopEndsCallsWell: a server that is told to stop ends the call that goes on, and stores it before it is gone.
func TestStopEndsCallsWell(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	src := s.src("udp")
	call, err := src.Invite(t.Context(), bursts())
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	s.stop()
	select {
	case <-call.Done():
	case <-time.After(5 * time.Second):
		t.Error("the SRC was not told")
	}
	rows := list(t, dir)
	if len(rows) != 1 || rows[0].State != "locked" || rows[0].EndCause != "drained" {
		t.Errorf("after the stop: %+v", rows)
	}
	verifyGood(t, dir)
}

// TestVanishedSRC: an SRC that dies without a word leaves a recording that is finished as lost.
func TestVanishedSRC(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll, "--media-silence=1s")
	spec := bursts()
	spec.OnRequest = func(method string) int {
		if method == "OPTIONS" {
			return 481 // it has forgotten the session
		}
		return 0
	}
	call, err := s.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	call.StopMedia()
	rows := settle(t, dir, 1, 20*time.Second)
	if rows[0].EndCause != "lost" {
		t.Errorf("the recording ended by %q, want lost", rows[0].EndCause)
	}
	verifyGood(t, dir)
}
