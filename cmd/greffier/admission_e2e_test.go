package main

import (
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestOutOfPorts refuses a second session when the range holds one, says so to whoever asks, and lets the first end well.
func TestOutOfPorts(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll, "--media-ports=42000-42005")
	src := s.src("udp")
	first, err := src.Invite(t.Context(), bursts())
	if err != nil {
		t.Fatal(err)
	}
	f := newFlood(t, "127.0.0.1", s.address("udp"))
	options := func(i int) []byte {
		invite := string(f.inviteOf(i, "", ""))
		return []byte(strings.ReplaceAll(invite, "INVITE", "OPTIONS"))
	}
	ask := func(i int) string {
		t.Helper()
		return f.ask(t, options(i))
	}
	if answer := ask(1); !strings.HasPrefix(answer, "SIP/2.0 503 ") || !strings.Contains(answer, "Retry-After: ") || !strings.Contains(answer, "no RTP port is free") {
		t.Errorf("OPTIONS: %s", answer)
	}
	if _, err := src.Invite(t.Context(), bursts()); siprectest.Status(err) != 503 {
		t.Errorf("second session: %v", err)
	}
	if _, err := first.ReInvite(t.Context(), siprectest.Change{}); err != nil {
		t.Errorf("re-INVITE: %v", err)
	}
	if err := first.Play(t.Context(), time.Second); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]float64{`greffier_refusing{cause="ports"}`: 1, `greffier_refusing{cause="disk"}`: 0, "greffier_media_ports_free": 1} {
		if got := metric(t, s.url(), name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := metric(t, s.url(), `greffier_refused_causes_total{cause="ports"}`); got < 2 {
		t.Errorf("%v refusals are counted", got)
	}
	if err := first.Bye(t.Context(), nil); err != nil {
		t.Error(err)
	}
	n := 1
	eventually(t, "ready again", 5*time.Second, func() bool { n++; return strings.HasPrefix(ask(n), "SIP/2.0 200 ") })
	for _, r := range settle(t, dir, 1, 20*time.Second) {
		judge(t, dir, r, first.Truth(), siprectest.DefaultLimits)
	}
	verifyGood(t, dir)
}
