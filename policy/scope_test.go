package policy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// TestR01Share: of a million calls a 10 % rule records 10 % ± 0.1.
func TestR01Share(t *testing.T) {
	const calls = 1_000_000
	ten, err := policy.ParseSample("10%")
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := range calls {
		if ten.Takes(policy.Draw(key, "quality", fmt.Sprintf("%d@sbc.example", i))) {
			taken++
		}
	}
	share := float64(taken) / calls * 100
	t.Logf("%.3f %%", share)
	if math.Abs(share-10) > 0.1 {
		t.Errorf("%.3f %% of %d calls are in a 10 %% sample", share, calls)
	}
}

// TestR01WholeDecisions: the same of whole decisions, of which each keeps what an auditor needs to find the same.
func TestR01WholeDecisions(t *testing.T) {
	const calls = 10_000
	p := load(t, "name: a, class: quality, sample: 10%")
	taken := 0
	for i := range calls {
		id := fmt.Sprintf("%d@sbc.example", i)
		d := p.Decide(policy.Facts{Metadata: inbound, CallKey: id}, start)
		draw := policy.Draw(key, "quality", id)
		if d.Draw != fmt.Sprintf("%016x", draw) || d.Threshold != fmt.Sprintf("%016x", uint64(math.MaxUint64/10)) || d.Record != (d.Draw < d.Threshold) {
			t.Fatalf("%+v", d)
		}
		if d.Record {
			taken++
		} else if d.Reason != policy.SampledOut {
			t.Fatalf("%+v", d)
		}
	}
	if taken < 900 || taken > 1100 {
		t.Errorf("%d of %d", taken, calls)
	}
}

// scoped is a policy of a 50 % sample of a scope.
func scoped(t testing.TB, scope policy.Scope) *policy.Policy {
	return loadDoc(t, "timezone: Europe/Paris\ninternal: {domains: [corp.example]}\nclasses: {c: {purpose: q, legal_basis: b, retention: P1M, sample: 50%, sample_scope: "+
		string(scope)+"}}\nrules: [{name: a, class: c}]")
}

func grouped(group string, people ...who) *siprec.Metadata {
	m := metadata(people...)
	for i := range m.Sessions {
		m.Sessions[i].Group = siprec.GroupID(group)
	}
	return m
}

// TestR02Scopes: calls of one scope share their draw, on every node; others do not.
func TestR02Scopes(t *testing.T) {
	evening := time.Date(2026, 3, 2, 22, 30, 0, 0, time.UTC) // 23:30 in Paris
	other := callee("sip:1002@corp.example")
	type call struct {
		key   string
		m     *siprec.Metadata
		began time.Time
	}
	first := call{"k1", grouped("g1", customer, agent), evening}
	tests := []struct {
		scope  policy.Scope
		name   string
		second call
		same   bool
	}{
		{policy.PerCall, "the same call later, with others", call{"k1", grouped("g2", customer, other), evening.Add(time.Hour)}, true},
		{policy.PerCall, "another call", call{"k2", grouped("g1", customer, agent), evening}, false},
		{policy.PerConversation, "another session of the group", call{"k2", grouped("g1", customer, other), evening.Add(time.Hour)}, true},
		{policy.PerConversation, "another group", call{"k1", grouped("g2", customer, agent), evening}, false},
		{policy.PerConversation, "no group: the call", call{"k1", metadata(customer, agent), evening}, false},
		{policy.PerAgentDay, "another call of the day", call{"k2", metadata(caller("sip:x@y"), agent), evening.Add(-20 * time.Hour)}, true},
		{policy.PerAgentDay, "the agent calls", call{"k3", metadata(callee("sip:x@y"), caller("sip:1001@corp.example")), evening}, true},
		{policy.PerAgentDay, "another agent", call{"k1", metadata(customer, other), evening}, false},
		{policy.PerAgentDay, "after midnight", call{"k1", metadata(customer, agent), evening.Add(time.Hour)}, false},
	}
	for _, test := range tests {
		one, two := scoped(t, test.scope), scoped(t, test.scope)
		decide := func(p *policy.Policy, c call) string {
			d := p.Decide(policy.Facts{CallKey: c.key, Metadata: c.m}, c.began)
			if len(d.Draw) != 16 || d.Scope != test.scope {
				t.Errorf("%s: %+v", test.name, d)
			}
			return d.Draw
		}
		if a, b := decide(one, first), decide(two, test.second); (a == b) != test.same {
			t.Errorf("%s, %s: draws %s and %s", test.scope, test.name, a, b)
		}
	}
	if d := scoped(t, policy.PerAgentDay).Decide(policy.Facts{CallKey: "k", Metadata: metadata(customer)}, start); d.Record || d.Detail != "the call has no agent to draw for" {
		t.Errorf("nobody of ours: %+v", d)
	}
}

// TestR02NotSteered: a re-INVITE, an update or a transfer within the class does not draw again, and what would have been drawn with
// the changed facts does not matter.
func TestR02NotSteered(t *testing.T) {
	p := scoped(t, policy.PerAgentDay)
	differ := 0
	for i := range 200 {
		here, there := callee(fmt.Sprintf("sip:a%d@corp.example", i)), callee(fmt.Sprintf("sip:b%d@corp.example", i))
		before := p.Decide(policy.Facts{CallKey: "k", Metadata: metadata(customer, here)}, start)
		moved := policy.Facts{CallKey: "k", Metadata: metadata(customer, there), Began: start}
		after := p.Reconsider(before, moved, start.Add(time.Hour))
		if after.Draw != before.Draw || after.Record != before.Record {
			t.Fatalf("%+v became %+v", before, after)
		}
		if p.Decide(moved, start).Record != before.Record {
			differ++
		}
	}
	if differ < 50 {
		t.Errorf("only %d of 200 new draws would have decided otherwise", differ)
	}
}

// TestReconsider: a call that leaves the scope of its class is another class's, or nobody's; time passing changes nothing.
func TestReconsider(t *testing.T) {
	p := load(t, `name: private, record: false, when: 'participants.exists(p, p.user == "private")'`,
		`name: orders, class: orders, when: 'callee.user == "1001" && hour == 11', until: 2026-03-02`, `name: rest, class: quality`)
	before := p.Decide(policy.Facts{Metadata: inbound, CallKey: "k"}, start)
	if !before.Record || before.Class != "orders" {
		t.Fatalf("%+v", before)
	}
	tomorrow := start.Add(24 * time.Hour)
	same := p.Reconsider(before, policy.Facts{Metadata: inbound, CallKey: "k", Began: start}, tomorrow)
	if diff := cmp.Diff(before, same); diff != "" {
		t.Errorf("time passing (-before +after):\n%s", diff)
	}
	if d := p.Reconsider(before, policy.Facts{Metadata: metadata(customer, agent, named("sip:private@corp.example")), CallKey: "k", Began: start}, start); d.Record || d.Reason != policy.Never {
		t.Errorf("the private line joins: %+v", d)
	}
	if d := p.Reconsider(before, policy.Facts{Metadata: metadata(customer, callee("sip:1002@corp.example")), CallKey: "k", Began: start}, start); d.Class != "quality" || d.Draw == "" {
		t.Errorf("transferred: %+v", d)
	}
}

// TestWaiting: facts that come late, as the called party of a call centre does.
func TestWaiting(t *testing.T) {
	doc := `
internal: {domains: [corp.example]}
classes:
  c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1%s}
  rest: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1}
rules:
  - {name: sales, class: c, needs: callee.known, when: 'callee.user == "1001"'}
  - {name: rest, class: rest, internal: true}
`
	late := metadata(named("sip:+33611223344@carrier.example"))
	tests := []struct {
		wait    string
		after   time.Duration
		m       *siprec.Metadata
		reason  policy.Reason
		class   string
		waiting time.Duration
	}{
		{"", 0, late, policy.Waiting, "c", policy.DefaultWait},
		{"", 0, nil, policy.Waiting, "c", policy.DefaultWait},
		{"", policy.DefaultWait, late, policy.FactsMissing, "c", 0},
		{"", time.Second, inbound, policy.ByRule, "c", 0},
		{"", time.Second, metadata(customer, callee("sip:1002@corp.example")), policy.ByRule, "rest", 0},
		{", wait: {at_most: PT2S, then: skip}", time.Second, late, policy.Waiting, "c", 2 * time.Second},
		{", wait: {at_most: PT2S, then: skip}", 2 * time.Second, late, policy.ByRule, "rest", 0},
		{", wait: {at_most: PT2S, then: record}", 2 * time.Second, late, policy.ByRule, "rest", 0}, // asked by what is known, which is nothing
		{", wait: {then: none}", 10 * time.Second, late, policy.FactsMissing, "c", 0},
	}
	for i, test := range tests {
		p := loadDoc(t, fmt.Sprintf(doc, test.wait))
		d := p.Decide(policy.Facts{Metadata: test.m, Began: start}, start.Add(test.after))
		waiting := time.Duration(0)
		if !d.WaitUntil.IsZero() {
			waiting = d.WaitUntil.Sub(start)
		}
		if d.Reason != test.reason || d.Class != test.class || waiting != test.waiting || d.Record != (test.reason == policy.ByRule) {
			t.Errorf("case %d: %+v", i, d)
		}
	}
	never := loadDoc(t, `rules: [{name: a, record: false, needs: '"queue" in ext', when: 'ext["queue"] == "x"'}]`)
	if d := never.Decide(policy.Facts{Began: start}, start); d.Reason != policy.Waiting || d.Record {
		t.Errorf("a rule that never records: %+v", d)
	}
	if d := never.Decide(policy.Facts{Began: start}, start.Add(time.Minute)); d.Reason != policy.FactsMissing || d.Record {
		t.Errorf("a rule that never records, too late: %+v", d)
	}
}

// TestR05Campaign: a class's campaign bounds its rules, and a rule may be narrower.
func TestR05Campaign(t *testing.T) {
	doc := `
classes: {c: {purpose: q, legal_basis: c, mandate: m, retention: P1M, sample: 1, campaign: {from: 2026-03-01, until: 2026-03-31}}}
rules: [{name: a, class: c%s}]
`
	day := func(d int) time.Time { return time.Date(2026, 3, d, 12, 0, 0, 0, time.UTC) }
	for _, test := range []struct {
		dates string
		at    time.Time
		want  policy.Reason
	}{
		{"", day(0), policy.CampaignNotBegun}, {"", day(1), policy.ByRule}, {"", day(31), policy.ByRule}, {"", day(32), policy.CampaignOver},
		{", from: 2026-03-10", day(9), policy.CampaignNotBegun}, {", until: 2026-03-20", day(21), policy.CampaignOver},
		{", until: 2026-03-20", day(0), policy.CampaignNotBegun},
	} {
		if d := loadDoc(t, fmt.Sprintf(doc, test.dates)).Decide(policy.Facts{Metadata: inbound}, test.at); d.Reason != test.want {
			t.Errorf("%q at %s: %+v", test.dates, test.at, d)
		}
	}
	for dates, want := range map[string]string{
		", until: 2026-04-01": "3:9: rules.a.until: 2026-04-01 is after the last day of class c, 2026-03-31",
		", from: 2026-02-01":  "3:9: rules.a.from: 2026-02-01 is before the first day of class c, 2026-03-01",
		", from: 2026-04-01":  "3:9: rules.a: has no day: its dates and those of class c do not meet",
	} {
		problems, _ := policy.Check([]byte(fmt.Sprintf(doc, dates)))
		if len(problems) != 1 || problems[0].String() != want {
			t.Errorf("%s: %v", dates, problems)
		}
	}
}

// TestR23StandingObjection: whoever is on the list is not recorded, whichever rule matches, but by a mandate; the list names nobody.
func TestR23StandingObjection(t *testing.T) {
	listKey := []byte("another key of enough bytes")
	text := "# objectors\n" + policy.HashAddress(listKey, "06 11 22 33 44", "FR") + " # by letter\n\n" + policy.HashAddress(listKey, "sip:eve@home.example", "") + "\n"
	list, err := policy.ParseObjectors([]byte(text), listKey)
	if err != nil {
		t.Fatal(err)
	}
	p := loadDoc(t, "country: FR\n"+classes+`rules: [{name: m, class: orders, when: 'src == "m"'}, {name: q, class: quality, sample: 99.9999999999%}]`)
	for _, test := range []struct {
		src, aor string
		want     policy.Reason
	}{
		{"", "sip:+33611223344@carrier.example", policy.Objected}, {"", "sip:0611223344@other.example", policy.Objected},
		{"", "sip:eve@HOME.example:5062", policy.Objected}, {"", "sip:+33611223345@carrier.example", policy.SampledIn},
		{"", "sip:mallory@home.example", policy.SampledIn}, {"m", "sip:+33611223344@carrier.example", policy.ByRule},
	} {
		f := policy.Facts{SRC: test.src, Metadata: metadata(caller(test.aor), agent), CallKey: "k", Objectors: list}
		d := p.Decide(f, start)
		if inVain := strings.HasPrefix(d.Detail, policy.NotApplicable); d.Reason != test.want || inVain != (test.src == "m") {
			t.Errorf("%s: %+v", test.aor, d)
		}
	}
	for _, bad := range []string{"33611223344", "zz" + text[12:42]} {
		if _, err := policy.ParseObjectors([]byte(bad), listKey); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if _, err := policy.ParseObjectors(nil, []byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}

// TestR43Jurisdiction: a rule may ask for more consent than its class, by the country of a number.
func TestR43Jurisdiction(t *testing.T) {
	p := load(t, `name: germany, class: quality, when: 'participants.exists(p, p.country == "DE")', consent: opt_in_all, sample: 99.9999999999%`,
		`name: rest, class: quality, sample: 99.9999999999%`)
	for aor, want := range map[string]policy.ConsentMode{"sip:+4930123456@x": policy.OptInAll, "sip:+33611223344@x": policy.Notice} {
		if d := p.Decide(policy.Facts{Metadata: metadata(caller(aor), agent), CallKey: "k"}, start); !d.Record || d.Consent != want {
			t.Errorf("%s: %+v", aor, d)
		}
	}
	problems, _ := policy.Check([]byte(classes + "rules: [{name: a, class: quality, consent: none_mandated}]"))
	if len(problems) != 1 || problems[0].Path != "rules.a.consent" {
		t.Errorf("a laxer rule: %v", problems)
	}
}

// TestR34InternalOff: calls among ourselves are recorded by a rule that says so, and by no other.
func TestR34InternalOff(t *testing.T) {
	for rule, want := range map[string]policy.Reason{"name: a, class: orders": policy.Internal, "name: a, class: orders, internal: true": policy.ByRule} {
		if d := load(t, rule).Decide(policy.Facts{Metadata: among}, start); d.Reason != want {
			t.Errorf("%s: %+v", rule, d)
		}
	}
}
