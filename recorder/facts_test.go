package recorder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// factsKey is that of a bench. Facts are kept only where the policy says so.
var factsKey = make([]byte, 32)

// factsOf counts the calls whose facts are kept.
func factsOf(t *testing.T, c *catalog.Catalog) (n int) {
	t.Helper()
	for _, err := range c.Facts(t.Context(), time.Unix(0, 0)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestFactsOfWhatIsGone: nobody is in the kept facts of what was destroyed, expired, erased or superseded, not even while the store is away
// that has its bytes. Of what is there, they stay.
func TestFactsOfWhatIsGone(t *testing.T) {
	day := callEnd.AddDate(0, 0, 1)
	for name, end := range map[string]func(l later, id string){
		"destroyed": func(l later, id string) { l.must(l.DestroyStored(l.t.Context(), id, "objected")) },
		"doomed by another process": func(l later, id string) {
			l.must(l.archive.Catalog.Doom(l.t.Context(), id, string(recorder.DestroyedQuotaOver)))
			l.at(callEnd.Add(time.Minute))
		},
		"destroyed while the store is away": func(l later, id string) {
			l.store.Script(storagetest.Fault{Op: storagetest.OpList, Suffix: id + "/", Effect: storagetest.NotDone})
			if err := l.DestroyStored(l.t.Context(), id, "objected"); err == nil {
				l.t.Error("its bytes are gone while the store is away")
			}
		},
		"expired": func(l later, id string) {
			l.at(day)
			l.at(l.row(id).RetainUntil)
		},
		"erased": func(l later, id string) {
			l.at(day)
			l.ask(id)
			_, err := l.approve(id)
			l.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := &stoppedClock{at: callEnd}
			l := newEraserOn(t, t.TempDir(), storagetest.NewFake(t, storagetest.FakeOptions{Now: clock.now}), clock)
			gone, stays := l.call(training()), l.call(shortTerm(training(), name == "expired"))
			for _, id := range []string{gone, stays} {
				l.must(l.archive.Catalog.PutFacts(t.Context(), catalog.Facts{ID: id, At: callEnd, Until: callEnd.AddDate(2, 0, 0), Sealed: []byte("sealed")}))
			}
			end(l, gone)
			l.keyIs(gone, seal.ErrDestroyed)
			l.keyIs(stays, nil)
			for f, err := range l.archive.Catalog.Facts(t.Context(), time.Unix(0, 0)) {
				if err != nil || f.ID == gone {
					t.Errorf("the facts are kept of %s, which is gone, %v", f.ID, err)
				}
			}
			if n := factsOf(t, l.archive.Catalog); n != 1 {
				t.Errorf("the facts of %d calls are kept, want 1", n)
			}
		})
	}
}

// shortTerm gives a class a longer term than another has, if it must.
func shortTerm(class policy.Class, longer bool) policy.Class {
	if longer {
		class.Retention.Months++
	}
	return class
}

// keptPolicy keeps facts. Its class takes the consent terms and the rule's lines that are given.
const keptPolicy = `version: 1
country: FR
keep_facts: P30D
internal: {domains: [corp.example]}
classes:
  quality: {purpose: Q, legal_basis: legitimate_interests, balance_test: T, works_council: {none: T}, retention: P6M, quarantine: P1D,
    sample: "0.999999999", consent: {mode: opt_out, objection: destroy%s}%s}
rules:
  - {name: all, class: quality%s}
`

// newKeeping is a bench with that policy, on the real clock.
func newKeeping(t *testing.T, consent, class, rule string) (*bench, *policy.Policy) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, keptPolicy, consent, class, rule), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load(path, policy.Options{SamplingKey: make([]byte, 32), Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	return newBench(t, t.TempDir(), newFake(t), path, true), p
}

// calls begins a call of the two parties.
func (b *bench) calls(callID string) siprec.Invitation {
	b.t.Helper()
	in := invitation(callID)
	d, err := siprec.ParseMetadata([]byte(twoParties))
	if err != nil {
		b.t.Fatal(err)
	}
	in.Metadata = d
	if _, err := b.Begin(b.t.Context(), in); err != nil {
		b.t.Fatal(err)
	}
	return in
}

// objects puts the customer on the standing list.
func (b *bench) objects() {
	b.t.Helper()
	o, err := policy.ParseObjectors([]byte(policy.HashAddress(factsKey, "06 11 22 33 44", "FR")+"\n"), factsKey)
	if err != nil {
		b.t.Fatal(err)
	}
	b.objectors.Store(o)
}

// says has everybody say something about the only call's being recorded.
func (b *bench) says(kind policy.SignalKind) {
	b.t.Helper()
	live := b.Live()
	if len(live) != 1 {
		b.t.Fatalf("%d calls go on", len(live))
	}
	if _, err := b.Signal(b.t.Context(), live[0].ID, policy.Signal{Kind: kind, Source: policy.FromAPI}, "test"); err != nil {
		b.t.Fatal(err)
	}
}

// TestFactsOfWhoObjects: who does not want to be recorded, or was not asked in time, is not in the kept facts; nor is a call that never
// came about. And whatever became of a call, the policy that decided about it changes nothing when it is simulated.
func TestFactsOfWhoObjects(t *testing.T) {
	for name, test := range map[string]struct {
		consent, class, rule string
		call                 func(b *bench)
		want                 int // calls whose facts are kept
	}{
		"nobody objects": {call: func(b *bench) { b.End(b.calls("a").Dialog, siprec.EndBye, time.Now()) }, want: 1},
		"on the standing list": {call: func(b *bench) {
			b.objects()
			b.End(b.calls("a").Dialog, siprec.EndBye, time.Now())
		}},
		"during the call": {consent: ", unknown: record", call: func(b *bench) {
			in := b.calls("a")
			b.says(policy.SignalObjected)
			b.End(in.Dialog, siprec.EndBye, time.Now())
		}},
		"while it is held": {consent: ", unknown: hold, within: PT30S", call: func(b *bench) {
			in := b.calls("a")
			b.says(policy.SignalObjected)
			b.End(in.Dialog, siprec.EndBye, time.Now())
		}},
		"nobody was informed": {consent: ", unknown: hold, within: PT30S", call: func(b *bench) {
			b.End(b.calls("a").Dialog, siprec.EndBye, time.Now())
		}},
		"everybody was informed": {consent: ", unknown: hold, within: PT30S", want: 1, call: func(b *bench) {
			in := b.calls("a")
			b.says(policy.SignalInformed)
			b.End(in.Dialog, siprec.EndBye, time.Now())
		}},
		"while the rule waits": {class: ", wait: {at_most: PT30S, then: none}", rule: ", needs: callee.known", call: func(b *bench) {
			in := b.calls("a")
			b.objects()
			if n := factsOf(b.t, b.archive.Catalog); n != 1 {
				b.t.Errorf("while it waits the facts of %d calls are kept, want 1", n)
			}
			named, err := siprec.ParseMetadata([]byte(strings.Replace(twoParties, "</recording>", `<calledpartynumber xmlns="urn:x">1001</calledpartynumber></recording>`, 1)))
			if err == nil {
				_, err = b.Update(b.t.Context(), in.Dialog, siprec.Change{Metadata: named, At: time.Now()})
			}
			if err != nil {
				b.t.Error(err)
			}
			if n := factsOf(b.t, b.archive.Catalog); n != 0 {
				b.t.Errorf("once somebody objects the facts of %d calls are kept, want none", n)
			}
			b.End(in.Dialog, siprec.EndBye, time.Now())
		}},
		"cancelled": {call: func(b *bench) { b.End(b.calls("a").Dialog, siprec.EndCancel, time.Now()) }},
		"no mark came": {class: ", kind: evidence, start: on_mark", call: func(b *bench) {
			b.End(b.calls("a").Dialog, siprec.EndBye, time.Now())
		}},
		"no place in the quota": {class: ", quota: {calls: 1, every: day}", want: 3, call: func(b *bench) {
			for _, id := range []string{"a", "b", "c"} { // of the same draw: the first has the place
				b.End(b.calls(id).Dialog, siprec.EndBye, time.Now())
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := newKeeping(t, test.consent, test.class, test.rule)
			test.call(b)
			if err := b.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := factsOf(t, b.archive.Catalog); n != test.want {
				t.Errorf("the facts of %d calls are kept, want %d", n, test.want)
			}
			sim, err := b.archive.Simulate(t.Context(), p, nil, b.objectors.Load(), factsKey, time.Now().Add(-time.Hour), "test")
			if err != nil || sim.Changed != 0 || sim.Decisions != test.want || sim.Before != sim.After {
				t.Errorf("the same policy changes %+v, %v", sim, err)
			}
			for e, err := range audit.Read(b.archive.AuditDir) {
				if err != nil {
					t.Fatal(err)
				}
				if e.Type == recorder.EventSimulated {
					return
				}
			}
			t.Error("the simulation is not witnessed")
		})
	}
}
