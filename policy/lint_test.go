package policy_test

import (
	"strings"
	"testing"

	"github.com/greffier/greffier/policy"
)

// good is a class in flow style that neither fails nor warns; a test changes one word of it.
const good = `{purpose: Service quality, legal_basis: f, balance_test: LIA-1, retention: P6M, sample: 10%, works_council: {date: 2026-01-12, reference: CSE 3}}`

// lint checks a policy of one class, which one rule uses.
func lint(class string) (problems, warnings []string) {
	ps, ws := policy.Check([]byte("internal: {domains: [corp.example]}\nclasses:\n  c: " + class + "\nrules:\n  - {name: r, class: c}\n"))
	for _, p := range ps {
		problems = append(problems, p.String())
	}
	for _, w := range ws {
		warnings = append(warnings, w.String())
	}
	return problems, warnings
}

// A wrong is a change of the good class, and what must be said of it; "" when it must be taken.
type wrong struct{ old, new, want string }

func lintAll(t *testing.T, tests []wrong) {
	t.Helper()
	if p, w := lint(good); len(p)+len(w) > 0 {
		t.Fatalf("the good class: %v %v", p, w)
	}
	for _, test := range tests {
		class := strings.Replace(good, test.old, test.new, 1)
		problems, _ := lint(class)
		got := strings.Join(problems, "\n")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) || test.want != "" && len(problems) != 1 {
			t.Errorf("%s: got %q, want %q", class, got, test.want)
		}
		if test.want != "" && !strings.HasPrefix(got, "3:") {
			t.Errorf("%s: no place in %q", class, got)
		}
	}
}

const mandate = "sample: 10%, mandate: Art. 16(7)"

// TestR04NothingSystematic: recording every call needs a text that obliges to.
func TestR04NothingSystematic(t *testing.T) {
	lintAll(t, []wrong{
		{"10%", "100%", "classes.c.sample: recording every call needs a mandate"},
		{"10%", "1.0", "classes.c.sample: recording every call needs a mandate"},
		{"sample: 10%", "sample: 100%, mandate: Art. 16(7)", ""},
		{"sample: 10%", "sample: 100%, mandate: Art. 16(7), kind: training, campaign: {until: 2026-03-31}", "no text obliges to record every call for training"},
	})
	if _, w := lint(strings.Replace(good, "10%", "99.9%", 1)); len(w) != 1 || !strings.Contains(w[0], "close to recording every call") {
		t.Errorf("99.9 %%: %v", w)
	}
}

// TestR13EndOfEveryClass: nothing is kept for ever, and nothing over a year without a mandate.
func TestR13EndOfEveryClass(t *testing.T) {
	lintAll(t, []wrong{
		{"retention: P6M, ", "", "classes.c.retention: is missing: there is no class without an end"},
		{"P6M", "never", "is not a period"},
		{"P6M", "PT0S", "keeps nothing"},
		{"P6M", "P12M", ""},
	})
}

func TestR15AnalysisRetention(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", "sample: 10%, analysis_retention: P1Y", ""},
		{"sample: 10%", "sample: 10%, analysis_retention: P13M", "classes.c.analysis_retention: P13M is longer than P12M"},
		{"sample: 10%", mandate + ", analysis_retention: P5Y", ""},
	})
}

func TestR16NoMoreThanAYear(t *testing.T) {
	lintAll(t, []wrong{
		{"P6M", "P366D", "classes.c.retention: P366D is longer than P12M, which needs a mandate"},
		{"P6M, sample: 10%", "P5Y, " + mandate, ""},
		{"sample: 10%", "sample: 10%, lock: COMPLIANCE", "classes.c.lock: COMPLIANCE cannot be undone and needs a mandate"},
		{"sample: 10%", mandate + ", lock: COMPLIANCE", ""},
	})
}

func TestR21LegalBasis(t *testing.T) {
	lintAll(t, []wrong{
		{"legal_basis: f, ", "", "classes.c.legal_basis: is missing"},
		{"legal_basis: f", "legal_basis: g", `"g" is not one of consent`},
		{"balance_test: LIA-1, ", "", "classes.c.balance_test: is missing"},
		{"legal_basis: f, balance_test: LIA-1", "legal_basis: b", ""},
		{"legal_basis: f, balance_test: LIA-1", "legal_basis: a", ""},
		{"legal_basis: f, balance_test: LIA-1", "legal_basis: a, consent: opt_out", "opt_out is no consent, on which the class stands"},
	})
}

// TestR23RefusedObjection: only a mandate refuses an objection.
func TestR23RefusedObjection(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", "sample: 10%, consent: none_mandated", "none_mandated needs a mandate"},
		{"sample: 10%", "sample: 10%, consent: {mode: opt_out, objection: stop}", ""},
		{"sample: 10%", "sample: 10%, consent: {mode: notice, objection: refused}", "an objection can be refused by a mandate only"},
		{"sample: 10%", mandate + ", consent: {mode: opt_out, objection: refused}", "opt_out lets nobody refuse"},
		{"sample: 10%", mandate + ", consent: {mode: none_mandated, objection: stop}", ""},
	})
}

func TestR28StartAfterNotice(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", "sample: 10%, start: after_notice", ""},
		{"sample: 10%", "sample: 10%, start: after_notice, consent: {mode: notice, unknown: record}", "keeps nothing before the notice"},
		{"sample: 10%", "sample: 10%, start: later", `"later" is not one of at_once, after_notice, on_mark`},
	})
}

// TestR32WorksCouncil warns, and does not refuse.
func TestR32WorksCouncil(t *testing.T) {
	p, w := lint(strings.Replace(good, ", works_council: {date: 2026-01-12, reference: CSE 3}", "", 1))
	if len(p) > 0 || len(w) != 1 || !strings.Contains(w[0], "3:3: classes.c.works_council: is missing") {
		t.Errorf("got %v, warnings %v", p, w)
	}
	lintAll(t, []wrong{
		{"{date: 2026-01-12, reference: CSE 3}", "{none: fewer than eleven employees}", ""},
		{"{date: 2026-01-12, reference: CSE 3}", "{date: 2026-01-12}", "needs the date of the consultation and its reference"},
		{"{date: 2026-01-12, reference: CSE 3}", "{date: 2026-01-12, reference: CSE 3, none: x}", "either there was a consultation"},
		{"2026-01-12", "12/01/2026", "is not a day"},
	})
}

// TestR36Evidence: evidence of a contract begins on a mark, and can be deleted while another proof may come (R46 too).
func TestR36Evidence(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", "sample: 10%, kind: evidence", ""},
		{"sample: 10%", "sample: 100%, kind: evidence", ""}, // of the calls that are marked
		{"sample: 10%", "sample: 10%, kind: evidence, start: at_once", "classes.c.start: evidence of a contract begins on a mark"},
		{"sample: 10%", "sample: 10%, kind: evidence, proof_within: P14D", ""},
		{"sample: 10%", "sample: 10%, kind: evidence, proof_within: P14D, quarantine: P7D", "P7D is shorter than proof_within, P14D"},
		{"sample: 10%", "sample: 10%, proof_within: P14D", "means something of kind: evidence only"},
	})
	p, err := policy.Parse([]byte("classes:\n  c: "+strings.Replace(good, "sample: 10%", "sample: 10%, kind: evidence, proof_within: P14D", 1)+"\nrules: []"), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := p.Class("c"); c.Start != policy.OnMark || c.Quarantine != (policy.Period{Days: 14}) {
		t.Errorf("start %q, quarantine %s", c.Start, c.Quarantine)
	}
}

// TestR45TrainingHasAnEnd: training is recorded for a short time.
func TestR45TrainingHasAnEnd(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", "sample: 10%, kind: training", "classes.c.campaign: is missing: training is recorded for a short time"},
		{"sample: 10%", "sample: 10%, kind: training, campaign: {from: 2026-03-01}", "classes.c.campaign: is missing"},
		{"sample: 10%", "sample: 10%, kind: training, campaign: {from: 2026-03-01, until: 2026-03-31}", ""},
		{"sample: 10%", "sample: 10%, kind: training, campaign: {from: 2026-03-01, until: 2026-02-28}", "2026-02-28 is before the first day"},
	})
	long := strings.Replace(good, "sample: 10%", "sample: 10%, kind: training, campaign: {from: 2026-01-01, until: 2026-12-31}", 1)
	if _, w := lint(long); len(w) != 1 || !strings.Contains(w[0], "lasts longer than P6M") {
		t.Errorf("a year of training: %v", w)
	}
	if _, w := lint(strings.Replace(good, "Service quality", "Formation des conseillers", 1)); len(w) != 1 || !strings.Contains(w[0], "say kind: training") {
		t.Errorf("training under another name: %v", w)
	}
}

// TestR10ScreensOfTrainingOnly: no other class may be linked with a recording of a screen.
func TestR10ScreensOfTrainingOnly(t *testing.T) {
	for _, kind := range append(policy.Kinds(), policy.Other) {
		if got := (policy.Class{Kind: kind}).MayLinkScreen(); got != (kind == policy.Training) {
			t.Errorf("kind %q: %v", kind, got)
		}
	}
}

// TestR48NoRequisitions: that somebody may ask for recordings is no purpose.
func TestR48NoRequisitions(t *testing.T) {
	lintAll(t, []wrong{
		{"Service quality", "Réponse aux réquisitions", "classes.c.purpose: possible requests of others"},
		{"Service quality", "Quality and possible court requests", "are no purpose"},
		{"LIA-1", "kept for law enforcement", "classes.c.balance_test: possible requests of others"},
	})
}

// TestR06Emergency: every call, and an alarm for a missing one.
func TestR06Emergency(t *testing.T) {
	lintAll(t, []wrong{
		{"sample: 10%", mandate + ", kind: emergency", "classes.c.sample: a class for emergency calls records every one"},
		{"sample: 10%", "sample: 100%, mandate: Art. 7, kind: emergency", ""},
	})
	p, err := policy.Parse([]byte("classes:\n  c: "+strings.Replace(good, "sample: 10%", "sample: 100%, mandate: Art. 7, kind: emergency", 1)+"\nrules: []"), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := p.Class("c"); c.MissingAlarm.String() != "PT5M" || c.Consent.Objection != policy.Refused {
		t.Errorf("alarm after %s, objection %s", c.MissingAlarm, c.Consent.Objection)
	}
}

func TestOtherTerms(t *testing.T) {
	with := func(s string) string { return "sample: 10%, " + s }
	lintAll(t, []wrong{
		{"sample: 10%", with("quota: {calls: 5, every: week}"), ""},
		{"sample: 10%", with("quota: {every: week}"), "classes.c.quota.calls: is missing"},
		{"sample: 10%", with("quota: {calls: 0}"), "0 is not a number of calls from 1 to 1000"},
		{"sample: 10%", with("quota: {calls: many}"), "must be a whole number"},
		{"sample: 10%", with("quota: {calls: 5, every: year}"), `"year" is not one of day, week, month`},
		{"sample: 10%", "sample: 100%, mandate: Art. 7, quota: {calls: 5}", "cannot be kept by a class that records every call"},
		{"sample: 10%", with("quota: {calls: 5}, quarantine: P3D"), "P3D is shorter than the quota's time, P7D"},
		{"sample: 10%", with("sample_scope: agent_day"), ""},
		{"sample: 10%", with("quota: {calls: 5}, quarantine: P3D"), "P3D is shorter than the quota's time, P7D"},
		{"sample: 10%", with("sample_scope: month"), "is not one of call, conversation, agent_day"},
		{"sample: 10%", with("wait: {at_most: PT5S, then: skip}"), ""},
		{"sample: 10%", with("wait: {at_most: PT10M}"), "PT10M is longer than PT5M"},
		{"sample: 10%", with("consent: sometimes"), "is not one of none_mandated, notice"},
		{"sample: 10%", with("consent: {unknown: hold}"), "classes.c.consent.mode: is missing"},
		{"sample: 10%", with("consent: {mode: opt_in_all, unknown: record}"), "keeps nothing before somebody consents"},
		{"sample: 10%", with("consent: {mode: opt_in_all, unknown: hold, within: PT10M}"), "PT10M is longer than PT5M"},
		{"sample: 10%", with("consent: {mode: notice, unknown: none, within: PT10S}"), "within means nothing"},
		{"sample: 10%", with(`consent: {mode: opt_out, keys: {object: "9", consent: "9"}}`), "one digit cannot both object and consent"},
		{"sample: 10%", with(`consent: {mode: opt_out, keys: {object: "99"}}`), "is not a key of a telephone"},
		{"sample: 10%", with("acknowledgement: NOTICE-1, dpo: opinion 7, missing_alarm: PT2M"), ""},
	})
}
