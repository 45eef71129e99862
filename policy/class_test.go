package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

func TestClassDefaults(t *testing.T) {
	doc := `
classes:
  voluntary: {purpose: Quality, legal_basis: F, balance_test: LIA-1, retention: P6M, sample: 2%}
  short: {purpose: Quality, legal_basis: a, retention: PT10M, sample: 2%}
  obliged: {purpose: Orders, legal_basis: c, mandate: a law, retention: P5Y, sample: 1, lock: COMPLIANCE, format: wav,
    keep_metadata: [role, aor], channels: label}
rules: []
`
	p, err := policy.Parse([]byte(doc), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	all := []policy.Field{policy.FieldAOR, policy.FieldCallIDs, policy.FieldName, policy.FieldNumber, policy.FieldRole}
	pause := policy.PauseTerms{CardDigits: 7, AtMost: policy.Period{Time: 15 * time.Minute}}
	want := []policy.Class{
		{Name: "voluntary", Purpose: "Quality", LegalBasis: policy.LegitimateInterests, BalanceTest: "LIA-1", Retention: policy.Period{Months: 6},
			Quarantine: policy.Period{Days: 1}, Lock: policy.Governance, Sample: 2e10, Format: policy.WAV, KeepMetadata: all, Channels: policy.ExternalFirst,
			Consent: policy.ConsentTerms{Mode: policy.Notice, Of: policy.ExternalOnly, Unknown: policy.MeanwhileRecord, Objection: policy.Destroys}, Pause: pause},
		{Name: "short", Purpose: "Quality", LegalBasis: policy.Consent, Retention: policy.Period{Time: 10 * time.Minute},
			Lock: policy.Governance, Sample: 2e10, Format: policy.WAV, KeepMetadata: all, Channels: policy.ExternalFirst,
			Consent: policy.ConsentTerms{Mode: policy.OptInAll, Of: policy.Everybody, Unknown: policy.MeanwhileNone, Objection: policy.Destroys}, Pause: pause},
		{Name: "obliged", Purpose: "Orders", LegalBasis: policy.LegalObligation, Mandate: "a law", Retention: policy.Period{Years: 5},
			Lock: policy.Compliance, Sample: policy.All, Format: policy.WAV, KeepMetadata: []policy.Field{policy.FieldAOR, policy.FieldRole},
			Channels: policy.ByLabel,
			Consent:  policy.ConsentTerms{Mode: policy.NoneMandated, Of: policy.ExternalOnly, Unknown: policy.MeanwhileRecord, Objection: policy.Refused}, Pause: pause},
	}
	if diff := cmp.Diff(want, p.Classes()); diff != "" {
		t.Errorf("classes differ (-want +got):\n%s", diff)
	}
	c, _ := p.Class("voluntary")
	end := time.Date(2026, 8, 31, 10, 0, 0, 0, time.UTC)
	if got := c.Until(end); !got.Equal(time.Date(2027, 2, 28, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("the term ends %v", got)
	}
	if got := c.QuarantineUntil(end); !got.Equal(end.AddDate(0, 0, 1)) {
		t.Errorf("the quarantine ends %v", got)
	}
	if o, _ := p.Class("obliged"); o.Keeps(policy.FieldName) || !o.Keeps(policy.FieldRole) {
		t.Errorf("keeps %v", o.KeepMetadata)
	}
	if _, ok := p.Class("other"); ok {
		t.Error("there is a class that was not written")
	}
}

// TestSamplingKey: a policy that samples needs a key that nobody guesses, one that does not needs none.
func TestSamplingKey(t *testing.T) {
	sampled := "classes: {q: {purpose: Quality, legal_basis: a, retention: P1M, sample: 2%}}\nrules: [{name: a, class: q}]"
	for _, k := range [][]byte{nil, []byte("short")} {
		if _, err := policy.Parse([]byte(sampled), policy.Options{SamplingKey: k, Can: policy.Anything()}); err == nil || !strings.Contains(err.Error(), "sampling key") {
			t.Errorf("a key of %d bytes: %v", len(k), err)
		}
	}
	if problems, _ := policy.Check([]byte(sampled)); len(problems) > 0 {
		t.Errorf("checking needs a key: %v", problems)
	}
	if _, err := policy.Parse([]byte("rules: []"), policy.Options{Can: policy.Anything()}); err != nil {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	doc := `
internal: {domains: [corp.example]}
classes:
  q: {purpose: Quality, legal_basis: a, retention: P1M, sample: 2%, works_council: {none: no staff}}
  unused: {purpose: Quality, legal_basis: a, retention: P1M, sample: 2%, works_council: {none: no staff}}
rules:
  - {name: a, class: q}
  - {name: b, class: q}
  - {name: c, class: q, internal: true}
  - {name: d, record: false}
`
	problems, warnings := policy.Check([]byte(doc))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []string{
		"5:3: classes.unused: is used by no rule",
		"8:5: rules.b: is never reached: rule a before it applies to every call",
		"10:5: rules.d: is never reached: rule c before it applies to every call",
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings differ (-want +got):\n%s", diff)
	}
}

func TestOrderLabels(t *testing.T) {
	out, in := named("sip:+33611223344@carrier.example"), named("sip:1001@corp.example")
	p := load(t, "name: a, class: orders")
	tests := []struct {
		name   string
		order  policy.ChannelOrder
		people []who // the n-th sends the stream labelled n
		labels []siprec.Label
		want   []siprec.Label
	}{
		{"external first already", policy.ExternalFirst, []who{out, in}, []siprec.Label{"1", "2"}, []siprec.Label{"1", "2"}},
		{"external first", policy.ExternalFirst, []who{in, out}, []siprec.Label{"1", "2"}, []siprec.Label{"2", "1"}},
		{"internal first", policy.InternalFirst, []who{out, in}, []siprec.Label{"1", "2"}, []siprec.Label{"2", "1"}},
		{"one side keeps its order", policy.ExternalFirst, []who{in, out, out, in}, []siprec.Label{"4", "3", "2", "1"}, []siprec.Label{"3", "2", "4", "1"}},
		{"unknown sender: as offered", policy.ExternalFirst, []who{in, out}, []siprec.Label{"1", "2", "9"}, []siprec.Label{"1", "2", "9"}},
		{"nobody known: as offered", policy.ExternalFirst, nil, []siprec.Label{"2", "1"}, []siprec.Label{"2", "1"}},
		{"by label", policy.ByLabel, []who{out, in}, []siprec.Label{"b", "10", "a", "9"}, []siprec.Label{"9", "10", "a", "b"}},
	}
	for _, test := range tests {
		offered := append([]siprec.Label(nil), test.labels...)
		got := p.OrderLabels(policy.Class{Channels: test.order}, metadata(test.people...), test.labels)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
		if diff := cmp.Diff(offered, test.labels); diff != "" {
			t.Errorf("%s: the offer was changed:\n%s", test.name, diff)
		}
	}
	if got := p.OrderLabels(policy.Class{}, nil, []siprec.Label{"2", "1"}); got[0] != "2" {
		t.Errorf("without metadata: %v", got)
	}
}

func TestParseAddress(t *testing.T) {
	tests := map[string]policy.Address{
		"":                                   {},
		"sip:alice@Corp.Example":             {User: "alice", Host: "corp.example"},
		"sips:+33-6.11(22)33%2044@h:5061;lr": {User: "+33-6.11(22)33 44", Host: "h", Number: "+33611223344"},
		"sip:1001;phone-context=x:pw@[2001:DB8::1]:5060?a=b": {User: "1001", Host: "2001:db8::1", Number: "1001"},
		"tel:+1-555-0100;ext=5":                              {User: "+1-555-0100", Number: "+15550100"},
		"<sip:bob@h.>":                                       {User: "bob", Host: "h"},
		"4711":                                               {User: "4711", Number: "4711"},
		"alice@h":                                            {User: "alice", Host: "h"},
		"alice:secret@h:5060":                                {User: "alice", Host: "h"},
		"sip:gateway.example":                                {Host: "gateway.example"},
		"sip:*97@h":                                          {User: "*97", Host: "h", Number: "*97"},
		"sip:anonymous@anonymous.invalid":                    {User: "anonymous", Host: "anonymous.invalid"},
		"sip:%zz@h":                                          {User: "%zz", Host: "h"},
		"sip:a@b@h":                                          {User: "a@b", Host: "h"},
		"SIP:12+3@h":                                         {User: "12+3", Host: "h"},
	}
	for in, want := range tests {
		if diff := cmp.Diff(want, policy.ParseAddress(in)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}
