package policy_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

func shipped(t *testing.T, name string) *policy.Policy {
	t.Helper()
	dir := "shipped"
	if !slices.Contains(policy.Examples(), strings.TrimSuffix(name, ".yaml")) {
		dir = "../testdata/policies" // one for tests only
	}
	p, err := policy.Load(filepath.Join(dir, name), policy.Options{SamplingKey: key, Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Errorf("%s: warnings: %v", name, w)
	}
	return p
}

func TestRecordAll(t *testing.T) {
	p := shipped(t, "record-all.yaml")
	for _, f := range []policy.Facts{{}, {Metadata: inbound}, {Metadata: among}, {Metadata: metadata()}} {
		if d := p.Decide(f, start); !d.Record || d.Class != "all" || d.Reason != policy.ByRule {
			t.Errorf("%+v", d)
		}
	}
	c, ok := p.Class("all")
	if !ok || c.Lock != policy.Governance || !c.QuarantineUntil(start).Equal(start) {
		t.Errorf("class: %+v", c)
	}
	want := []policy.Mandate{{Rule: "everything", Class: "all", Reference: c.Mandate}}
	if diff := cmp.Diff(want, p.Systematic()); diff != "" {
		t.Errorf("systematic rules differ (-want +got):\n%s", diff)
	}
}

func TestDefaultPolicy(t *testing.T) {
	p := shipped(t, "default.yaml")
	if s := p.Systematic(); len(s) > 0 {
		t.Errorf("the default policy is systematic: %v", s)
	}
	if d := p.Decide(policy.Facts{Metadata: metadata(caller("sip:101@pbx"), callee("sip:102@pbx"))}, start); d.Record || d.Reason != policy.Internal {
		t.Errorf("an internal call: %+v", d)
	}
	recorded := 0
	for i := range 10_000 {
		if p.Decide(policy.Facts{Metadata: inbound, CallKey: fmt.Sprint(i)}, start).Record {
			recorded++
		}
	}
	if recorded < 150 || recorded > 250 {
		t.Errorf("%d of 10,000 calls were recorded at 2 %%", recorded)
	}
	if c, _ := p.Class("quality"); c.Retention != (policy.Period{Months: 6}) || c.Lock != policy.Governance {
		t.Errorf("class: %+v", c)
	}
}

func TestDemoPolicy(t *testing.T) {
	p := shipped(t, "demo.yaml")
	customer := "sip:+33611223344@carrier.example"
	tests := []struct {
		line   string
		reason policy.Reason
	}{
		{"sales", policy.ByRule}, {"payments", policy.ByRule}, {"support", policy.SampledOut}, {"private", policy.Never}, {"reception", policy.NoRule},
	}
	for _, test := range tests {
		line := "sip:" + test.line + "@corp.example"
		for _, m := range []policy.Facts{
			{Metadata: metadata(caller(customer), callee(line)), CallKey: test.line},
			{Metadata: metadata(named(line), named(customer)), CallKey: test.line},
		} {
			if d := p.Decide(m, start); d.Reason != test.reason {
				t.Errorf("a call with %s: %+v", test.line, d)
			}
		}
		among := policy.Facts{Metadata: metadata(caller(line), callee("sip:boss@corp.example"))}
		if d := p.Decide(among, start); d.Record {
			t.Errorf("a call among %s and the boss is recorded: %+v", test.line, d)
		}
	}
}
