package policy

import (
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/siprec"
)

// A SignalRule says what an SRC's metadata and header fields mean for notice, consent, or pauses.
type SignalRule struct {
	Name   string      `json:"name"`
	When   string      `json:"when"`             // condition
	Means  string      `json:"means"`            // a SignalKind, or "paused"
	Of     SignalParty `json:"of"`               // whom it concerns; not of "paused"
	Proof  string      `json:"proof,omitempty"`  // the header field or extension whose value refers to the proof
	Reason PauseReason `json:"reason,omitempty"` // of "paused"
}

// A SignalParty says whom a signal concerns.
type SignalParty string

// Whom signals concern.
const (
	OfEverybody SignalParty = "everybody" // also those who join later
	OfCaller    SignalParty = "caller"
	OfCallee    SignalParty = "callee"
	OfExternal  SignalParty = "external"
	OfInternal  SignalParty = "internal"
)

// SignalParties lists whom signals may concern.
func SignalParties() []SignalParty {
	return []SignalParty{OfEverybody, OfCaller, OfCallee, OfExternal, OfInternal}
}

// meansPaused is the meaning of a rule that pauses.
const meansPaused = "paused"

type signalRule struct {
	SignalRule
	condition *condition
}

// maxSignals bounds the rules for signals, and maxProof the length of a proof's reference.
const (
	maxSignals = 100
	maxProof   = 256
)

var proofName = regexp.MustCompile(`^[\x21-\x7e]{1,128}$`)

func (p *Policy) readSignals(r *reader, n *yaml.Node, path string) {
	compile, names := newCompiler(r), make(map[string]bool)
	r.list(n, path, maxSignals, func(n *yaml.Node, path string) {
		rule := readSignal(r, compile, n, path)
		if names[rule.Name] && rule.Name != "" {
			r.problem(n, path, "signal %q was given before", rule.Name)
		}
		names[rule.Name] = true
		p.signals = append(p.signals, rule)
	})
}

func readSignal(r *reader, compile *compiler, n *yaml.Node, path string) *signalRule {
	rule := &signalRule{}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"name": func(n *yaml.Node, path string) {
			if rule.Name = r.text(n, path); rule.Name != "" && !ruleName.MatchString(rule.Name) {
				r.problem(n, path, "%q is no name for a signal: up to 128 letters, digits, dots, - and _", rule.Name)
			}
		},
		"when": func(n *yaml.Node, path string) {
			if rule.When = r.text(n, path); rule.When != "" {
				rule.condition = compile.condition(n, path)
			}
		},
		"means": func(n *yaml.Node, path string) {
			rule.Means = choice(r, n, path, string(SignalInformed), string(SignalConsented), string(SignalObjected), meansPaused)
		},
		"of": func(n *yaml.Node, path string) { rule.Of = choice(r, n, path, SignalParties()...) },
		"proof": func(n *yaml.Node, path string) {
			if rule.Proof = r.text(n, path); rule.Proof != "" && !proofName.MatchString(rule.Proof) {
				r.problem(n, path, "%q is not the name of a header field or an extension", rule.Proof)
			}
		},
		"reason": func(n *yaml.Node, path string) { rule.Reason = choice(r, n, path, PauseReasons()...) },
	})
	if seen == nil {
		return rule
	}
	for _, required := range []string{"name", "when", "means"} {
		if !seen[required] {
			r.problem(n, join(path, required), "is missing: a signal has a name, says when it is there, and what it means")
		}
	}
	pauses := rule.Means == meansPaused
	switch {
	case pauses && (seen["of"] || seen["proof"]):
		r.problem(n, path, "a pause concerns the recording, and needs no proof: leave out of and proof")
	case !pauses && seen["reason"]:
		r.problem(n, join(path, "reason"), "belongs to means: paused")
	case rule.Means == string(SignalConsented) && (rule.Of == "" || rule.Of == OfEverybody):
		r.problem(n, join(path, "of"), "must say whose consent it is: nobody consents for everybody")
	}
	if pauses && rule.Reason == "" {
		rule.Reason = PauseOther
	}
	if !pauses && rule.Of == "" {
		rule.Of = OfEverybody
	}
	return rule
}

// Signals gives what the SRC's metadata and header fields say of notice and consent at an instant, by the policy's rules. Parties are named
// by their participant ids. A condition that cannot be evaluated (it asks for a header field that is not there, say) does not hold.
func (p *Policy) Signals(f Facts, at time.Time) []Signal {
	var out []Signal
	for _, rule := range p.holding(f, at, false) {
		proof, source := rule.proof(f)
		signal := Signal{Kind: SignalKind(rule.Means), At: at, Source: source, Proof: proof}
		if rule.Of == OfEverybody {
			out = append(out, signal)
			continue
		}
		for _, party := range p.meant(f, rule.Of) {
			signal.Party = party
			out = append(out, signal)
		}
	}
	return out
}

// Paused tells whether the SRC's metadata or header fields say at an instant that nothing is to be recorded, and why. A condition that
// cannot be evaluated does not hold.
func (p *Policy) Paused(f Facts, at time.Time) (PauseReason, bool) {
	for _, rule := range p.holding(f, at, true) {
		return rule.Reason, true
	}
	return "", false
}

// holding lists the rules whose conditions hold.
func (p *Policy) holding(f Facts, at time.Time, pauses bool) (out []*signalRule) {
	var c *call
	for _, rule := range p.signals {
		if rule.condition == nil || (rule.Means == meansPaused) != pauses {
			continue
		}
		if c == nil {
			c = p.newCall(f, at)
		}
		if holds, err := rule.condition.holds(c); err == nil && holds {
			out = append(out, rule)
		}
	}
	return out
}

// proof gives the reference of a signal's proof, and where the signal came from.
func (rule *signalRule) proof(f Facts) (string, SignalSource) {
	if value, ok := f.Headers[rule.Proof]; ok && rule.Proof != "" {
		return value[:min(len(value), maxProof)], FromHeader
	}
	if f.Metadata != nil && rule.Proof != "" {
		value, _ := f.Metadata.Extension(rule.Proof)
		return value[:min(len(value), maxProof)], FromMetadata
	}
	return "", FromMetadata
}

// meant lists the ids of the participants that a signal concerns.
func (p *Policy) meant(f Facts, of SignalParty) (out []string) {
	if f.Metadata == nil {
		return nil
	}
	present := f.Metadata.Present()
	roles := rolesOf(present)
	for i, who := range present {
		if p.concerns(of, who, roles[i], f.Directory) {
			out = append(out, string(who.ID))
		}
	}
	return out
}

func (p *Policy) concerns(of SignalParty, who siprec.Participant, role string, d *Directory) bool {
	switch of {
	case OfCaller:
		return role == RoleCaller
	case OfCallee:
		return role == RoleCallee
	case OfInternal:
		return p.Internal(who, d)
	case OfExternal:
		return !p.Internal(who, d)
	}
	return true
}

// SignalRules lists the rules for what SRCs say of notice, consent and pauses.
func (p *Policy) SignalRules() []SignalRule {
	list := make([]SignalRule, len(p.signals))
	for i, rule := range p.signals {
		list[i] = rule.SignalRule
	}
	return list
}
