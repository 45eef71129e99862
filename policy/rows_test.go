package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
)

// class is a policy with one class of these lines and a rule for every call.
func class(lines string, rules ...string) string {
	return "internal: {domains: [corp.example]}\nclasses:\n  c: {purpose: Quality, legal_basis: f, balance_test: T, works_council: {none: T}, " + lines + "}\nrules:\n" +
		strings.Join(append(rules, "  - {name: all, class: c}\n"), "")
}

// refuses expects a policy not to load, for a reason.
func refuses(t *testing.T, doc, want string) {
	t.Helper()
	problems, _ := policy.Check([]byte(doc))
	for _, p := range problems {
		if strings.Contains(p.String(), want) && p.Line > 0 {
			return
		}
	}
	t.Errorf("%s\nproblems %v, want %q with its place", doc, problems, want)
}

// TestR02: the same call gives the same answer on two nodes, on a retry, on a re-INVITE, and however its facts change meanwhile; another
// key gives another answer.
func TestR02(t *testing.T) {
	doc := class("retention: P6M, sample: 50%")
	one, two := loadDoc(t, doc), loadDoc(t, doc)
	other, err := policy.Parse([]byte(doc), policy.Options{SamplingKey: []byte("fedcba9876543210fedcba9876543210"), Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	differ := 0
	for i := range 1000 {
		f := policy.Facts{Metadata: inbound, CallKey: fmt.Sprint(i)}
		d := one.Decide(f, start)
		if again := two.Decide(f, start.Add(time.Hour)); again.Record != d.Record || again.Draw != d.Draw {
			t.Fatalf("call %d: %+v and %+v", i, d, again)
		}
		f.CallKey = "another identifier, from later metadata"
		if again := one.Reconsider(d, f, start.Add(time.Minute)); again.Record != d.Record || again.Draw != d.Draw {
			t.Fatalf("call %d was drawn for again: %+v and %+v", i, d, again)
		}
		if other.Decide(policy.Facts{Metadata: inbound, CallKey: fmt.Sprint(i)}, start).Record != d.Record {
			differ++
		}
	}
	if differ < 400 || differ > 600 {
		t.Errorf("%d of 1000 decisions differ with another key, want about half", differ)
	}
}

// TestR04: no rule records everything without a text that obliges to, in whatever way it is written.
func TestR04(t *testing.T) {
	const want = "needs a mandate"
	for _, sample := range []string{"100%", "1", "1.0", "100.0%"} {
		refuses(t, class("retention: P6M, sample: "+sample), want)
	}
	refuses(t, class("retention: P6M, sample: 10%", "  - {name: more, class: c, sample: 100%}\n"), want)
	p := loadDoc(t, class("retention: P6M, sample: 100%, mandate: \"Act 1\""))
	if s := p.Systematic(); len(s) != 1 || s[0].Reference != "Act 1" {
		t.Errorf("systematic: %v", s)
	}
	for _, name := range policy.Examples() {
		b, err := policy.Example(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range loadDoc(t, string(b)).Systematic() {
			if s.Reference == "" {
				t.Errorf("%s records everything by rule %s", name, s.Rule)
			}
		}
	}
}

// TestR05: a campaign ends, and no other rule takes its calls over; a quota goes with it.
func TestR05(t *testing.T) {
	p := loadDoc(t, class("retention: P6M, sample: 99%, campaign: {from: 2026-03-01, until: 2026-03-31}, quota: {calls: 5, every: week}, quarantine: P7D"))
	for at, want := range map[string]policy.Reason{"2026-02-28": policy.CampaignNotBegun, "2026-04-01": policy.CampaignOver} {
		day, _ := time.Parse(time.DateOnly, at)
		if d := p.Decide(policy.Facts{Metadata: inbound, CallKey: "k"}, day); d.Record || d.Reason != want {
			t.Errorf("on %s: %+v", at, d)
		}
	}
	day, _ := time.Parse(time.DateOnly, "2026-03-15")
	if d := p.Decide(policy.Facts{Metadata: inbound, CallKey: "k"}, day); !d.Record || d.Claim.Calls != 5 {
		t.Errorf("in the campaign: %+v", d)
	}
}

// TestR13: a class without an end does not load, nor does one whose end is no end.
func TestR13(t *testing.T) {
	refuses(t, class("sample: 2%"), "there is no class without an end")
	refuses(t, class("sample: 2%, retention: PT0S"), "keeps nothing")
	for _, never := range []string{"never", "P", "-P1D", "P1000Y", "unlimited", "0"} {
		problems, _ := policy.Check([]byte(class("sample: 2%, retention: " + never)))
		if len(problems) == 0 {
			t.Errorf("retention: %s loads", never)
		}
	}
}

// TestR16: nothing is kept for more than twelve months without a text that obliges to, leap years and all.
func TestR16(t *testing.T) {
	for _, long := range []string{"P13M", "P1Y1D", "P366D", "P53W", "P12MT1S"} {
		refuses(t, class("sample: 2%, retention: "+long), "needs a mandate")
		loadDoc(t, class("sample: 2%, retention: "+long+", mandate: \"Act 1\""))
	}
	loadDoc(t, class("sample: 2%, retention: P12M"))
	refuses(t, class("sample: 2%, retention: P1M, analysis_retention: P13M"), "needs a mandate")
}

// TestR21: a class has a legal basis, and legitimate interests have been weighed.
func TestR21(t *testing.T) {
	const rest = "retention: P6M, sample: 2%}\nrules: [{name: all, class: c}]\n"
	refuses(t, "classes:\n  c: {purpose: p, "+rest, "legal_basis: is missing")
	refuses(t, "classes:\n  c: {purpose: p, legal_basis: curiosity, "+rest, "legal_basis")
	for _, f := range []string{"f", "F", "legitimate_interests"} {
		refuses(t, "classes:\n  c: {purpose: p, legal_basis: "+f+", "+rest, "balance_test: is missing")
	}
	for _, b := range []string{"b", "c", "d", "e"} {
		loadDoc(t, "classes:\n  c: {purpose: p, legal_basis: "+b+", "+rest)
	}
}

// TestR32: a works council that was not consulted is a warning; so is a balance test that is still to be made.
func TestR32(t *testing.T) {
	for doc, want := range map[string]string{
		"classes:\n  c: {purpose: p, legal_basis: b, retention: P6M, sample: 2%}\nrules: [{name: all, class: c, internal: true}]\n":                                                     "works_council: is missing",
		"classes:\n  c: {purpose: p, legal_basis: f, balance_test: To be done, retention: P6M, sample: 2%, works_council: {none: T}}\nrules: [{name: all, class: c, internal: true}]\n": "is still to be done",
	} {
		problems, warnings := policy.Check([]byte(doc))
		found := false
		for _, w := range warnings {
			found = found || strings.Contains(w.String(), want)
		}
		if len(problems) > 0 || !found {
			t.Errorf("%s: problems %v, warnings %v, want %q", doc, problems, warnings, want)
		}
	}
}

// TestR34Rule: a call of which both parties are internal is recorded by a rule that says internal: true, and by no other.
func TestR34Rule(t *testing.T) {
	facts := policy.Facts{Metadata: metadata(caller("sip:1@corp.example"), callee("sip:2@corp.example")), CallKey: "k"}
	if d := loadDoc(t, class("retention: P6M, sample: 99.9999%")).Decide(facts, start); d.Record || d.Reason != policy.Internal {
		t.Errorf("without internal: %+v", d)
	}
	p := loadDoc(t, class("retention: P6M, sample: 99.9999%", "  - {name: inside, class: c, internal: true}\n"))
	if d := p.Decide(facts, start); !d.Record || d.Rule != "inside" {
		t.Errorf("with internal: true: %+v", d)
	}
}

// TestR43: the rules of the caller's country: somebody who calls from Germany has to consent, somebody from France to be informed.
func TestR43(t *testing.T) {
	p := loadDoc(t, class("retention: P6M, sample: 99.9999%, consent: notice", "  - {name: germany, when: 'participants.exists(p, p.country == \"DE\")', class: c, consent: opt_in_all}\n"))
	for number, want := range map[string]policy.ConsentMode{"+4930123456": policy.OptInAll, "+33140000001": policy.Notice, "004930123456": policy.Notice} {
		d := p.Decide(policy.Facts{Metadata: metadata(caller("sip:"+number+"@carrier.example"), callee("sip:1001@corp.example")), CallKey: "k"}, start)
		if !d.Record || d.Consent != want {
			t.Errorf("a caller from %s: consent %s, want %s", number, d.Consent, want)
		}
	}
	b, err := policy.Example("germany-all-party")
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := loadDoc(t, string(b)).Class("quality"); c.Consent.Mode != policy.OptInAll || c.Consent.Unknown == policy.MeanwhileRecord {
		t.Errorf("the shipped German policy asks for %+v", c.Consent)
	}
}

// TestR44: no rule records a protected user, and what a user dials to say that a call is private is a rule's to see.
func TestR44(t *testing.T) {
	d, err := policy.ParseDirectory([]byte("users:\n  - {id: delegate, addresses: [\"sip:cse@corp.example\"], protected: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := loadDoc(t, class("retention: P6M, sample: 100%, mandate: \"Act 1\"", "  - {name: private, when: 'callee.user.startsWith(\"*67\")', record: false}\n  - {name: inside, class: c, internal: true}\n"))
	if got := p.Decide(policy.Facts{Metadata: metadata(caller("sip:+33611223344@x"), callee("sip:cse@corp.example")), Directory: d, CallKey: "k"}, start); got.Record || got.Reason != policy.Protected {
		t.Errorf("a protected user: %+v", got)
	}
	if got := p.Decide(policy.Facts{Metadata: metadata(caller("sip:1001@corp.example"), callee("sip:*670611223344@x")), CallKey: "k"}, start); got.Record || got.Rule != "private" {
		t.Errorf("a call that was dialled as private: %+v", got)
	}
}

// TestR45: a class for training has an end, and takes a share.
func TestR45(t *testing.T) {
	refuses(t, class("kind: training, retention: P6M, sample: 2%"), "give the campaign's last day")
	refuses(t, class("kind: training, retention: P6M, sample: 100%, mandate: \"Act 1\", campaign: {until: 2026-12-31}"), "record a share")
	loadDoc(t, class("kind: training, retention: P6M, sample: 2%, campaign: {until: 2026-12-31}"))
}

// TestR46: evidence begins on a mark: not with the call, and not by looking back.
func TestR46(t *testing.T) {
	for _, s := range []string{"at_once", "after_notice"} {
		refuses(t, class("kind: evidence, retention: P6M, sample: 100%, start: "+s), "begins on a mark")
	}
	if c, _ := loadDoc(t, class("kind: evidence, retention: P6M, sample: 100%")).Class("c"); c.Start != policy.OnMark {
		t.Errorf("evidence that does not say begins %s", c.Start)
	}
}

// TestR47: the catalog keeps what the class lists, and nothing that is not in the list of what there is.
func TestR47(t *testing.T) {
	c, _ := loadDoc(t, class("retention: P6M, sample: 2%, keep_metadata: [number, role]")).Class("c")
	for _, f := range policy.DefaultKeepMetadata() {
		if want := f == policy.FieldNumber || f == policy.FieldRole; c.Keeps(f) != want {
			t.Errorf("%s is kept: %v, want %v", f, c.Keeps(f), want)
		}
	}
	refuses(t, class("retention: P6M, sample: 2%, keep_metadata: [shoe_size]"), "keep_metadata")
}

// TestR48: that somebody may ask for recordings one day is no purpose.
func TestR48(t *testing.T) {
	for _, purpose := range []string{"Possible court requests", "In case of police requests", "Réquisitions judiciaires", "Answer law enforcement"} {
		refuses(t, "classes:\n  c: {purpose: "+purpose+", legal_basis: b, retention: P6M, sample: 2%}\nrules: [{name: all, class: c}]\n", "are no purpose")
	}
}
