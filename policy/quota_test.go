package policy_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

func quotaPolicy(t testing.TB, calls int, every policy.Every) *policy.Policy {
	return loadDoc(t, fmt.Sprintf("timezone: Europe/Paris\ninternal: {domains: [corp.example]}\nclasses: {c: {purpose: q, legal_basis: b, retention: P6M, sample: 99.9999999999%%, quota: {calls: %d, every: %s}}}\nrules: [{name: a, class: c}]", calls, every))
}

// TestR05QuotaClaims: claims are the same for an agent's calls of the time, name nobody, and stay while the call lasts.
func TestR05QuotaClaims(t *testing.T) {
	sunday := time.Date(2026, 3, 8, 22, 30, 0, 0, time.UTC) // 23:30 in Paris, in a week and not yet in the next
	claim := func(every policy.Every, m policy.Facts, at time.Time) policy.Claim {
		d := quotaPolicy(t, 3, every).Decide(m, at)
		if !d.Record || d.Claim.Calls != 3 || len(d.Claim.Key) != 32 || len(d.Claim.Draw) != 16 {
			t.Errorf("%+v", d)
		}
		return d.Claim
	}
	first := policy.Facts{Metadata: inbound, CallKey: "k1"}
	week := claim(policy.EveryWeek, first, sunday)
	for name, test := range map[string]struct {
		f    policy.Facts
		at   time.Time
		same bool
	}{
		"another call of the week": {policy.Facts{Metadata: inbound, CallKey: "k2"}, sunday.AddDate(0, 0, -6), true},
		"the next week":            {first, sunday.Add(time.Hour), false},
		"another agent":            {policy.Facts{Metadata: metadata(customer, callee("sip:1002@corp.example")), CallKey: "k1"}, sunday, false},
	} {
		if got := claim(policy.EveryWeek, test.f, test.at); (got.Key == week.Key) != test.same {
			t.Errorf("%s: %v and %v", name, week, got)
		}
	}
	if claim(policy.EveryDay, first, sunday).Key == claim(policy.EveryDay, first, sunday.Add(-24*time.Hour)).Key ||
		claim(policy.EveryMonth, first, sunday).Key != claim(policy.EveryMonth, first, sunday.AddDate(0, 0, 20)).Key {
		t.Error("days or months are counted wrongly")
	}
	p := quotaPolicy(t, 3, policy.EveryWeek)
	before := p.Decide(first, sunday)
	moved := policy.Facts{Metadata: metadata(customer, callee("sip:1002@corp.example")), CallKey: "k1", Began: sunday}
	if after := p.Reconsider(before, moved, sunday); after.Claim != before.Claim || !after.Record {
		t.Errorf("a transferred call claims again: %+v", after)
	}
	refused := before.Refuse()
	if after := p.Reconsider(refused, moved, sunday); after.Record || after.Reason != policy.QuotaOver || refused.Reason != policy.QuotaOver {
		t.Errorf("a refused call claims again: %+v", after)
	}
	if d := p.Decide(policy.Facts{Metadata: metadata(customer), CallKey: "k"}, sunday); d.Record || d.Reason != policy.QuotaOver {
		t.Errorf("nobody to count for: %+v", d)
	}
	if _, err := policy.Parse([]byte("classes: {c: {purpose: q, legal_basis: b, retention: P6M, sample: 0, quota: {calls: 1}}}\nrules: [{name: a, class: c}]"), policy.Options{Can: policy.Anything()}); err == nil {
		t.Error("a quota needs no key")
	}
}

func TestSettle(t *testing.T) {
	var ps policy.Places
	settle := func(call, draw string) (bool, []policy.Place) {
		after, has, displaced := ps.Settle(call, policy.Claim{Calls: 2, Draw: draw})
		ps = after
		return has, displaced
	}
	steps := []struct {
		call, draw string
		has        bool
		displaced  []policy.Place
	}{
		{"a", "50", true, nil}, {"b", "40", true, nil}, {"c", "60", false, []policy.Place{}}, {"a", "50", true, nil},
		{"d", "45", true, []policy.Place{{Call: "a", Draw: "50"}}}, {"a", "50", false, []policy.Place{}},
		{"e", "45", false, []policy.Place{}}, {"c2", "45", true, []policy.Place{{Call: "d", Draw: "45"}}}, // equal draws: by name
	}
	for _, s := range steps {
		has, displaced := settle(s.call, s.draw)
		if diff := cmp.Diff(s.displaced, displaced); has != s.has || diff != "" {
			t.Errorf("%s: has %v, displaced (-want +got):\n%s", s.call, has, diff)
		}
	}
	if diff := cmp.Diff(policy.Places{{Call: "b", Draw: "40"}, {Call: "c2", Draw: "45"}}, ps); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// TestR05QuotaFavoursNoMorning: with 5 places a week and 100 calls, each fifth of the week ends with a fifth of the places, in whatever
// order two nodes saw the calls.
func TestR05QuotaFavoursNoMorning(t *testing.T) {
	const agents, calls, places, parts = 2000, 100, 5, 5
	p := quotaPolicy(t, places, policy.EveryWeek)
	r := rand.New(rand.NewPCG(3, 4))
	var kept [parts]int
	for a := range agents {
		m := metadata(customer, callee(fmt.Sprintf("sip:agent%d@corp.example", a)))
		ids := make(map[string]int)
		claims := make([]policy.Claim, calls)
		var there, elsewhere policy.Places
		for c := range calls {
			id := fmt.Sprintf("%d-%d", a, c)
			ids[id] = c
			claims[c] = p.Decide(policy.Facts{Metadata: m, CallKey: id}, start.Add(time.Duration(c)*time.Hour)).Claim
			there, _, _ = there.Settle(id, claims[c])
			if len(there) > places {
				t.Fatalf("%d places are taken", len(there))
			}
		}
		for _, c := range r.Perm(calls) {
			elsewhere, _, _ = elsewhere.Settle(fmt.Sprintf("%d-%d", a, c), claims[c])
		}
		if diff := cmp.Diff(there, elsewhere); diff != "" {
			t.Fatalf("two orders keep others:\n%s", diff)
		}
		for _, place := range there {
			kept[ids[place.Call]*parts/calls]++
		}
	}
	for i, n := range kept { // 2000 expected, of standard deviation 40
		if n < 1840 || n > 2160 {
			t.Errorf("part %d of the week keeps %d of %d", i+1, n, agents*places)
		}
	}
	t.Log(kept)
}
