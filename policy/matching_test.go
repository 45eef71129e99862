package policy_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
)

// TestR03Matching: rules match on user, extension, group, queue, direction, number's prefix, trunk and time; the first that does
// decides, and is named with the policy's version.
func TestR03Matching(t *testing.T) {
	rule := func(name, when string) string {
		return "\n  - {name: " + name + ", class: orders, when: '" + when + "'}"
	}
	p := loadDoc(t, classes+"rules:"+
		rule("user", `participants.exists(p, p.id == "bmartin")`)+
		rule("group", `participants.exists(p, "sales" in p.groups)`)+
		rule("extension", `callee.number == "1009"`)+
		rule("queue", `"X-Queue" in headers && headers["X-Queue"] == "orders"`)+
		rule("skill", `"skill" in ext && ext["skill"] == "orders"`)+
		rule("trunk", `trunk == "hotline"`)+
		rule("prefix", `caller.e164.startsWith("+4930")`)+
		rule("window", `weekday < 6 && hour >= 18 && hour < 20`)+
		rule("outbound", `direction == "outbound"`))
	d, err := policy.ParseDirectory([]byte(`users: [{id: bmartin, numbers: ["1001"], groups: [sales]}, {id: other, numbers: ["1002"], groups: [sales]}]`))
	if err != nil {
		t.Fatal(err)
	}
	customer := caller("sip:+33611223344@carrier.example")
	call := func(people ...who) policy.Facts { return policy.Facts{Metadata: metadata(people...), Directory: d} }
	with := func(f policy.Facts, change func(*policy.Facts)) policy.Facts {
		change(&f)
		return f
	}
	stranger := call(customer, callee("sip:1003@corp.example"))
	evening := time.Date(2026, 3, 2, 17, 0, 0, 0, time.UTC) // 18:00 in Paris
	for _, test := range []struct {
		rule string
		f    policy.Facts
		at   time.Time
	}{
		{"user", call(customer, callee("sip:1001@corp.example")), start},
		{"user", with(call(customer, callee("sip:1001@corp.example")), func(f *policy.Facts) { f.Trunk = "hotline" }), evening}, // of four that match
		{"group", call(customer, callee("sip:1002@corp.example")), start},
		{"extension", call(customer, callee("sip:1009@corp.example")), start},
		{"queue", with(stranger, func(f *policy.Facts) { f.Headers = map[string]string{"X-Queue": "orders"} }), start},
		{"", with(stranger, func(f *policy.Facts) { f.Headers = map[string]string{"X-Queue": "support"} }), start},
		{"skill", with(call(customer, callee("sip:1003@corp.example")), func(f *policy.Facts) { f.Metadata.Extensions = extensions("skill", "orders") }), start},
		{"trunk", with(stranger, func(f *policy.Facts) { f.Trunk = "hotline" }), start},
		{"prefix", call(caller("sip:+49301234567@carrier.example"), callee("sip:1003@corp.example")), start},
		{"", stranger, evening.Add(-time.Second)},
		{"window", stranger, evening},
		{"window", stranger, evening.Add(2*time.Hour - time.Second)},
		{"", stranger, evening.Add(2 * time.Hour)},
		{"", stranger, evening.AddDate(0, 0, 5)}, // a Saturday
		{"outbound", call(callee("sip:+33611223344@carrier.example"), caller("sip:1003@corp.example")), start},
	} {
		got := p.Decide(test.f, test.at)
		if got.Rule != test.rule || got.Digest != p.Digest() || got.Directory != d.Digest() || got.Record != (test.rule != "") {
			t.Errorf("want rule %q: %+v", test.rule, got)
		}
	}
}
