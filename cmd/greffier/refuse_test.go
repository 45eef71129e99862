package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestBadInputLeavesNothing: each bad request gets its status and one event with the reason; no key, spool file, object or
// row is left, and the next good call is recorded.
func TestBadInputLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	g729 := siprec.Format{PayloadType: 18, Encoding: "G729", ClockRate: 8000, Channels: 1}
	cases := []struct {
		name   string
		status int
		change func(*siprectest.CallSpec)
	}{
		{"no SDP in the body", 400, func(c *siprectest.CallSpec) {
			c.Body.ContentType, c.Body.Raw = "multipart/mixed;boundary=x", []byte("--x\r\nnothing like a body")
		}},
		{"SDP that is none", 400, func(c *siprectest.CallSpec) { c.Body.ContentType, c.Body.Raw = "application/sdp", []byte("hello\r\n") }},
		{"an unknown extension", 420, func(c *siprectest.CallSpec) { c.Headers = []siprectest.Header{{Name: "Require", Value: "telepathy"}} }},
		{"no codec in common", 488, func(c *siprectest.CallSpec) {
			for i := range c.Streams {
				c.Streams[i].Formats = []siprec.Format{g729}
			}
		}},
		{"no media", 488, func(c *siprectest.CallSpec) {
			c.Body.ContentType, c.Body.Raw = "application/sdp", []byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")
		}},
	}
	src := s.src("udp")
	for _, c := range cases {
		spec := bursts()
		c.change(&spec)
		if _, err := src.Invite(t.Context(), spec); siprectest.Status(err) != c.status {
			t.Errorf("%s: %v, want %d", c.name, err, c.status)
		}
	}
	var reasons []string
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "session.refused" {
			var d struct {
				Status int
				Reason string
			}
			if err := json.Unmarshal(e.Data, &d); err != nil || d.Reason == "" || d.Status != cases[len(reasons)].status {
				t.Errorf("event %s: %v", e.Data, err)
			}
			reasons = append(reasons, d.Reason)
		}
	}
	if len(reasons) != len(cases) {
		t.Errorf("%d refusals witnessed, want %d: %q", len(reasons), len(cases), reasons)
	}
	if rows := list(t, dir); len(rows) != 0 {
		t.Errorf("the catalog has %+v", rows)
	}
	for _, pattern := range []string{"spool/recordings/*", "keys/*/*.age", "store/*/rec/*"} {
		if left, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	converse(t, src, bursts(), time.Second)
	settle(t, dir, 1, 20*time.Second)
	verifyGood(t, dir)
}

// TestQuarantine: a recording is stored unlocked for its class's quarantine, and locked then.
func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "quarantine: PT0S", "quarantine: PT3S", 1)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, policy)
	converse(t, s.src("udp"), bursts(), time.Second)
	var r listedRecording
	eventually(t, "recording stored", 5*time.Second, func() bool {
		rows := list(t, dir)
		r = rows[0]
		return r.State == "stored"
	})
	if !r.LockedUntil.IsZero() {
		t.Errorf("locked until %s in quarantine", r.LockedUntil)
	}
	verifyGood(t, dir)
	rows := settle(t, dir, 1, 20*time.Second)
	if got := time.Since(r.EndedAt); got < 3*time.Second {
		t.Errorf("locked after %s, in quarantine", got)
	}
	if rows[0].LockedUntil.Before(r.EndedAt.Add(time.Hour)) {
		t.Errorf("locked until %s", rows[0].LockedUntil)
	}
	verifyGood(t, dir)
}
