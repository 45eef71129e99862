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

// mostAllocations of one decision by the large policy. A condition that the interpreter must evaluate adds several to each decision.
const mostAllocations = 40

// TestDecideStaysFast: decisions by the large policy have nothing evaluated by CEL's interpreter, which would allocate with every rule.
func TestDecideStaysFast(t *testing.T) {
	p, f := large(t)
	if n := testing.AllocsPerRun(100, func() { p.Decide(f, start) }); n > mostAllocations {
		t.Errorf("%.0f allocations for a decision by %d rules, want %d at most", n, manyRules, mostAllocations)
	}
}

// TestDecideNeverFails: whatever an SRC sends, and however much, a decision comes, has a reason, and is the same for all who ask at once.
func TestDecideNeverFails(t *testing.T) {
	p, f := large(t)
	long := strings.Repeat("9", 100_000)
	crowd := make([]who, 500)
	for i := range crowd {
		crowd[i] = named(fmt.Sprintf("sip:+336%08d%s@%s", i, long[:i], long[:i%64]), long[:i])
	}
	odd := map[string]policy.Facts{
		"nothing":    {},
		"no names":   {Metadata: &siprec.Metadata{}, Directory: f.Directory},
		"no address": {Metadata: metadata(caller(""), callee("")), Directory: f.Directory},
		"escapes":    {Metadata: metadata(caller("sip:%zz%00@[::"), callee("<<sip:@@;;:>>")), CallKey: "\x00", Directory: f.Directory},
		"no UTF-8":   {Metadata: metadata(caller("sip:\xff\xfe@\xc0"), callee("tel:+\xff")), Headers: map[string]string{"X-Queue": "\xff"}, Directory: f.Directory},
		"long":       {Metadata: metadata(caller("sip:"+long+"@"+long), callee("tel:+"+long)), Headers: map[string]string{"X-Queue": long}, Directory: f.Directory},
		"crowd":      {Metadata: metadata(crowd...), CallKey: "k", Directory: f.Directory},
	}
	for name, facts := range odd {
		want := p.Decide(facts, start)
		if want.Reason == "" || want.Digest != p.Digest() {
			t.Errorf("%s: %+v", name, want)
		}
		answers := make(chan policy.Decision, 8)
		for range cap(answers) {
			go func() { answers <- p.Decide(facts, start) }() // its answer is waited for
		}
		for range cap(answers) {
			if got := <-answers; got != want {
				t.Errorf("%s: asked at once: %+v, want %+v", name, got, want)
			}
		}
	}
}
