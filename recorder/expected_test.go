package recorder_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

// mandated is a policy whose classes emergency and orders have to record; of orders the catalog keeps no identifiers.
const mandated = `
version: 1
country: FR
internal: {domains: [corp.example]}
classes:
  emergency: {purpose: Help, legal_basis: public_task, mandate: text, retention: P1M, quarantine: PT0S, sample: 1, missing_alarm: PT2M}
  orders: {purpose: Proof, legal_basis: legal_obligation, mandate: text, retention: P1M, quarantine: PT0S, sample: 1, missing_alarm: PT5M, keep_metadata: [role]}
  quality: {purpose: Quality, legal_basis: legal_obligation, mandate: text, retention: P1M, quarantine: PT0S, sample: 1}
rules:
  - {name: private, when: 'participants.exists(p, p.user == "never")', record: false, reason: private}
  - {name: emergency, when: 'callee.number == "112"', class: emergency}
  - {name: orders, when: 'participants.exists(p, p.user == "somebody")', class: orders}
  - {name: tests, when: 'src == "test" && participants.size() == 0', class: emergency}
  - {name: others, class: quality}
`

// An alarmed is a bench whose clock can be put forward, and what it observed.
type alarmed struct {
	*bench
	mu       sync.Mutex // protects what follows
	ahead    time.Duration
	observed []string
}

func newAlarmed(t *testing.T, dir string, ports media.Config) *alarmed {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(mandated), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &alarmed{}
	clock := func() time.Time {
		a.mu.Lock()
		defer a.mu.Unlock()
		return time.Now().Add(a.ahead)
	}
	observe := func(o recorder.Observation) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if o.Event == recorder.EventAbsent {
			a.observed = append(a.observed, o.Class+" "+o.Outcome)
		}
	}
	a.bench = newBenchWith(t, benchParts{dir: dir, store: newFake(t), policyFile: path, run: true, ports: ports, clock: clock, observe: observe})
	return a
}

// after puts the clock forward, and looks.
func (a *alarmed) after(d time.Duration) {
	a.t.Helper()
	a.mu.Lock()
	a.ahead += d
	a.mu.Unlock()
	if err := a.TellAbsent(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
}

// told lists the alarms as "class reason subject?", in order.
func (a *alarmed) told() (out []string) {
	a.t.Helper()
	for e, err := range audit.Read(filepath.Join(a.dir, "audit")) {
		if err != nil {
			a.t.Fatal(err)
		}
		if e.Type != recorder.EventAbsent {
			continue
		}
		var d struct{ Class, Reason string }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			a.t.Fatal(err)
		}
		if strings.Contains(string(e.Data), "@") || strings.Contains(string(e.Data), "336") {
			a.t.Errorf("the event names somebody: %s", e.Data)
		}
		text := d.Class + " " + d.Reason
		if e.Subject != "" {
			text += " of a row"
		}
		out = append(out, text)
	}
	return out
}

func (a *alarmed) expects(c recorder.CDR) {
	a.t.Helper()
	if c.Ended.IsZero() {
		c.Ended = time.Now()
	}
	if err := a.Expect(a.t.Context(), c); err != nil {
		a.t.Errorf("%+v: %v", c, err)
	}
}

// row is the only row of the catalog, once it is there.
func (a *alarmed) row() catalog.Recording {
	a.t.Helper()
	rows, err := a.archive.Catalog.List(a.t.Context(), catalog.Query{})
	if err != nil || len(rows) != 1 {
		a.t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[0]
}

func (a *alarmed) wants(want ...string) {
	a.t.Helper()
	if got := a.told(); !slices.Equal(got, want) {
		a.t.Errorf("alarms: %q, want %q", got, want)
	}
}

// TestR06CDRWithoutRecording: a call of a mandated class that has a CDR and no recording is an alarm after its class's time, once; one with a
// recording is none, by whichever identifier.
func TestR06CDRWithoutRecording(t *testing.T) {
	a := newAlarmed(t, t.TempDir(), media.Config{Addr: loopback})
	a.record("recorded@sbc")
	a.locked(1)
	a.expects(recorder.CDR{CallID: "x", Identifiers: []string{"recorded@sbc"}, Class: "emergency"})
	lost := recorder.CDR{CallID: "lost@sbc", Caller: "+33611223344", Callee: "112", Ended: time.Now()}
	a.expects(lost)
	a.expects(recorder.CDR{CallID: "quality@sbc", Caller: "+33611223344", Callee: "sip:1001@corp.example"})
	a.expects(recorder.CDR{CallID: "private@sbc", Caller: "+33611223344", Callee: "sip:never@x"})
	a.after(119 * time.Second)
	a.wants()
	a.after(2 * time.Second)
	a.wants("emergency no_recording")
	a.expects(lost)
	a.after(time.Hour)
	a.wants("emergency no_recording")
	if want := []string{"emergency no_recording"}; !slices.Equal(a.observed, want) {
		t.Errorf("observed: %q", a.observed)
	}
	a.agree()
}

// TestR06NotRecorded: the alarm names the call when it came, and was not recorded; the class that the CDR names counts, whatever the policy
// decided.
func TestR06NotRecorded(t *testing.T) {
	a := newAlarmed(t, t.TempDir(), media.Config{Addr: loopback})
	in := invitation("never@sbc")
	in.Metadata = document(t, siprec.Complete, "neverneverneverever 1=neverneverneverever")
	if _, err := a.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	a.End(in.Dialog, siprec.EndBye, time.Now())
	if row := a.row(); row.State != "not_recorded" || row.Reason != "never" {
		t.Fatalf("%s by %s", row.State, row.Reason)
	}
	a.expects(recorder.CDR{CallID: "neverneverneverever", Class: "orders"})
	a.after(301 * time.Second)
	a.wants("orders not_recorded of a row")
}

// TestR06FoundByHash: a class that lets the catalog keep no identifier has its recordings found by what they have in common with the CDR.
func TestR06FoundByHash(t *testing.T) {
	a := newAlarmed(t, t.TempDir(), media.Config{Addr: loopback})
	in := invitation("orders@sbc")
	in.Metadata = document(t, siprec.Complete, "ORDER-4711 1=ORDER-4711")
	if _, err := a.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	defer a.End(in.Dialog, siprec.EndBye, time.Now())
	row := a.row()
	if row.Class != "orders" || row.State != "recording" || len(row.CallIDs) != 0 {
		t.Fatalf("%s of class %s, identifiers %q", row.State, row.Class, row.CallIDs)
	}
	a.expects(recorder.CDR{CallID: "ORDER-4711", Callee: "sip:somebody@x"})
	a.expects(recorder.CDR{CallID: "ORDER-4712", Callee: "sip:somebody@x"})
	a.after(301 * time.Second)
	a.wants("orders no_recording")
}

// TestR06AlarmAfterRestart: what was expected before a restart is looked for after it, without anybody asking.
func TestR06AlarmAfterRestart(t *testing.T) {
	dir := t.TempDir()
	before := newAlarmed(t, dir, media.Config{Addr: loopback})
	before.expects(recorder.CDR{CallID: "lost@sbc", Class: "emergency", Ended: time.Now().Add(-time.Hour)})
	before.stop()
	a := newAlarmed(t, dir, media.Config{Addr: loopback})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Alarm(ctx) }()
	deadline, tick := time.NewTimer(10*time.Second), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for len(a.told()) == 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("no alarm")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	a.wants("emergency no_recording")
}

// TestR06NotOpened: a call that had to be recorded, and for which there are no ports, is an alarm at once; the SRC is told that it failed.
func TestR06NotOpened(t *testing.T) {
	a := newAlarmed(t, t.TempDir(), media.Config{Addr: loopback, PortMin: 39940, PortMax: 39941})
	in := invitation("refused@sbc")
	var refusal *siprec.Refusal
	if _, err := a.Begin(t.Context(), in); !errors.As(err, &refusal) {
		t.Fatalf("a call without ports: %v", err)
	}
	a.wants("emergency " + refusal.Reason + " of a row")
	if want := []string{"emergency not_opened"}; !slices.Equal(a.observed, want) {
		t.Errorf("observed: %q", a.observed)
	}
}

// TestRefusedCDRs: what cannot be looked for is refused, in words that name nobody.
func TestRefusedCDRs(t *testing.T) {
	a := newAlarmed(t, t.TempDir(), media.Config{Addr: loopback})
	now := time.Now()
	for name, c := range map[string]recorder.CDR{
		"no identifier":       {Ended: now, Class: "emergency"},
		"no end":              {CallID: "a@sbc", Class: "emergency"},
		"an unknown class":    {CallID: "a@sbc", Ended: now, Class: "+33611223344"},
		"a class without one": {CallID: "a@sbc", Ended: now, Class: "quality"},
		"too many":            {CallID: "a@sbc", Ended: now, Class: "emergency", Identifiers: strings.Split("bcdefghijklmnopqrstuvwxyz0123456789", "")},
	} {
		if err := a.Expect(t.Context(), c); !errors.Is(err, recorder.ErrCDR) || strings.Contains(err.Error(), "336") {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.after(time.Hour)
	a.wants()
}
