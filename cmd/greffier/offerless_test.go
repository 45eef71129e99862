package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestOfferlessCall: an SRC that leaves the offer to us is recorded as any other: each label of its metadata has its channel, and
// nothing is missing.
func TestOfferlessCall(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			dir := t.TempDir()
			s := start(t, dir, recordAll)
			spec := bursts()
			spec.Offerless = true
			truth := converse(t, s.src(transport), spec, 4*time.Second)
			rows := settle(t, dir, 1, 20*time.Second)
			if len(rows) != 1 || rows[0].State != "locked" || len(rows[0].Channels) != 2 || rows[0].EndCause != string(siprec.EndBye) {
				t.Fatalf("recordings %+v", rows)
			}
			for i, want := range []siprec.Label{"1", "2"} {
				if got := rows[0].Channels[i].Label; got != want {
					t.Errorf("channel %d has label %q, want %q", i, got, want)
				}
			}
			report := judge(t, dir, rows[0], truth, siprectest.DefaultLimits)
			t.Logf("misalignment %s, length error %s", report.Misalignment, report.LengthError)
			verifyGood(t, dir)
		})
	}
}

// TestReofferedCall: a re-INVITE of ours silences a call, and another lets it be heard again; what was heard is where it was.
func TestReofferedCall(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	reoffer := func(d siprec.Direction) func(context.Context, *siprectest.Call) error {
		return func(ctx context.Context, call *siprectest.Call) error {
			return s.sip.Reoffer(ctx, call.Dialog(), reanswer(call.Answer(), d))
		}
	}
	spec := bursts()
	spec.Timeline = []siprectest.Event{
		{At: 2 * time.Second, Do: reoffer(siprec.Inactive)}, {At: 4 * time.Second, Do: reoffer(siprec.RecvOnly)},
	}
	truth := converse(t, s.src("udp"), spec, 6*time.Second)
	rows := settle(t, dir, 1, 20*time.Second)
	if len(rows) != 1 || rows[0].State != "locked" || len(rows[0].Channels) != 2 {
		t.Fatalf("recordings %+v", rows)
	}
	judge(t, dir, rows[0], truth, siprectest.DefaultLimits)
	verifyGood(t, dir)
	var changes []string
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Subject == rows[0].ID && (e.Type == "recording.paused" || e.Type == "recording.resumed") {
			changes = append(changes, e.Type)
		}
	}
	if !slices.Equal(changes, []string{"recording.paused", "recording.resumed"}) {
		t.Errorf("events %v", changes)
	}
}

// reanswer repeats what the server said, with another direction.
func reanswer(a *siprectest.Answer, d siprec.Direction) siprec.Answer {
	out := siprec.Answer{Addr: a.Media[0].Addr.Addr()}
	for _, m := range a.Media {
		out.Media = append(out.Media, siprec.AnswerMedia{Port: int(m.Addr.Port()), Direction: d, Formats: m.Formats, RTCPMux: m.Mux})
	}
	return out
}
