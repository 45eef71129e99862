package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec/siprectest"
)

// told lists the audit log's events of a type as "label reason", in order.
func told(t *testing.T, s *running, typ string) (out []string) {
	t.Helper()
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != typ {
			continue
		}
		var d struct {
			Label, Reason string
			Channel       int
			Since         time.Time
		}
		if err := json.Unmarshal(e.Data, &d); err != nil || d.Since.IsZero() {
			t.Fatalf("event %s: %v", e.Data, err)
		}
		out = append(out, d.Label+" "+d.Reason)
	}
	return out
}

// TestMissingMedia: a stream that brings nothing is in audit log, log, metrics and sidecar while the call goes on; so is one that
// stops, and that it came back. A stream on hold is none of that.
func TestMissingMedia(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll, "--media-missing=800ms")
	spec := bursts()
	spec.Streams[0].Script.Gaps = []siprectest.Gap{{At: time.Second, For: 2500 * time.Millisecond, Lost: true}}
	spec.Streams[1].Source = nil
	spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: "3", Direction: "inactive"})
	call, err := s.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 6*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(told(t, s, "media.missing"), ", "); got != "2 no_packets, 1 no_packets" {
		t.Errorf("missing: %s", got)
	}
	if got := strings.Join(told(t, s, "media.returned"), ", "); got != "1 no_packets" {
		t.Errorf("returned: %s", got)
	}
	resp, err := http.Get(s.url() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `greffier_events_total{class="all",event="media.missing",outcome="no_packets"} 2`) {
		t.Errorf("metrics do not count what is missing: %v", err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	row := settle(t, dir, 1, 20*time.Second)[0]
	out, code := cliRun(t, "recordings", "show", row.ID, "--data-dir", dir)
	if code != exitOK || !strings.Contains(out, `"media-missing"`) {
		t.Errorf("show: exit %d: %s", code, out)
	}
	if n := len(told(t, s, "media.missing")); n != 2 {
		t.Errorf("%d streams are missing after the end", n)
	}
	verifyGood(t, dir)
}
