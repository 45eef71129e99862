package policy

import "fmt"

// Abilities are what a server does for a policy beyond recording a call or not. A policy that asks for more than the server can do
// does not load: else it would record what its author forbade. Commands that record nothing can do Anything.
type Abilities struct {
	Consents bool // follows the parties' notice and consent, by Consents
	Marks    bool // begins a recording at a notice or a mark
	Quotas   bool // settles claims, and destroys what loses its place
	Waits    bool // asks again when the facts of a call change, by Reconsider
}

// Anything is every ability.
func Anything() Abilities { return Abilities{true, true, true, true} }

// beyond lists what the policy asks for and the server cannot do.
func (p *Policy) beyond(can Abilities) []Problem {
	var problems []Problem
	add := func(path, format string, args ...any) {
		problems = append(problems, Problem{Path: path, Message: fmt.Sprintf(format, args...) + ", which this server cannot do"})
	}
	for _, c := range p.order {
		path := "classes." + c.Name
		if !can.Consents && c.Consent.follows() {
			add(path+".consent", "asks to follow the consent of parties")
		}
		if !can.Marks && c.Start != "" && c.Start != AtOnce {
			add(path+".start", "asks to begin %s", c.Start)
		}
		if !can.Quotas && c.Quota.Calls > 0 {
			add(path+".quota", "asks to keep a quota")
		}
	}
	for _, r := range p.rules {
		if !can.Waits && r.Needs != "" {
			add("rules."+r.Name+".needs", "asks to wait for facts")
		}
		if !can.Consents && !r.Never && r.Consent != "" && p.classes[r.Class] != nil && p.classes[r.Class].Consent.Under(r.Consent).follows() {
			add("rules."+r.Name+".consent", "asks to follow the consent of parties")
		}
	}
	return problems
}

// follows tells whether what may be kept depends on what parties say or are told during the call.
func (c ConsentTerms) follows() bool {
	return c.Mode.OptsIn() || c.Unknown != MeanwhileRecord || !c.Within.IsZero() || c.Object != "" || c.Agree != ""
}
