package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// trial writes a policy whose class "trial" takes every call, as far as its lines let it. What is given besides goes before the classes.
func trial(t *testing.T, class string, besides ...string) string {
	t.Helper()
	basis := "legitimate_interests"
	if strings.Contains(class, "opt_in") {
		basis = "consent"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ninternal: {domains: [corp.example]}\n%s\nclasses:\n  trial:\n    purpose: Trial\n", strings.Join(besides, "\n"))
	fmt.Fprintf(&b, "    legal_basis: %s\n    balance_test: TRIAL\n    works_council: {none: TRIAL}\n", basis)
	if !strings.Contains(class, "retention:") {
		b.WriteString("    retention: PT1H\n")
	}
	if !strings.Contains(class, "quarantine:") {
		b.WriteString("    quarantine: PT0S\n")
	}
	if !strings.Contains(class, "sample:") {
		b.WriteString("    sample: 99.9999999999%\n") // every call needs a mandate
	}
	for line := range strings.Lines(class) {
		b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
	}
	b.WriteString("rules:\n  - {name: all, class: trial}\n")
	path := filepath.Join(t.TempDir(), "trial.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The parties of trials, and the frequencies of what they say in each phase.
var (
	customerSays = []float64{440, 550, 660, 770}
	adviserSays  = []float64{880, 1100, 1320, 1540}
)

func customer(sends, receives siprec.Label) siprectest.Participant {
	return siprectest.Participant{ID: "customer", AOR: "sip:+33611223344@carrier.example", Name: "Customer", Sends: []siprec.Label{sends}, Receives: []siprec.Label{receives}}
}

func adviser(sends, receives siprec.Label) siprectest.Participant {
	return siprectest.Participant{ID: "adviser", AOR: "sip:1001@corp.example", Name: "Adviser", Sends: []siprec.Label{sends}, Receives: []siprec.Label{receives}}
}

// conversation is a call of a customer and an adviser, who say another thing in each phase; both send on whatever they are told.
func conversation(phase time.Duration, timeline ...siprectest.Event) siprectest.CallSpec {
	return siprectest.CallSpec{
		Streams: []siprectest.StreamSpec{
			{Label: "1", Source: phases(phase, customerSays...), IgnoreDirection: true},
			{Label: "2", Source: phases(phase, adviserSays...), IgnoreDirection: true},
		},
		Metadata: siprectest.NewMetadata(customer("1", "2"), adviser("2", "1")),
		Timeline: timeline,
	}
}

// hold plays a call for a number of phases and hangs up.
func (r *running) talk(spec siprectest.CallSpec, d time.Duration) *siprectest.Call {
	r.t.Helper()
	call, err := r.src("udp").Invite(r.t.Context(), spec)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := call.Play(r.t.Context(), d); err != nil {
		r.t.Fatal(err)
	}
	if err := call.Bye(r.t.Context(), nil); err != nil {
		r.t.Fatal(err)
	}
	return call
}

// live is the only call that goes on.
func (r *running) live() recorder.Live {
	r.t.Helper()
	calls := r.recorder.Live()
	if len(calls) != 1 {
		r.t.Fatalf("%d calls go on, want 1", len(calls))
	}
	return calls[0]
}

// says is something that somebody says about being recorded, at an instant.
func (r *running) says(at time.Duration, party string, kind policy.SignalKind) siprectest.Event {
	return siprectest.Event{At: at, Do: func(ctx context.Context, _ *siprectest.Call) error {
		_, err := r.recorder.Signal(ctx, r.live().ID, policy.Signal{Party: party, Kind: kind, Source: policy.FromAPI, Proof: "PROOF-1"}, "test")
		return err
	}}
}

// marks sets a mark at an instant.
func (r *running) marks(at time.Duration, begin bool) siprectest.Event {
	return siprectest.Event{At: at, Do: func(ctx context.Context, _ *siprectest.Call) error {
		return r.recorder.Mark(ctx, r.live().ID, begin, "test")
	}}
}

// tells sends metadata by UPDATE at an instant.
func tells(at time.Duration, m *siprectest.Metadata) siprectest.Event {
	return siprectest.Event{At: at, Do: func(ctx context.Context, call *siprectest.Call) error {
		_, err := call.Update(ctx, siprectest.Change{RawMetadata: m.Marshal()})
		return err
	}}
}

// ended waits until n rows have come to an end, of whatever kind.
func (r *running) ended(n int) []listedRecording {
	r.t.Helper()
	var rows []listedRecording
	eventually(r.t, "calls ended", 20*time.Second, func() bool {
		rows = list(r.t, r.Config.DataDir)
		return len(rows) >= n && !slices.ContainsFunc(rows, func(x listedRecording) bool {
			return x.State == "recording" || x.State == "finishing" || x.EndedAt.IsZero()
		})
	})
	if len(rows) != n {
		r.t.Fatalf("%d rows, want %d: %+v", len(rows), n, rows)
	}
	return inOrder(rows)
}

// hears expects of a recording, for each phase, whether something was heard on both channels: '+' all of it, '-' nothing, '?' either.
func (r *running) hears(id, want string) {
	r.t.Helper()
	channels, rate := play(r.t, r.Config.DataDir, id)
	for c, says := range [][]float64{customerSays, adviserSays} {
		got := heard(channels[c], rate, says...)
		for phase, w := range want {
			if n := got[says[phase]]; w == '-' && n > 0 || w == '+' && n < 1 {
				r.t.Errorf("channel %d, phase %d: %d bursts, want %c (all: %v)", c, phase, n, w, got)
			}
		}
	}
}

// leavesNothing expects that no object, spool file or key of a recording is there, and no file anywhere with a frame of what was said in
// any phase.
func (r *running) leavesNothing(id string) {
	r.t.Helper()
	eventually(r.t, "the spool is empty", 10*time.Second, func() bool {
		left, err := filepath.Glob(filepath.Join(r.Config.DataDir, spoolDir, "*", "*"))
		return err == nil && len(left) == 0
	})
	r.walk(func(rel string) {
		if strings.Contains(rel, id) && !(strings.HasPrefix(rel, keysDir) && !strings.HasSuffix(rel, ".age")) { // a tombstone may be there
			r.t.Errorf("%s exists", rel)
		}
	})
	r.isInNoFile(slices.Concat(customerSays, adviserSays)...)
}

// isInNoFile expects that no file of the data directory holds a frame of the sounds: not in clear, that is.
func (r *running) isInNoFile(frequencies ...float64) {
	r.t.Helper()
	var needles [][]byte
	for _, f := range frequencies {
		pcm := make([]int16, 160)
		siprectest.Bursts(f, time.Second, 100*time.Millisecond).Read(pcm, 4000)
		needles = append(needles, siprectest.EncodePCMU(nil, pcm))
	}
	r.walk(func(rel string) {
		b, err := os.ReadFile(filepath.Join(r.Config.DataDir, rel))
		if err == nil && slices.ContainsFunc(needles, func(n []byte) bool { return bytes.Contains(b, n) }) {
			r.t.Errorf("%s holds audio", rel)
		}
	})
}

// walk visits everything below the data directory, by its path in it.
func (r *running) walk(visit func(rel string)) {
	r.t.Helper()
	err := filepath.WalkDir(r.Config.DataDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.Config.DataDir, path)
		visit(rel)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// why is why a recording is gone, or why there never was one.
func (r listedRecording) why() string { return cmp.Or(r.GoneReason, r.Reason) }
