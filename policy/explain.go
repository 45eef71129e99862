package policy

import (
	"fmt"
	"strings"
	"time"
)

// An Explanation is a decision and the way to it.
type Explanation struct {
	Facts    []string `json:"facts"` // "caller: +33611223344, external, FR", one a line
	Steps    []Step   `json:"steps"` // the rules that were asked, in their order
	Decision Decision `json:"decision"`
	Terms    []string `json:"terms,omitempty"` // of a call to be recorded: what is kept of it, and from when on
}

// A Step is what one rule said.
type Step struct {
	Rule string `json:"rule"`
	Says string `json:"says"`
}

// Explain decides as Decide does, and says why. It is for people: it names the parties.
func (p *Policy) Explain(f Facts, now time.Time) Explanation {
	t := &trace{}
	d := p.decide(f, now, nil, t)
	e := Explanation{Facts: t.lines, Steps: t.steps, Decision: d}
	if class, known := p.Class(d.Class); known && d.Record {
		e.Terms = class.meanwhile(d.Consent)
	}
	return e
}

// meanwhile says what is recorded of a call, and from when on, in words.
func (c Class) meanwhile(mode ConsentMode) (terms []string) {
	switch c.Start {
	case AfterNotice:
		terms = append(terms, "nothing is kept before the parties have been informed")
	case OnMark:
		terms = append(terms, "nothing is kept before somebody sets a mark, nor after the mark that ends it")
	}
	if mode == "" || mode == NoneMandated {
		return terms
	}
	within := ""
	if !c.Consent.Within.IsZero() {
		within = fmt.Sprintf(", for %s at most", c.Consent.Within)
	}
	switch c.Consent.Unknown {
	case MeanwhileRecord:
		terms = append(terms, "recorded until somebody objects"+within)
	case MeanwhileHold:
		terms = append(terms, "held in memory until notice or consent is there"+within+"; then forgotten")
	case MeanwhileNone:
		terms = append(terms, "nothing is kept until notice or consent is there"+within)
	}
	return terms
}

// A trace follows a decision. A nil *trace follows nothing.
type trace struct {
	lines []string
	steps []Step
}

func (t *trace) facts(c *call) {
	if t == nil {
		return
	}
	add := func(name, value string) { t.lines = append(t.lines, name+": "+value) }
	add("when", c.local.Format("Monday 2006-01-02 15:04:05 MST"))
	for _, kv := range [][2]string{{"src", c.facts.SRC}, {"tenant", c.facts.Tenant}, {"trunk", c.facts.Trunk}} {
		if kv[1] != "" {
			add(kv[0], kv[1])
		}
	}
	add("direction", c.direction)
	for _, p := range c.parties {
		name := p.role
		if name == "" {
			name = "participant"
		}
		add(name, p.describe())
	}
}

// describe is a participant in words.
func (p *party) describe() string {
	words := []string{p.address()}
	if words[0] == "@" {
		words[0] = "no address"
	}
	if p.internal {
		words = append(words, "internal")
	} else {
		words = append(words, "external")
	}
	if country := p.text(partyCountry); country != "" {
		words = append(words, country)
	}
	if p.user != nil {
		words = append(words, "user "+p.user.ID)
		if len(p.user.Groups) > 0 {
			words = append(words, "of "+strings.Join(p.user.Groups, " and "))
		}
		if p.user.Protected {
			words = append(words, "protected")
		}
	}
	return strings.Join(words, ", ")
}

func (t *trace) step(r *rule, applies, notInternal bool, err error) {
	if t == nil {
		return
	}
	says := "does not apply"
	switch {
	case applies && notInternal:
		says = "would apply, but the call is internal and the rule does not say internal: true"
	case applies:
		says = "applies"
	}
	if err != nil {
		says += fmt.Sprintf(", for its condition could not be evaluated: %v", err)
	}
	t.steps = append(t.steps, Step{r.Name, says})
}

// also asks a rule that cannot change the decision any more.
func (t *trace) also(r *rule, c *call) {
	if t == nil {
		return
	}
	applies, err := r.applies(c)
	t.step(r, applies, true, err)
}

func (t *trace) lacks(r *rule, reason Reason) {
	if t == nil {
		return
	}
	says := "is passed over: the facts that it needs did not come"
	switch reason {
	case Waiting:
		says = "waits for the facts that it needs"
	case FactsMissing:
		says = "does not record: the facts that it needs did not come"
	}
	t.steps = append(t.steps, Step{r.Name, says})
}

// String is the explanation in lines of text.
func (e Explanation) String() string {
	var b strings.Builder
	for _, line := range e.Facts {
		fmt.Fprintln(&b, line)
	}
	for i, s := range e.Steps {
		fmt.Fprintf(&b, "%3d. %s %s\n", i+1, s.Rule, s.Says)
	}
	d := e.Decision
	verdict := "not recorded"
	if d.Record {
		verdict = "recorded"
	}
	fmt.Fprintf(&b, "decision: %s (%s)", verdict, d.Reason)
	if d.Class != "" {
		fmt.Fprintf(&b, ", class %s", d.Class)
	}
	b.WriteByte('\n')
	detail := "detail"
	if strings.HasPrefix(d.Detail, NotApplicable) {
		detail = "objection"
	}
	for _, kv := range [][2]string{{detail, d.Detail}, {"consent", string(d.Consent)}} {
		if kv[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", kv[0], kv[1])
		}
	}
	if d.Draw != "" {
		is := "not below"
		if d.Draw < d.Threshold { // of the same length
			is = "below"
		}
		fmt.Fprintf(&b, "sample: %s of %s: draw %s, %s the threshold %s\n", d.Sample, scopeName(d.Scope), d.Draw, is, d.Threshold)
	}
	if d.Claim != (Claim{}) {
		fmt.Fprintf(&b, "quota: one of %d places, if its draw %s is low enough\n", d.Claim.Calls, d.Claim.Draw)
	}
	for _, line := range e.Terms {
		fmt.Fprintf(&b, "terms: %s\n", line)
	}
	if !d.WaitUntil.IsZero() {
		fmt.Fprintf(&b, "waits until: %s\n", d.WaitUntil.UTC().Format(time.RFC3339))
	}
	return b.String()
}

func scopeName(s Scope) string {
	switch s {
	case PerConversation:
		return "conversations"
	case PerAgentDay:
		return "agents' days"
	default:
		return "calls"
	}
}
