package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

const signalled = `
internal: {domains: [corp.example]}
signals:
  - {name: notice, when: '"X-Notice" in headers', means: informed, proof: X-Notice}
  - {name: agreed, when: 'ext["agreed"] == "yes"', means: consented, of: external, proof: contract}
  - {name: refused, when: 'ext["refused"] == "yes"', means: objected, of: caller}
  - {name: card, when: 'ext["state"] == "card"', means: paused, reason: payment}
rules: []
`

// TestSignals: what an SRC says of notice, consent and pauses is what the policy says that it means; what is not there means nothing.
func TestSignals(t *testing.T) {
	p, err := policy.Parse([]byte(signalled), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	m := metadata(caller("sip:+33611223344@carrier.example"), callee("sip:1001@corp.example"))
	f := policy.Facts{Metadata: m}
	if got := p.Signals(f, start); got != nil {
		t.Errorf("without any word the signals are %v", got)
	}
	if _, on := p.Paused(f, start); on {
		t.Error("without any word it is paused")
	}
	f.Headers = map[string]string{"X-Notice": "NOTICE-7"}
	m.Extensions = extensions("agreed", "yes", "contract", "C-4711", "refused", "yes", "state", "card")
	customer := string(m.Present()[0].ID)
	want := []policy.Signal{
		{Kind: policy.SignalInformed, At: start, Source: policy.FromHeader, Proof: "NOTICE-7"},
		{Party: customer, Kind: policy.SignalConsented, At: start, Source: policy.FromMetadata, Proof: "C-4711"},
		{Party: customer, Kind: policy.SignalObjected, At: start, Source: policy.FromMetadata},
	}
	if diff := cmp.Diff(want, p.Signals(f, start)); diff != "" {
		t.Errorf("signals differ (-want +got):\n%s", diff)
	}
	for _, s := range p.Signals(f, start) {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
	if reason, on := p.Paused(f, start); !on || reason != policy.PausePayment {
		t.Errorf("paused: %v by %q", on, reason)
	}
	m.Extensions = append(m.Extensions, extensions("state", "talk")...)
	if _, on := p.Paused(f, start); on {
		t.Error("the newest word is that it goes on, and it is paused")
	}
}

// TestBadSignals: a signal that says too little, or what nobody may say, does not load.
func TestBadSignalRules(t *testing.T) {
	for signal, want := range map[string]string{
		`{name: a, means: informed}`:                               "when: is missing",
		`{name: a, when: "true", means: consented}`:                "nobody consents for everybody",
		`{name: a, when: "true", means: consented, of: everybody}`: "nobody consents for everybody",
		`{name: a, when: "true", means: paused, of: caller}`:       "leave out of and proof",
		`{name: a, when: "true", means: objected, reason: health}`: "belongs to means: paused",
		`{name: a, when: "mixed", means: informed, proof: "a b"}`:  "not the name of a header field",
		`{name: a, when: "src", means: informed}`:                  "must be true or false",
		`{name: a b, when: "mixed", means: informed}`:              "is no name for a signal",
	} {
		_, err := policy.Parse([]byte("signals:\n  - "+signal+"\nrules: []\n"), policy.Options{Can: policy.Anything()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", signal, err, want)
		}
	}
}

// TestPauseTerms: keys mean one thing each, and limits are limits.
func TestPauseTerms(t *testing.T) {
	class := func(pause string) string {
		return "classes:\n  c: {purpose: p, legal_basis: b, retention: P1D, sample: 1%, consent: {mode: opt_out, keys: {object: \"9\"}}, pause: " + pause + "}\nrules: []\n"
	}
	p, err := policy.Parse([]byte(class(`{keys: {pause: "7", resume: "8"}, card_digits: 0, in_band: true, at_most: PT10M, after: PT1H}`)), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := p.Class("c")
	if got, _ := c.Pause.After.MarshalText(); c.Pause.Key != "7" || c.Pause.ResumeKey != "8" || c.Pause.CardDigits != 0 || !c.Pause.InBand || string(got) != "PT1H" {
		t.Errorf("pause: %+v", c.Pause)
	}
	for pause, want := range map[string]string{
		`{keys: {pause: "7", resume: "7"}}`: "cannot both begin and end",
		`{keys: {pause: "9"}}`:              "answers about consent already",
		`{card_digits: 3}`:                  "from 4 to 19",
		`{card_digits: 20}`:                 "from 4 to 19",
		`{at_most: P1D}`:                    "longer than PT4H",
		`{keys: {pause: "77"}}`:             "not a key of a telephone",
	} {
		if _, err := policy.Parse([]byte(class(pause)), policy.Options{Can: policy.Anything()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pause, err, want)
		}
	}
}
