package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// BenchmarkDecide decides about a call by the last of 200 rules.
func BenchmarkDecide(b *testing.B) {
	conditions := []string{
		`participants.exists(p, p.number == "%[1]d")`,
		`direction == "inbound" && callee.number.startsWith("+33800%[1]d")`,
		`src == "sbc%[1]d" && hour >= 8 && hour < 18`,
		`caller.host == "branch%[1]d.example" || callee.host == "branch%[1]d.example"`,
		`callee.number in ["+331%[1]d", "+332%[1]d", "+333%[1]d"]`,
	}
	var doc strings.Builder
	doc.WriteString("internal: {domains: [corp.example]}\nclasses:\n  quality: {purpose: q, legal_basis: b, retention: P6M, sample: 10%}\nrules:\n")
	for i := range 199 {
		fmt.Fprintf(&doc, "  - {name: r%d, class: quality, when: '%s'}\n", i, fmt.Sprintf(conditions[i%len(conditions)], i))
	}
	doc.WriteString("  - {name: last, class: quality}\n")
	p, err := policy.Parse([]byte(doc.String()), policy.Options{SamplingKey: key, Can: policy.Anything()})
	if err != nil {
		b.Fatal(err)
	}
	f := policy.Facts{SRC: "edge", Metadata: metadata(caller("sip:+33611223344@carrier.example"), callee("sip:1001@corp.example")),
		CallKey: "a84b4c76e66710", Labels: []siprec.Label{"1", "2"}}
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	if d := p.Decide(f, now); d.Rule != "last" {
		b.Fatalf("decided by %+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(f, now)
	}
}
