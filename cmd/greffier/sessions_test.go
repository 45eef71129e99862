package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// phases is a source of bursts, two in a second, whose frequency changes each time that a phase has passed.
func phases(phase time.Duration, frequencies ...float64) siprectest.Source {
	bursts := make([]siprectest.Source, len(frequencies))
	for i, f := range frequencies {
		bursts[i] = siprectest.Bursts(f, time.Second, 100*time.Millisecond) // half a second from every change: a request takes its time
	}
	each := int64(phase.Seconds() * 8000)
	return siprectest.SourceFunc(func(dst []int16, pos int64) int {
		return bursts[min(int(pos/each), len(bursts)-1)].Read(dst, pos)
	})
}

// heard counts the bursts of each frequency in a channel.
func heard(channel []int16, rate int, frequencies ...float64) map[float64]int {
	out := map[float64]int{}
	for _, o := range siprectest.Detect(channel, rate, frequencies...) {
		out[o.Frequency]++
	}
	return out
}

// neverBob is the policy that records every call but those of one number.
func neverBob(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(readFile(t, recordAll), "rules:\n", "rules:\n  - name: never\n    when: participants.exists(p, p.number == \"+33140000066\")\n    record: false\n", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wanted and unwanted are communication sessions on two labels; neverBob records the first kind.
func wanted(left, right siprec.Label) *siprectest.Metadata {
	return siprectest.NewMetadata(
		siprectest.Participant{AOR: "sip:+33140000001@example.org", Name: "Alice", Sends: []siprec.Label{left}, Receives: []siprec.Label{right}},
		siprectest.Participant{AOR: "sip:+33140000002@example.org", Name: "Carol", Sends: []siprec.Label{right}, Receives: []siprec.Label{left}})
}

func unwanted(left, right siprec.Label) *siprectest.Metadata {
	m := wanted(left, right)
	m.Participants[1].AOR, m.Participants[1].Name = "sip:+33140000066@example.org", "Bob"
	return m
}

// sideBySide is a document of several communication sessions.
func sideBySide(list ...*siprectest.Metadata) []byte {
	out := list[0].Marshal()
	end := []byte("</recording>")
	for _, m := range list[1:] {
		_, body, _ := bytes.Cut(m.Marshal(), []byte("</datamode>"))
		out = append(bytes.TrimSuffix(bytes.TrimRight(out, "\r\n"), end), body...)
	}
	return out
}

// changes sends documents by UPDATE, one each time that a phase has passed.
func changes(phase time.Duration, documents ...[]byte) []siprectest.Event {
	var out []siprectest.Event
	for i, d := range documents {
		out = append(out, siprectest.Event{At: time.Duration(i+1) * phase, Do: func(ctx context.Context, call *siprectest.Call) error {
			_, err := call.Update(ctx, siprectest.Change{RawMetadata: d})
			return err
		}})
	}
	return out
}

// sidecarOf reads a recording's sidecar.
func sidecarIn(t *testing.T, s *running, id string) *recorder.Sidecar {
	t.Helper()
	_, side, err := s.parts.archive.Show(t.Context(), id, "test")
	if err != nil {
		t.Fatal(err)
	}
	return side
}

// inOrder sorts by begin.
func inOrder(rows []listedRecording) []listedRecording {
	slices.SortFunc(rows, func(a, b listedRecording) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	return rows
}

// eventsOf lists the data of the audit log's events of a type.
func eventsOf[T any](t *testing.T, s *running, typ string) (out []T) {
	t.Helper()
	for e, err := range audit.Read(s.parts.archive.AuditDir) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == typ {
			var d T
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			out = append(out, d)
		}
	}
	return out
}

// TestThreeCallsInOneSession: three communication sessions one after the other in one recording session, told by UPDATEs without a
// description. Three recordings, linked, each with its own sound and its own people, on the ports that the SRC was told at first.
func TestThreeCallsInOneSession(t *testing.T) {
	for name, security := range map[string]siprectest.Security{"RTP": {}, "SDES": {Suite: "AES_CM_128_HMAC_SHA1_80"}, "DTLS": {DTLS: true, ICE: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			threeCalls(t, security)
		})
	}
}

func threeCalls(t *testing.T, security siprectest.Security) {
	const phase = 2 * time.Second
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	first, second, third := wanted("1", "2"), wanted("1", "2"), wanted("1", "2")
	second.Participants[1].AOR, second.Participants[1].Name = "sip:+33140000003@example.org", "Dora"
	second.Group, third.Group = "Z3JvdXA=", "Z3JvdXA="
	left, right := []float64{440, 550, 660}, []float64{880, 1100, 1320}
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams: []siprectest.StreamSpec{
			{Label: "1", Source: phases(phase, left...), Security: security}, {Label: "2", Source: phases(phase, right...), Security: security},
		},
		Metadata: first, Timeline: changes(phase, second.Marshal(), third.Marshal()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 3*phase); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows := inOrder(settle(t, dir, 3, 20*time.Second))
	if len(rows) != 3 {
		t.Fatalf("%d recordings, want 3", len(rows))
	}
	session := sidecarIn(t, s, rows[0].ID).Session.RecordingSession
	for i, r := range rows {
		channels, rate := play(t, dir, r.ID)
		for c, frequencies := range [][]float64{left, right} {
			if got := heard(channels[c], rate, append(left, right...)...); len(got) != 1 || got[frequencies[i]] != 2 {
				t.Errorf("recording %d, channel %d: bursts %v, want 2 of %v", i, c, got, frequencies[i])
			}
		}
		if want := []string{"session-ended", "session-ended", "bye"}[i]; r.EndCause != want {
			t.Errorf("recording %d ended by %s, want %s", i, r.EndCause, want)
		}
		side := sidecarIn(t, s, r.ID)
		if side.Session.RecordingSession != session || session == "" {
			t.Errorf("recording %d is of session %q, want %q", i, side.Session.RecordingSession, session)
		}
		if want := []*siprectest.Metadata{first, second, third}[i]; string(side.Session.CommunicationSession) != want.Session || string(side.Session.Group) != want.Group {
			t.Errorf("recording %d is of %q in group %q, want %q in %q", i, side.Session.CommunicationSession, side.Session.Group, want.Session, want.Group)
		}
		if len(side.Participants) != 2 || side.Participants[1].Name != []string{"Carol", "Dora", "Carol"}[i] {
			t.Errorf("recording %d has participants %+v", i, side.Participants)
		}
		if len(side.Gaps) > 0 && side.Gaps[0].Cause == "no_media" {
			t.Errorf("recording %d has gaps %+v", i, side.Gaps)
		}
		if i > 0 && r.StartedAt.Before(rows[i-1].EndedAt.Add(-20*time.Millisecond)) {
			t.Errorf("recording %d begins at %s, before the end of the one before at %s", i, r.StartedAt, rows[i-1].EndedAt)
		}
		checkEvents(t, s, r.ID, "session.offered", "recording.decision", "recording.started intended", "recording.started done")
	}
	if got := call.Requests(); len(got) != 0 {
		t.Errorf("the SRC was asked %d times, and nothing had to change on the wire", len(got))
	}
	verifyGood(t, dir)
}

// TestOneOfThreeIsNotRecorded: between two recorded communication sessions there is one that is not. Its sound is nowhere, the SRC is
// asked to hold its streams, and to send again for the third.
func TestOneOfThreeIsNotRecorded(t *testing.T) {
	const phase = 4 * time.Second
	dir := t.TempDir()
	s := start(t, dir, neverBob(t))
	left, right := []float64{440, 550, 660}, []float64{880, 1100, 1320}
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(phase, left...)}, {Label: "2", Source: phases(phase, right...)}},
		Metadata: wanted("1", "2"), Timeline: changes(phase, unwanted("1", "2").Marshal(), wanted("1", "2").Marshal()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 3*phase); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows := inOrder(settle(t, dir, 3, 20*time.Second))
	if len(rows) != 3 || rows[1].State != "not_recorded" {
		t.Fatalf("calls %+v", rows)
	}
	for i, r := range []listedRecording{rows[0], {}, rows[2]} {
		if i == 1 {
			continue
		}
		channels, rate := play(t, dir, r.ID)
		for c, frequencies := range [][]float64{left, right} {
			got := heard(channels[c], rate, append(left, right...)...)
			if len(got) != 1 || got[frequencies[i]] < 3 {
				t.Errorf("recording %d, channel %d: bursts %v, want 4 of %v, or 3 where a re-INVITE takes its time", i, c, got, frequencies[i])
			}
		}
	}
	var asked []string
	for _, r := range call.Requests() {
		asked = append(asked, r.Method)
	}
	if strings.Join(asked, " ") != "INVITE INVITE" {
		t.Errorf("the SRC was asked by %v, want two re-INVITEs", asked)
	}
	verifyGood(t, dir)
}

// TestTwoCallsAtOnce: two communication sessions on four m-lines, one of which is recorded.
func TestTwoCallsAtOnce(t *testing.T) {
	const phase = 3 * time.Second
	for name, mode := range map[string]siprec.Decline{"inactive": siprec.DeclineInactive, "accept": siprec.DeclineAccept, "refuse": siprec.DeclineRefuse} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := startDeclining(t, dir, neverBob(t), mode)
			spec := siprectest.CallSpec{RawMetadata: sideBySide(wanted("1", "2"), unwanted("3", "4"))}
			tones := []float64{440, 660, 880, 1100}
			for i, f := range tones {
				spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: siprec.Label("1234"[i : i+1]), Source: phases(phase, f), IgnoreDirection: mode == siprec.DeclineInactive})
			}
			call, err := s.src("udp").Invite(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range call.Answer().Media {
				want, port := siprec.RecvOnly, true
				if i > 1 && mode != siprec.DeclineAccept {
					want, port = siprec.Inactive, mode != siprec.DeclineRefuse
				}
				if m.Direction != want || (m.Addr.Port() != 0) != port {
					t.Errorf("m-line %d is answered %s at %s", i+1, m.Direction, m.Addr)
				}
			}
			if err := call.Play(t.Context(), phase); err != nil {
				t.Fatal(err)
			}
			if err := call.Bye(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			rows := settle(t, dir, 2, 20*time.Second)
			for _, r := range rows {
				if r.State == "not_recorded" {
					continue
				}
				channels, rate := play(t, dir, r.ID)
				if len(channels) != 2 {
					t.Fatalf("%d channels", len(channels))
				}
				for c := range channels {
					if got := heard(channels[c], rate, tones...); len(got) != 1 || got[tones[c]] != 3 {
						t.Errorf("channel %d: bursts %v", c, got)
					}
				}
				side := sidecarIn(t, s, r.ID)
				if len(side.Participants) != 2 || strings.Contains(side.Participants[1].Name, "Bob") {
					t.Errorf("participants %+v", side.Participants)
				}
			}
			if len(rows) != 2 || rows[0].State == rows[1].State {
				t.Errorf("calls %+v", rows)
			}
			verifyGood(t, dir)
		})
	}
}

// burstFrame is a frame of a burst, as it would be in clear.
func burstFrame(frequency float64) []byte {
	pcm := make([]int16, 160)
	siprectest.Bursts(frequency, time.Second, 100*time.Millisecond).Read(pcm, 4100)
	return siprectest.EncodePCMU(nil, pcm)
}

// startDeclining starts a server whose only SRC profile is told no in a way.
func startDeclining(t *testing.T, dir, policy string, mode siprec.Decline, more ...string) *running {
	t.Helper()
	config := filepath.Join(t.TempDir(), "greffier.yaml")
	text := "sip:\n  sources:\n    - {name: test, addresses: [127.0.0.0/8], declined: " + string(mode) + "}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startWith(t, config, dir, policy, more...)
}

// TestDeclined: a call that is not recorded, in each way of saying no.
func TestDeclined(t *testing.T) {
	for name, mode := range map[string]siprec.Decline{"accept": siprec.DeclineAccept, "refuse": siprec.DeclineRefuse} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := startDeclining(t, dir, neverBob(t), mode)
			spec := bursts()
			spec.Metadata = unwanted("1", "2")
			call, err := s.src("udp").Invite(t.Context(), spec)
			if mode == siprec.DeclineRefuse {
				if siprectest.Status(err) != 603 {
					t.Fatalf("INVITE: %v, want 603", err)
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range call.Answer().Media {
					if m.Direction != siprec.RecvOnly || m.Addr.Port() < 1024 {
						t.Errorf("answer for %q: %s at %s", m.Label, m.Direction, m.Addr)
					}
				}
				if err := call.Play(t.Context(), 2*time.Second); err != nil {
					t.Fatal(err)
				}
				if err := call.Bye(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			rows := settle(t, dir, 1, 10*time.Second)
			if len(rows) != 1 || rows[0].State != "not_recorded" || rows[0].Reason != "never" || rows[0].EndedAt.IsZero() {
				t.Errorf("calls %+v", rows)
			}
			type decision struct {
				Record bool
				Detail string
			}
			d := eventsOf[decision](t, s, "recording.decision")
			if len(d) != 1 || d[0].Record || (d[0].Detail == "discarded on arrival") != (mode == siprec.DeclineAccept) {
				t.Errorf("decisions %+v", d)
			}
			noAudio(t, dir, rows[0].ID, burstFrame(440))
			verifyGood(t, dir)
		})
	}
}

// statuses answers requests of ours by method.
func statuses(of map[string]int) func(string) int {
	return func(method string) int { return of[method] }
}

// unheeded lists what the audit log has of requests that an SRC did not heed.
func unheeded(t *testing.T, s *running) (out []string) {
	t.Helper()
	type data struct {
		Request, Wanted, Reason string
		Status                  int
	}
	for _, d := range eventsOf[data](t, s, "session.unheeded") {
		out = append(out, fmt.Sprint(d.Request, " ", d.Wanted, d.Reason, " ", d.Status))
	}
	return out
}

// TestLateYes: a session whose first call is not recorded is answered inactive. The second call is recorded from when the SRC sends,
// which it is asked to by a re-INVITE. An SRC that refuses is asked again when its metadata change.
func TestLateYes(t *testing.T) {
	const phase = 2 * time.Second
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := start(t, dir, neverBob(t))
		call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
			Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440, 550)}, {Label: "2", Source: phases(phase, 880, 1100)}},
			Metadata: unwanted("1", "2"), Timeline: changes(phase, wanted("1", "2").Marshal()),
		})
		if err != nil {
			t.Fatal(err)
		}
		if call.Answer().Media[0].Direction != siprec.Inactive {
			t.Errorf("answered %s", call.Answer().Media[0].Direction)
		}
		if err := call.Play(t.Context(), 3*phase); err != nil {
			t.Fatal(err)
		}
		if err := call.Bye(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		rows := inOrder(settle(t, dir, 2, 20*time.Second))
		if len(rows) != 2 || rows[0].State != "not_recorded" {
			t.Fatalf("calls %+v", rows)
		}
		channels, rate := play(t, dir, rows[1].ID)
		for c, f := range []float64{550, 1100} {
			if got := heard(channels[c], rate, 440, 550, 880, 1100); len(got) != 1 || got[f] < 3 {
				t.Errorf("channel %d: bursts %v, want 4 of %v", c, got, f)
			}
		}
		if got := unheeded(t, s); len(got) != 0 {
			t.Errorf("refused: %v", got)
		}
		verifyGood(t, dir)
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := start(t, dir, neverBob(t))
		var refuse atomic.Bool
		refuse.Store(true)
		late := wanted("1", "2")
		call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
			Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440)}, {Label: "2", Source: phases(phase, 880)}},
			Metadata: unwanted("1", "2"),
			OnRequest: func(method string) int {
				if method == "INVITE" && refuse.Load() {
					return 488
				}
				return 0
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Update(t.Context(), siprectest.Change{Metadata: late}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the refusal is witnessed", 5*time.Second, func() bool { return len(unheeded(t, s)) == 1 })
		if got := unheeded(t, s); got[0] != "reinvite recvonly 488" {
			t.Errorf("refused: %v", got)
		}
		refuse.Store(false)
		if _, err := call.Update(t.Context(), siprectest.Change{Metadata: late}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the SRC sends", 5*time.Second, func() bool { return call.Answer().Media[0].Wants() && call.Answer().Media[1].Wants() })
		if err := call.Bye(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		rows := inOrder(settle(t, dir, 2, 20*time.Second))
		if side := sidecarIn(t, s, rows[1].ID); !slices.Contains(side.Warnings, "src-refused-change") {
			t.Errorf("warnings %v", side.Warnings)
		}
	})
}

// TestRefusedNo: an SRC that does not stop sending what is not recorded: it is discarded on arrival, and catalog and audit log say so.
func TestRefusedNo(t *testing.T) {
	const phase = 2 * time.Second
	dir := t.TempDir()
	s := start(t, dir, neverBob(t))
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams:   []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440, 550)}, {Label: "2", Source: phases(phase, 880, 1100)}},
		Metadata:  wanted("1", "2"),
		Timeline:  changes(phase, unwanted("1", "2").Marshal()),
		OnRequest: statuses(map[string]int{"INVITE": 405}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 3*phase); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows := inOrder(settle(t, dir, 2, 20*time.Second))
	channels, rate := play(t, dir, rows[0].ID)
	for c, f := range []float64{440, 880} {
		if got := heard(channels[c], rate, 440, 550, 880, 1100); len(got) != 1 || got[f] != 2 {
			t.Errorf("channel %d: bursts %v, want 2 of %v", c, got, f)
		}
	}
	if got := unheeded(t, s); len(got) != 1 || got[0] != "reinvite inactive 405" {
		t.Errorf("refused: %v", got)
	}
	row, err := s.parts.archive.Catalog.Get(t.Context(), rows[1].ID)
	if err != nil || !strings.Contains(row.Detail, "discarded on arrival; the SRC refused to stop sending") {
		t.Errorf("detail %q, %v", row.Detail, err)
	}
	verifyGood(t, dir)
}

// TestGoneAtReinvite: an SRC that answers a re-INVITE of ours with 481 has no such session any more, and neither have we.
func TestGoneAtReinvite(t *testing.T) {
	const phase = 2 * time.Second
	dir := t.TempDir()
	s := start(t, dir, neverBob(t))
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams:   []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440)}, {Label: "2", Source: phases(phase, 880)}},
		Metadata:  wanted("1", "2"),
		Timeline:  changes(phase, unwanted("1", "2").Marshal()),
		OnRequest: statuses(map[string]int{"INVITE": 481}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer call.Abandon()
	if err := call.Play(t.Context(), 2*phase); err != nil {
		t.Fatal(err)
	}
	eventually(t, "session ended", 20*time.Second, func() bool { _, all := s.recorder.Calls(); return all == 0 })
	rows := inOrder(settle(t, dir, 2, 20*time.Second))
	if rows[1].State != "not_recorded" || rows[1].EndedAt.IsZero() {
		t.Errorf("the call that was going on %+v", rows[1])
	}
	verifyGood(t, dir)
}

// TestSnapshot: metadata that cannot be understood without more are asked for, once; what comes changes nothing of what was decided.
func TestSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	whole := wanted("1", "2")
	partial := *whole
	partial.Mode = siprec.Partial
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(time.Second, 440)}, {Label: "2", Source: phases(time.Second, 880)}},
		Metadata: &partial,
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := func() []siprectest.Request {
		return slices.DeleteFunc(call.Requests(), func(r siprectest.Request) bool { return r.Method != "UPDATE" })
	}
	eventually(t, "the SRC is asked", 5*time.Second, func() bool { return len(asked()) == 1 })
	r := asked()[0]
	if r.Status != 200 || !strings.Contains(string(r.Body), "<requestsnapshot") || !strings.Contains(string(r.Body), "partial-first") {
		t.Errorf("asked by %s, answered %d:\n%s", r.Method, r.Status, r.Body)
	}
	if _, err := call.Update(t.Context(), siprectest.Change{Metadata: whole}); err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 2*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	row := settle(t, dir, 1, 20*time.Second)[0]
	side := sidecarIn(t, s, row.ID)
	if !slices.Contains(side.Warnings, "snapshot-requested") || len(side.Participants) != 2 {
		t.Errorf("warnings %v, participants %v", side.Warnings, side.Participants)
	}
	if n := len(asked()); n != 1 {
		t.Errorf("the SRC was asked %d times", n)
	}
	checkEvents(t, s, row.ID, "session.offered", "recording.decision", "recording.started intended", "recording.started done", "session.asked")
	verifyGood(t, dir)
}

// TestPauseAndResume: a pause from our side is silence at once, and on the wire; what is said meanwhile is nowhere.
func TestPauseAndResume(t *testing.T) {
	const phase = 4 * time.Second
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	id := func() string { return list(t, dir)[0].ID }
	call, err := s.src("udp").Invite(t.Context(), siprectest.CallSpec{
		Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440, 550, 660)}, {Label: "2", Source: phases(phase, 880, 1100, 1320)}},
		Metadata: wanted("1", "2"),
		Timeline: []siprectest.Event{
			{At: phase, Do: func(ctx context.Context, _ *siprectest.Call) error {
				return s.recorder.Pause(ctx, id(), "payment", "test")
			}},
			{At: 2 * phase, Do: func(ctx context.Context, _ *siprectest.Call) error { return s.recorder.Resume(ctx, id(), "test") }},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 3*phase); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	row := settle(t, dir, 1, 20*time.Second)[0]
	channels, rate := play(t, dir, row.ID)
	for c, f := range [][]float64{{440, 550, 660}, {880, 1100, 1320}} {
		if got := heard(channels[c], rate, f...); got[f[0]] != 4 || got[f[1]] != 0 || got[f[2]] < 3 {
			t.Errorf("channel %d: bursts %v", c, got)
		}
	}
	side := sidecarIn(t, s, row.ID)
	if len(side.Pauses) != 1 || side.Pauses[0].Reason != "payment" {
		t.Errorf("pauses %+v", side.Pauses)
	}
	var asked []string
	for _, r := range call.Requests() {
		asked = append(asked, r.Method)
	}
	if strings.Join(asked, " ") != "INVITE INVITE" {
		t.Errorf("the SRC was asked by %v, want two re-INVITEs", asked)
	}
	verifyGood(t, dir)
}

// TestQuietSRC: a session that brings nothing, recorded or not, is ended when its SRC does not know it any more, and not before.
func TestQuietSRC(t *testing.T) {
	for name, metadata := range map[string]*siprectest.Metadata{"recorded": wanted("1", "2"), "not recorded": unwanted("1", "2")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := start(t, dir, neverBob(t), "--media-silence=300ms", "--sip-probe=300ms")
			var gone atomic.Bool
			var probes atomic.Int32
			spec := bursts()
			spec.Metadata = metadata
			spec.OnRequest = func(method string) int {
				if method != "OPTIONS" {
					return 0
				}
				if probes.Add(1); gone.Load() {
					return 481
				}
				return 200
			}
			call, err := s.src("udp").Invite(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			call.StopMedia()
			eventually(t, "the SRC is asked twice", 10*time.Second, func() bool { return probes.Load() >= 2 })
			select {
			case <-call.Done():
				t.Fatal("a session was ended whose SRC is there")
			default:
			}
			gone.Store(true)
			rows := settle(t, dir, 1, 20*time.Second)
			if name == "recorded" && rows[0].EndCause != "lost" {
				t.Errorf("the recording ended by %q, want lost", rows[0].EndCause)
			}
			verifyGood(t, dir)
		})
	}
}

// TestKillInTheMiddle: the server is killed while the second call of a session goes on. Each recording is finished from its own spool.
func TestKillInTheMiddle(t *testing.T) {
	const phase = 2 * time.Second
	dir := t.TempDir()
	args := []string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "error"}
	p := spawn(t, args...)
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	call, err := src.Invite(t.Context(), siprectest.CallSpec{
		Streams:  []siprectest.StreamSpec{{Label: "1", Source: phases(phase, 440, 550)}, {Label: "2", Source: phases(phase, 880, 1100)}},
		Metadata: wanted("1", "2"), Timeline: changes(phase, wanted("1", "2").Marshal()),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 2*phase); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	spawn(t, args...)
	rows := inOrder(settle(t, dir, 2, 30*time.Second))
	for i, r := range rows {
		channels, rate := play(t, dir, r.ID)
		for c, f := range [][]float64{{440, 550}, {880, 1100}} {
			if got := heard(channels[c], rate, 440, 550, 880, 1100); len(got) != 1 || got[f[i]] < 2 {
				t.Errorf("recording %d, channel %d: bursts %v, want those of %v", i, c, got, f[i])
			}
		}
		if want := []string{"session-ended", "restart"}[i]; r.EndCause != want {
			t.Errorf("recording %d ended by %s, want %s", i, r.EndCause, want)
		}
	}
	verifyGood(t, dir)
}

// TestTwoBecomeOne: two calls at once become one with four parties, by metadata alone. What the third recording cannot take over has new
// ports, which the SRC is told of and uses.
func TestTwoBecomeOne(t *testing.T) {
	const phase = 2 * time.Second
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	a, b, c := wanted("1", "2"), wanted("3", "4"), wanted("1", "2")
	for i, l := range []siprec.Label{"3", "4"} {
		c.Participants = append(c.Participants, siprectest.Participant{AOR: fmt.Sprintf("sip:+3314000001%d@example.org", i), Sends: []siprec.Label{l}})
	}
	before, after := []float64{440, 550, 660, 770}, []float64{880, 990, 1100, 1210}
	spec := siprectest.CallSpec{RawMetadata: sideBySide(a, b), Timeline: changes(phase, c.Marshal())}
	for i, l := range []siprec.Label{"1", "2", "3", "4"} {
		spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: l, Source: phases(phase, before[i], after[i])})
	}
	call, err := s.src("udp").Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), 3*phase); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rows := inOrder(settle(t, dir, 3, 20*time.Second))
	if len(rows) != 3 {
		t.Fatalf("%d recordings, want 3", len(rows))
	}
	for i, r := range rows {
		channels, rate := play(t, dir, r.ID)
		if want := []int{2, 2, 4}[i]; len(channels) != want {
			t.Fatalf("recording %d has %d channels, want %d", i, len(channels), want)
		}
		for n, l := range labels(r) {
			at := slices.Index([]siprec.Label{"1", "2", "3", "4"}, l)
			f, least := before[at], 2
			if i == 2 {
				f, least = after[at], 3
			}
			if got := heard(channels[n], rate, append(before, after...)...); len(got) != 1 || got[f] < least {
				t.Errorf("recording %d, label %s: bursts %v, want %d of %v", i, l, got, least, f)
			}
		}
	}
	if got := call.Requests(); len(got) != 1 || got[0].Method != "INVITE" || got[0].Status != 200 {
		t.Errorf("the SRC was asked %d times, want one re-INVITE", len(got))
	}
	verifyGood(t, dir)
}
