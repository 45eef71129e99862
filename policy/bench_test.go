package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// Sizes of a large organisation's policy.
const (
	manyRules = 200
	manyUsers = 10_000
)

// large is a policy of so many rules, of which only the last applies to the call, and a directory in which the callee is.
func large(t testing.TB) (*policy.Policy, policy.Facts) {
	conditions := []string{
		`participants.exists(p, p.number == "%[1]d")`,
		`direction == "inbound" && callee.number.startsWith("+33800%[1]d")`,
		`src == "sbc%[1]d" && hour >= 8 && hour < 18`,
		`caller.host == "branch%[1]d.example" || callee.host == "branch%[1]d.example"`,
		`callee.number in ["+331%[1]d", "+332%[1]d", "+333%[1]d"]`,
		`participants.exists(p, "team%[1]d" in p.groups)`,
		`caller.country == "FR" && callee.id == "nobody%[1]d"`,
		`"X-Queue" in headers && headers["X-Queue"] == "queue%[1]d"`,
	}
	var doc strings.Builder
	doc.WriteString("country: FR\ninternal: {domains: [corp.example]}\nclasses:\n  quality: {purpose: q, legal_basis: b, retention: P6M, sample: 10%}\nrules:\n")
	for i := range manyRules - 1 {
		fmt.Fprintf(&doc, "  - {name: r%d, class: quality, when: '%s'}\n", i, fmt.Sprintf(conditions[i%len(conditions)], i))
	}
	doc.WriteString("  - {name: last, class: quality}\n")
	f := policy.Facts{
		SRC: "edge", Metadata: metadata(caller("sip:+33611223344@carrier.example"), callee("sip:u9999@corp.example")),
		CallKey: "a84b4c76e66710", Labels: []siprec.Label{"1", "2"}, Headers: map[string]string{"X-Queue": "sales"},
	}
	var users strings.Builder
	users.WriteString("users:\n")
	for i := range manyUsers {
		fmt.Fprintf(&users, "  - {id: u%[1]d, addresses: [\"sip:u%[1]d@corp.example\"], numbers: [\"%[2]d\"], groups: [g%[3]d, all]}\n", i, 10_000+i, i%50)
	}
	var err error
	if f.Directory, err = policy.ParseDirectory([]byte(users.String())); err != nil {
		t.Fatal(err)
	}
	return loadDoc(t, doc.String()), f
}

// BenchmarkDecide decides about a call by the last of 200 rules, with a directory of 10,000 users.
func BenchmarkDecide(b *testing.B) {
	p, f := large(b)
	now := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	if d := p.Decide(f, now); d.Rule != "last" {
		b.Fatalf("decided by %+v", d)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(f, now)
	}
}
