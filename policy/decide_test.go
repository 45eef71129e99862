package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

const classes = `
timezone: Europe/Paris
internal: {domains: [corp.example], numbers: ["^[0-9]{3,5}$"], networks: ["10.0.0.0/8", "2001:db8::/32"]}
classes:
  quality: {purpose: Quality, legal_basis: contract, retention: P6M, sample: 50%}
  orders: {purpose: Orders, legal_basis: c, mandate: a law, retention: P5Y, sample: 100%, lock: COMPLIANCE}
`

// load reads a policy of the classes above with rules in flow style, one a line.
func load(t testing.TB, rules ...string) *policy.Policy {
	t.Helper()
	doc := classes + "rules: []\n"
	if len(rules) > 0 {
		doc = classes + "rules:\n  - {" + strings.Join(rules, "}\n  - {") + "}\n"
	}
	p, err := policy.Parse([]byte(doc), policy.Options{SamplingKey: key, Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	customer = caller("sip:+33611223344@carrier.example;user=phone", "Alice")
	agent    = callee("sips:1001@corp.example", "Bob")
	inbound  = metadata(customer, agent)
	among    = metadata(caller("sip:1001@corp.example"), callee("sip:1002@corp.example"))
)

func TestDecide(t *testing.T) {
	const drawnIn, drawnOut = "call-1", "call-5" // of a 50 % sample of quality; TestDecide checks it
	type facts = policy.Facts
	tests := []struct {
		name  string
		rules []string
		facts facts
		now   time.Time
		want  policy.Decision // without the digest
	}{
		{"no rules", nil, facts{Metadata: inbound}, start, policy.Decision{Reason: policy.NoRule}},
		{"no rule applies", []string{`name: a, class: orders, when: 'src == "x"'`}, facts{SRC: "y", Metadata: inbound}, start,
			policy.Decision{Reason: policy.NoRule}},
		{"all of a mandated class", []string{`name: a, class: orders`}, facts{Metadata: inbound}, start,
			policy.Decision{Record: true, Class: "orders", Rule: "a", Reason: policy.ByRule, Sample: policy.All}},
		{"first match wins", []string{`name: a, class: orders, when: mixed`, `name: b, class: orders`, `name: c, record: false`},
			facts{Metadata: inbound}, start,
			policy.Decision{Record: true, Class: "orders", Rule: "b", Reason: policy.ByRule, Sample: policy.All}},
		{"never", []string{`name: a, record: false, reason: works council, when: 'callee.number == "1001"'`, `name: b, class: orders`},
			facts{Metadata: inbound}, start, policy.Decision{Rule: "a", Reason: policy.Never, Detail: "works council"}},
		{"sampled in", []string{`name: a, class: quality`}, facts{Metadata: inbound, CallKey: drawnIn}, start,
			policy.Decision{Record: true, Class: "quality", Rule: "a", Reason: policy.SampledIn, Sample: policy.All / 2, Draw: drawOf(drawnIn)}},
		{"sampled out", []string{`name: a, class: quality`, `name: b, class: orders`}, facts{Metadata: inbound, CallKey: drawnOut}, start,
			policy.Decision{Class: "quality", Rule: "a", Reason: policy.SampledOut, Sample: policy.All / 2, Draw: drawOf(drawnOut)}},
		{"a sample of none", []string{`name: a, class: quality, sample: 0`}, facts{Metadata: inbound, CallKey: drawnIn}, start,
			policy.Decision{Class: "quality", Rule: "a", Reason: policy.SampledOut}},
		{"the rule's own sample", []string{`name: a, class: orders, sample: 0.0001%`}, facts{Metadata: inbound, CallKey: drawnIn}, start,
			policy.Decision{Class: "orders", Rule: "a", Reason: policy.SampledOut, Sample: 1e6, Draw: fmt.Sprintf("%016x", policy.Draw(key, "orders", drawnIn))}},
		{"nothing to draw for", []string{`name: a, class: quality`}, facts{}, start,
			policy.Decision{Class: "quality", Rule: "a", Reason: policy.SampledOut, Sample: policy.All / 2, Detail: "the call has no key to draw for"}},
		{"internal", []string{`name: a, class: orders, when: 'src == "x"'`, `name: b, class: orders`, `name: c, class: quality`}, facts{Metadata: among}, start,
			policy.Decision{Class: "orders", Rule: "b", Reason: policy.Internal, Sample: policy.All}},
		{"internal alone", []string{`name: a, class: orders`}, facts{Metadata: metadata(agent)}, start,
			policy.Decision{Class: "orders", Rule: "a", Reason: policy.Internal, Sample: policy.All, Detail: "only one participant is known"}},
		{"internal allowed", []string{`name: a, class: quality`, `name: b, class: orders, internal: true`}, facts{Metadata: among}, start,
			policy.Decision{Record: true, Class: "orders", Rule: "b", Reason: policy.ByRule, Sample: policy.All}},
		{"internal and never", []string{`name: a, class: quality`, `name: b, record: false`}, facts{Metadata: among}, start,
			policy.Decision{Rule: "b", Reason: policy.Never}},
		{"campaign over", []string{`name: a, class: orders, until: 2026-03-01`, `name: b, class: orders`}, facts{Metadata: inbound}, start,
			policy.Decision{Class: "orders", Rule: "a", Reason: policy.CampaignOver, Sample: policy.All, Detail: "last day: 2026-03-01"}},
		{"campaign's last day", []string{`name: a, class: orders, from: 2026-03-01, until: 2026-03-02`}, facts{Metadata: inbound},
			time.Date(2026, 3, 2, 22, 59, 59, 0, time.UTC), // 23:59:59 in Paris
			policy.Decision{Record: true, Class: "orders", Rule: "a", Reason: policy.ByRule, Sample: policy.All}},
		{"campaign just over", []string{`name: a, class: orders, until: 2026-03-02`}, facts{Metadata: inbound}, time.Date(2026, 3, 2, 23, 0, 0, 0, time.UTC),
			policy.Decision{Class: "orders", Rule: "a", Reason: policy.CampaignOver, Sample: policy.All, Detail: "last day: 2026-03-02"}},
		{"campaign to come", []string{`name: a, class: orders, from: 2026-03-03`, `name: b, class: orders`}, facts{Metadata: inbound}, start,
			policy.Decision{Class: "orders", Rule: "a", Reason: policy.CampaignNotBegun, Sample: policy.All, Detail: "first day: 2026-03-03"}},
		{"a doubt does not record", []string{`name: a, class: orders, when: 'headers["X-Queue"] == "q"'`}, facts{Metadata: inbound}, start,
			policy.Decision{Reason: policy.NoRule, Detail: "rule a could not be evaluated: taken as not applying"}},
		{"a doubt keeps from recording", []string{`name: a, record: false, reason: r, when: 'ext["x"] == "q"'`, `name: b, class: orders`}, facts{Metadata: inbound}, start,
			policy.Decision{Rule: "a", Reason: policy.Never, Detail: "r; rule a could not be evaluated: taken as applying"}},
		{"a doubt is told of a later decision", []string{`name: a, class: quality, when: 'call_ids[99] == "q"'`, `name: b, class: orders`}, facts{Metadata: inbound}, start,
			policy.Decision{Record: true, Class: "orders", Rule: "b", Reason: policy.ByRule, Sample: policy.All,
				Detail: "rule a could not be evaluated: taken as not applying"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := load(t, test.rules...)
			got := p.Decide(test.facts, test.now)
			if got.Digest != p.Digest() {
				t.Errorf("digest %q", got.Digest)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(got, "Digest", "Threshold", "Consent")); diff != "" {
				t.Errorf("decisions differ (-want +got):\n%s", diff)
			}
		})
	}
}

func drawOf(call string) string { return fmt.Sprintf("%016x", policy.Draw(key, "quality", call)) }

// TestConditions evaluates conditions about a call from a customer to an agent.
func TestConditions(t *testing.T) {
	conference := metadata(customer, agent, named("tel:+49-30-1234"))
	conference.Extensions = []siprec.Extension{{Name: "queue", Value: "other"}, {Name: "queue", Value: "vip"}}
	facts := policy.Facts{SRC: "edge", Metadata: conference, Headers: map[string]string{"X-Queue": "sales"}, Labels: []siprec.Label{"1", "2"}}
	now := time.Date(2026, 3, 1, 22, 30, 0, 0, time.UTC) // a Sunday, 23:30 in Paris
	tests := map[string]bool{
		`src == "edge" && src != "core"`:                                                       true,
		`direction == "inbound"`:                                                               true,
		`caller.known && !caller.internal && caller.role == "caller"`:                          true,
		`caller.number == "+33611223344" && caller.host == "carrier.example"`:                  true,
		`caller.name == "Alice" && caller.user == "+33611223344"`:                              true,
		`callee.internal && callee.number == "1001" && callee.aor == "sips:1001@corp.example"`: true,
		`participants.size() == 3`:                                                             true,
		`participants.exists(p, p.number.startsWith("+4930"))`:                                 true,
		`participants.all(p, p.number.matches("^[+]?[0-9]+$"))`:                                true,
		`participants.all(p, p.internal)`:                                                      false,
		`participants.exists_one(p, p.internal)`:                                               true,
		`participants.filter(p, p.internal)[0] == callee`:                                      true,
		`participants[2].role == "" && !has(participants[2].name) && has(participants[2].aor)`: true,
		`"X-Queue" in headers && headers["X-Queue"] in ["sales", "support"]`:                   true,
		`"X-Other" in headers && headers["X-Other"] == "x"`:                                    false,
		`ext["queue"] == "vip"`:                                                                true,
		`streams == 2 && !mixed`:                                                               true,
		`hour == 23 && minute == 30 && weekday == 7 && date == "2026-03-01"`:                   true,
		`now == timestamp("2026-03-01T22:30:00Z") && now.getHours("Europe/Paris") == 23`:       true,
		`caller.number in ["+33611223344", "+33611223345"] || weekday < 6`:                     true,
		`!(callee.host.endsWith(".example") && callee.host.contains("corp"))`:                  false,
		`hour >= 8 && hour < 18 || hour > 22`:                                                  true,
		`participants.exists(src, src.number == "1001")`:                                       true,
		`participants.exists(p, participants.exists(q, p.host == q.host && p.internal))`:       true,
		`participants.map(p, p.number).exists(n, n == "+49301234")`:                            true,
		`type(caller) == participant`:                                                          true,
		`true`:                                                                                 true,
	}
	for condition, want := range tests {
		p := load(t, "name: a, class: orders, when: '"+condition+"'")
		d := p.Decide(facts, now)
		if d.Record != want || d.Detail != "" {
			t.Errorf("%s: got %v %s", condition, d.Record, d.Detail)
		}
	}
}

func TestDirection(t *testing.T) {
	out := "sip:+33611223344@carrier.example"
	tests := []struct {
		want   string
		people []who
	}{
		{"unknown", nil},
		{"inbound", []who{caller(out), callee("sip:1001@corp.example")}},
		{"outbound", []who{callee(out), caller("sip:1001@corp.example")}},
		{"outbound", []who{named(out), caller("sip:bob@eu.corp.example:5060;transport=tcp")}}, // the other one is the callee
		{"inbound", []who{named("sip:bob@CORP.example"), caller(out)}},
		{"unknown", []who{named(out), named("sip:bob@corp.example")}},
		{"internal", []who{caller("sip:bob@10.1.2.3:5080"), callee("sip:carol@[2001:db8::1]")}},
		{"internal", []who{named("tel:1001"), named("1002")}},
		{"external", []who{caller(out), callee("sip:bob@notcorp.example")}},
		{"external", []who{named(out), named("sip:bob@11.1.2.3")}},
		{"external", []who{caller(out), callee("")}},
	}
	for i, test := range tests {
		f := policy.Facts{Metadata: metadata(test.people...)}
		p := load(t, fmt.Sprintf(`name: a, class: orders, internal: true, when: 'direction == "%s"'`, test.want))
		if d := p.Decide(f, start); !d.Record {
			t.Errorf("case %d is not %s", i, test.want)
		}
	}
	nobody := policy.Facts{Metadata: inbound}
	p, err := policy.Parse([]byte(strings.ReplaceAll(classes, "internal:", "#")+`rules: [{name: a, class: orders, when: 'direction == "unknown"'}]`), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Decide(nobody, start); !d.Record {
		t.Errorf("the direction is known without insiders: %+v", d)
	}
	if w := fmt.Sprint(p.Warnings()); !strings.Contains(w, "internal calls cannot be told") {
		t.Errorf("warnings: %s", w)
	}
}

// TestDecideAlike: two nodes with the same document and key decide alike (R02), and another key decides otherwise.
func TestDecideAlike(t *testing.T) {
	rules := []string{`name: a, class: quality, sample: 10%`}
	one, two := load(t, rules...), load(t, rules...)
	other, err := policy.Parse([]byte(classes+"rules: [{name: a, class: quality, sample: 10%}]"), policy.Options{SamplingKey: []byte("another key of enough bytes"), Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	recorded, differ := 0, 0
	for i := range 10_000 {
		f := policy.Facts{SRC: "edge", Metadata: inbound, CallKey: fmt.Sprintf("%d@sbc.example", i)}
		a, b := one.Decide(f, start), two.Decide(f, start.Add(time.Hour))
		if a != b {
			t.Fatalf("call %d: %+v and %+v", i, a, b)
		}
		if a.Record {
			recorded++
		}
		if a.Record != other.Decide(f, start).Record {
			differ++
		}
	}
	if recorded < 900 || recorded > 1100 {
		t.Errorf("%d of 10,000 calls were recorded at 10 %%", recorded)
	}
	if differ < 1000 {
		t.Errorf("another key changes %d decisions only", differ)
	}
}
