package policy_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

// consentClass is a class with the consent of a flow mapping, and an optional mandate.
func consentClass(t *testing.T, consent, more string) policy.Class {
	t.Helper()
	doc := "classes: {c: {purpose: Quality, retention: P6M, sample: 10%, legal_basis: b, works_council: {none: x}, consent: " + consent + more + "}}\nrules: []"
	p, err := policy.Parse([]byte(doc), policy.Options{Can: policy.Anything()})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := p.Class("c")
	return c
}

// playConsent plays a script, a line of which is "SECONDS deed [party]" or "SECONDS ? want", and gives the lines that came out otherwise.
func playConsent(t *testing.T, c policy.Class, script string) {
	t.Helper()
	k := policy.NewConsents(c, c.Consent.Mode, start)
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		seconds, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatal(err)
		}
		at := start.Add(time.Duration(seconds) * time.Second)
		party := ""
		if len(words) > 2 {
			party = words[2]
		}
		signal := func(kind policy.SignalKind, proof string) {
			if _, err := k.Apply(policy.Signal{Party: party, Kind: kind, At: at, Source: policy.FromAPI, Proof: proof}); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		switch words[1] {
		case "join":
			k.Join(party, strings.HasPrefix(party, "agent"), at)
		case "leave":
			k.Leave(party)
		case "inform":
			signal(policy.SignalInformed, "")
		case "consent":
			signal(policy.SignalConsented, "")
		case "prove":
			signal(policy.SignalConsented, "form 7")
		case "object":
			signal(policy.SignalObjected, "")
		case "?":
			v := k.Verdict(at)
			got := fmt.Sprintf("%s %s", v.Action, v.Reason)
			if v.Party != "" {
				got += " by " + v.Party
			}
			if !v.Since.IsZero() {
				got += fmt.Sprintf(" since %.0f", v.Since.Sub(start).Seconds())
			}
			if !v.Until.IsZero() {
				got += fmt.Sprintf(" until %.0f", v.Until.Sub(start).Seconds())
			}
			if v.Answer != "" {
				got += ": " + v.Answer
			}
			if want := strings.Join(words[2:], " "); got != want {
				t.Errorf("after %s s: got %q, want %q", words[0], got, want)
			}
		default:
			t.Fatalf("no deed: %s", line)
		}
	}
}

func TestConsentModes(t *testing.T) {
	tests := []struct{ name, consent, more, script string }{
		{"mandated: nobody is asked, and an objection is answered", "none_mandated", ", mandate: Art. 7", `
			0 ? record mandate
			0 join bob
			1 object bob
			1 ? record mandate by bob: not applicable: Art. 7`},
		{"notice: recorded meanwhile by default, without end", "notice", "", `
			0 join agent
			0 join bob
			0 ? record meanwhile
			600 ? record meanwhile
			601 inform
			601 ? record granted`},
		{"notice: staff are not asked", "{mode: notice, unknown: none}", "", `
			0 join agent
			0 ? none meanwhile
			0 join bob
			0 ? none meanwhile
			5 inform bob
			5 ? record granted`},
		{"notice: everybody is asked", "{mode: notice, unknown: none, of: all}", "", `
			0 join agent
			0 join bob
			5 inform bob
			5 ? none meanwhile
			6 inform agent
			6 ? record granted`},
		{"notice: a call among staff", "{mode: notice, unknown: none}", "", `
			0 join agent1
			0 ? none meanwhile
			0 join agent2
			0 ? record granted`},
		{"notice: nobody is named", "{mode: notice, unknown: none}", "", `
			0 ? none meanwhile
			5 inform
			5 ? record granted`},
		{"opt-out: an objection destroys", "opt_out", "", `
			0 join bob
			5 inform bob
			9 object bob
			9 ? destroy objected by bob
			10 leave bob
			10 ? destroy objected by bob`},
		{"opt-out: an objection stops", "{mode: opt_out, objection: stop}", "", `
			0 join bob
			9 object bob
			9 ? none objected by bob`},
		{"an agent objects", "opt_out", "", `
			0 join agent
			0 join bob
			9 object agent
			9 ? destroy objected by agent`},
		{"somebody objects before anybody is named", "opt_out", "", `
			0 object
			0 ? destroy objected
			1 join bob
			1 ? destroy objected by bob`},
		{"opt-in of any", "opt_in_any", "", `
			0 join agent
			0 join bob
			0 join eve
			0 ? none meanwhile
			1 consent agent
			1 ? none meanwhile
			2 consent eve
			2 ? record granted
			3 object bob
			3 ? destroy objected by bob`},
		{"opt-in of all asks staff too", "opt_in_all", "", `
			0 join agent
			0 join bob
			1 consent bob
			1 ? none meanwhile
			2 consent agent
			2 ? record granted
			3 object agent
			3 ? destroy withdrawn by agent`},
		{"opt-in of nobody known", "opt_in_all", "", `
			0 inform
			0 ? none meanwhile`},
		{"a proven consent alone undoes an objection", "opt_in_all", "", `
			0 join bob
			1 object bob
			2 consent bob
			2 ? destroy objected by bob
			3 prove bob
			3 ? record granted`},
		{"an older consent undoes nothing, an older objection counts", "opt_in_all", "", `
			0 join bob
			5 object bob
			4 prove bob
			6 ? destroy objected by bob
			7 prove bob
			7 ? record granted
			6 object bob
			8 ? destroy withdrawn by bob`},
		{"held, and in time", "{mode: opt_in_all, unknown: hold, within: PT20S}", "", `
			0 join bob
			0 ? hold meanwhile until 20
			19 consent bob
			19 ? record granted
			99 ? record granted`},
		{"held, and too late: a new recording may begin", "{mode: opt_in_all, unknown: hold, within: PT20S}", "", `
			0 join bob
			20 ? destroy no_consent
			30 consent bob
			30 ? record granted`},
		{"too late, although nobody looked", "{mode: notice, unknown: hold, within: PT20S}", "", `
			0 join bob
			21 inform bob
			21 ? destroy no_notice
			22 consent bob
			22 ? record granted`},
		{"somebody joins a call that was in order", "{mode: notice, unknown: record, within: PT20S}", "", `
			0 join bob
			1 inform bob
			1 ? record granted
			60 join eve
			60 ? record meanwhile until 80
			79 ? record meanwhile until 80
			80 ? destroy no_notice since 60
			90 leave eve
			90 ? record granted`},
		{"whoever was asked has left", "{mode: opt_in_all, of: external}", "", `
			0 join agent
			0 join bob
			1 consent bob
			2 leave bob
			2 ? record granted`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { playConsent(t, consentClass(t, test.consent, test.more), test.script) })
	}
}

// TestConsentTransitions holds every state against every signal.
func TestConsentTransitions(t *testing.T) {
	reach := map[policy.ConsentState]string{
		policy.Unknown: "", policy.Informed: "i", policy.Consented: "c", policy.HasObjected: "o", policy.Withdrawn: "co",
	}
	type s = policy.ConsentState
	want := map[s][4]s{ // after informed, consented, consented with proof, objected
		policy.Unknown:     {policy.Informed, policy.Consented, policy.Consented, policy.HasObjected},
		policy.Informed:    {policy.Informed, policy.Consented, policy.Consented, policy.HasObjected},
		policy.Consented:   {policy.Consented, policy.Consented, policy.Consented, policy.Withdrawn},
		policy.HasObjected: {policy.HasObjected, policy.HasObjected, policy.Consented, policy.HasObjected},
		policy.Withdrawn:   {policy.Withdrawn, policy.Withdrawn, policy.Consented, policy.Withdrawn},
	}
	signals := map[byte]policy.Signal{
		'i': {Kind: policy.SignalInformed}, 'c': {Kind: policy.SignalConsented}, 'p': {Kind: policy.SignalConsented, Proof: "form"}, 'o': {Kind: policy.SignalObjected},
	}
	class := consentClass(t, "opt_in_all", "")
	for from, path := range reach {
		for i, signal := range []byte("icpo") {
			k := policy.NewConsents(class, policy.OptInAll, start)
			k.Join("bob", false, start)
			changed := false
			for j, step := range []byte(path + string(signal)) {
				sig := signals[step]
				sig.Party, sig.At, sig.Source = "bob", start.Add(time.Duration(j+1)*time.Second), policy.FromDTMF
				var err error
				if changed, err = k.Apply(sig); err != nil {
					t.Fatal(err)
				}
			}
			if got := k.State("bob"); got != want[from][i] || changed != (got != from) {
				t.Errorf("%s after %c: got %s (changed %v), want %s", from, signal, got, changed, want[from][i])
			}
			if n := len(k.Signals()); n != len(path)+1 {
				t.Errorf("%d signals are kept, want %d", n, len(path)+1)
			}
		}
	}
}

func TestBadSignals(t *testing.T) {
	k := policy.NewConsents(consentClass(t, "opt_in_all", ""), policy.OptInAll, start)
	k.Join("bob", false, start)
	good := policy.Signal{Party: "bob", Kind: policy.SignalConsented, At: start, Source: policy.FromAPI}
	for name, spoil := range map[string]func(*policy.Signal){
		"no kind": func(s *policy.Signal) { s.Kind = "maybe" }, "no source": func(s *policy.Signal) { s.Source = "" },
		"no time": func(s *policy.Signal) { s.At = time.Time{} }, "for everybody": func(s *policy.Signal) { s.Party = "" },
		"a stranger": func(s *policy.Signal) { s.Party = "eve" },
	} {
		s := good
		spoil(&s)
		if changed, err := k.Apply(s); err == nil || changed {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
	}
	if len(k.Signals()) != 0 || k.State("bob") != policy.Unknown {
		t.Errorf("bad signals left %v, %s", k.Signals(), k.State("bob"))
	}
}

// TestR06ObjectionNotApplicable: an objection to what a text obliges to record is answered, and kept as evidence.
func TestR06ObjectionNotApplicable(t *testing.T) {
	c := consentClass(t, "none_mandated", ", mandate: Code de la sécurité intérieure")
	playConsent(t, c, `
		0 join bob
		1 object bob
		1 ? record mandate by bob: not applicable: Code de la sécurité intérieure`)
}

// TestR17NoticeOrDiscarded: a class may need proof of notice; without it in time, the recording is discarded.
func TestR17NoticeOrDiscarded(t *testing.T) {
	for _, unknown := range []string{"record", "hold"} {
		playConsent(t, consentClass(t, "{mode: notice, unknown: "+unknown+", within: PT15S}", ""), `
			0 join bob
			0 ? `+unknown+` meanwhile until 15
			15 ? destroy no_notice`)
	}
}

// TestR23Objection: an objection stops and destroys, for everybody in the call, whatever the mode, but for a mandate.
func TestR23Objection(t *testing.T) {
	for _, mode := range []string{"notice", "opt_out", "opt_in_any", "opt_in_all"} {
		playConsent(t, consentClass(t, "{mode: "+mode+", of: all}", ""), `
			0 join agent
			0 join bob
			1 consent agent
			1 consent bob
			1 ? record granted
			2 object bob
			2 ? destroy withdrawn by bob`)
	}
}

// TestR28AfterNotice: with start: after_notice nothing is kept before the notice.
func TestR28AfterNotice(t *testing.T) {
	playConsent(t, consentClass(t, "notice", ", start: after_notice"), `
		0 join bob
		0 ? none meanwhile
		7 inform bob
		7 ? record granted`)
}

func TestUnder(t *testing.T) {
	c := policy.ConsentTerms{Mode: policy.NoneMandated, Of: policy.ExternalOnly, Unknown: policy.MeanwhileRecord, Objection: policy.Refused}
	want := policy.ConsentTerms{Mode: policy.OptInAll, Of: policy.Everybody, Unknown: policy.MeanwhileNone, Objection: policy.Destroys}
	if diff := cmp.Diff(want, c.Under(policy.OptInAll)); diff != "" {
		t.Errorf("stricter (-want +got):\n%s", diff)
	}
	for _, mode := range []policy.ConsentMode{"", policy.NoneMandated, policy.Notice} {
		if diff := cmp.Diff(want, want.Under(mode)); diff != "" {
			t.Errorf("%s changes opt_in_all:\n%s", mode, diff)
		}
	}
}

func TestAnswer(t *testing.T) {
	c := consentClass(t, `{mode: opt_out, keys: {object: "9", consent: "1"}}`, "").Consent
	for digit, want := range map[string]policy.SignalKind{"9": policy.SignalObjected, "1": policy.SignalConsented, "5": "", "": ""} {
		if got, ok := c.Answer(digit); got != want || ok != (want != "") {
			t.Errorf("digit %q: %q, %v", digit, got, ok)
		}
	}
}
