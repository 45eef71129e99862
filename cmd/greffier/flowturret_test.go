package main

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestTurret: a stream is a mix of two calls (RFC 8068 section 3.5), and belongs by its description to one of them. It is kept when both
// are recorded, with everybody who is heard; when one is not, nothing of the mix is.
func TestTurret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir, neverBob(t))
	src := s.src("udp")
	const carolToo = "sip:+33140000077@example.org"
	for _, c := range []struct {
		name, other string // who is in the second call
		kept        bool
	}{{"both", carolToo, true}, {"one", "sip:+33140000066@example.org", false}} {
		t.Run(c.name, func(t *testing.T) {
			one, two := wanted("1", "2"), wanted("1", "2")
			two.Participants[0].AOR, two.Participants[1].AOR = one.Participants[0].AOR, c.other
			two.Participants[0].ID = one.ParticipantID(one.Participants[0])
			for i := range two.Participants { // it has no stream of its own
				two.Participants[i].Sends, two.Participants[i].Receives = nil, nil
			}
			raw := mixed(one, two)
			call, err := src.Invite(t.Context(), siprectest.CallSpec{
				CallID: "turret-" + c.name, RawMetadata: raw,
				Streams: []siprectest.StreamSpec{{Label: "1", Source: toneBursts(600), IgnoreDirection: true}, {Label: "2", Source: toneBursts(900), IgnoreDirection: true}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := call.Play(t.Context(), phase); err != nil {
				t.Fatal(err)
			}
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			var rows []listedRecording
			eventually(t, "recordings locked", 10*time.Second, func() bool {
				rows = list(t, dir, "--call-id", call.CallID(), "--state", "locked")
				return len(rows) > 0
			})
			heardThere := false
			for _, r := range rows {
				channels, rate := play(t, dir, r.ID)
				for i, channel := range channels {
					if len(siprectest.Detect(channel, rate, 600)) > 0 {
						heardThere = true
						side := sidecarOf(t, dir, r.ID)
						if !side.Channels[i].Mixed || !bytes.Contains([]byte(people(side)), []byte(c.other+"=1")) {
							t.Errorf("label 1 is mixed: %v, people %s", side.Channels[i].Mixed, people(side))
						}
					}
				}
			}
			if heardThere != c.kept {
				t.Errorf("the mix is kept: %v, want %v", heardThere, c.kept)
			}
		})
	}
	verifyGood(t, dir)
}

// mixed is a document of two calls in which the second one's other party sends the first one's stream 1.
func mixed(one, two *siprectest.Metadata) []byte {
	raw := sideBySide(one, two)
	p := two.ParticipantID(two.Participants[1])
	end := []byte("</recording>")
	raw = bytes.TrimSuffix(bytes.TrimRight(raw, "\r\n"), end)
	raw = fmt.Appendf(raw, "<participantstreamassoc participant_id=%q><send>%s</send></participantstreamassoc>", p, one.StreamID("1"))
	return append(raw, end...)
}
