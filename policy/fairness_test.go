package policy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
)

// Bounds of chance: one run of a thousand would exceed the first, and one agent of half a million the second. The key is fixed, so that
// what is here is so with every run.
const (
	quantile = 3.09 // standard deviations
	outlier  = 4.9  // standard deviations
)

// A spread counts the recorded calls of one choice that an agent could make.
type spread struct {
	name            string
	calls, recorded map[string]int
}

func newSpread(name string) *spread { return &spread{name, map[string]int{}, map[string]int{}} }

func (s *spread) add(choice string, recorded bool) {
	s.calls[choice]++
	if recorded {
		s.recorded[choice]++
	}
}

// judge compares the choices by chi-square with what a share p would bring for each, and gives the choice that is farthest from it.
func (s *spread) judge(t *testing.T, p float64) {
	t.Helper()
	chi, worst, most := 0.0, 0.0, ""
	for choice, calls := range s.calls {
		expected := float64(calls) * p
		z := (float64(s.recorded[choice]) - expected) / math.Sqrt(expected*(1-p))
		if chi += z * z; math.Abs(z) > math.Abs(worst) {
			worst, most = z, choice
		}
	}
	df := float64(len(s.calls))
	limit := df * math.Pow(1-2/(9*df)+quantile*math.Sqrt(2/(9*df)), 3) // Wilson and Hilferty
	t.Logf("by %-10s %4d choices, chi-square %.1f, limit %.1f; farthest is %q by %.2f standard deviations", s.name, len(s.calls), chi, limit, most, worst)
	if chi > limit || math.Abs(worst) > outlier {
		t.Errorf("what is recorded depends on the %s", s.name)
	}
}

// TestR01Fairness: of a million decisions about calls of 200 agents 10 % ± 0.1 are recorded, of each agent as many as of the others, and whatever somebody
// could choose (agent, hour, order, the end of the call's identifier, the customer) has no part in it.
func TestR01Fairness(t *testing.T) {
	const calls, agents = 1_000_000, 200
	p := loadDoc(t, "internal: {domains: [corp.example]}\nclasses: {c: {purpose: q, legal_basis: b, retention: P1M, sample: 10%}}\nrules: [{name: a, class: c}]")
	facts := make([]policy.Facts, agents)
	for i := range facts {
		facts[i].Metadata = metadata(caller(fmt.Sprintf("sip:+336%08d@carrier.example", i%7)), callee(fmt.Sprintf("sip:agent%d@corp.example", i)))
	}
	byAgent, byHour, byOrder := newSpread("agent"), newSpread("hour"), newSpread("order")
	bySuffix, byAlternate, byCustomer := newSpread("suffix"), newSpread("turn"), newSpread("customer")
	recorded, runs, before := 0, 0, false
	for i := range calls {
		n := i % agents
		f, at := facts[n], start.Add(time.Duration(i)*7*time.Second)
		f.CallKey = fmt.Sprintf("%x-%d@sbc.example", i*2654435761%(1<<32), i%997)
		d := p.Decide(f, at)
		suffix := f.CallKey[:strings.IndexByte(f.CallKey, '-')]
		byAgent.add(fmt.Sprint(n), d.Record)
		byHour.add(fmt.Sprint(at.Hour()), d.Record)
		byOrder.add(fmt.Sprint(i/(calls/100)), d.Record)
		bySuffix.add(suffix[len(suffix)-1:], d.Record)
		byAlternate.add(fmt.Sprint(i/agents%2), d.Record)
		byCustomer.add(fmt.Sprint(n%7), d.Record)
		if d.Record {
			recorded++
		}
		if i > 0 && d.Record && before {
			runs++
		}
		before = d.Record
	}
	share := float64(recorded) / calls * 100
	t.Logf("%d of %d calls: %.3f %%; %d of them follow one that was recorded", recorded, calls, share, runs)
	if math.Abs(share-10) > 0.1 {
		t.Errorf("%.3f %%", share)
	}
	for _, s := range []*spread{byAgent, byHour, byOrder, bySuffix, byAlternate, byCustomer} {
		s.judge(t, 0.1)
	}
	if z := (float64(runs) - calls*0.01) / math.Sqrt(calls*0.01*0.99); math.Abs(z) > outlier {
		t.Errorf("whether a call is recorded depends on the one before it: %.1f standard deviations", z)
	}
}
