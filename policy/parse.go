package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"
	_ "time/tzdata" // a policy's time zone must load on a system without zone files

	"go.yaml.in/yaml/v3"
)

// Options are what a policy needs that is not in its document.
type Options struct {
	// SamplingKey keys the sampling draws; every node needs the same one, of MinSamplingKey bytes at least. It may be
	// empty for a policy that samples nothing.
	SamplingKey []byte
	// Can is what the server can do. A policy that asks for more does not load.
	Can Abilities
}

// A Policy is a policy in force. It does not change and is safe for concurrent use.
type Policy struct {
	digest   string
	location *time.Location
	country  string          // of national numbers; may be empty
	holidays map[string]bool // by RFC 3339 full-date
	insiders *insiders
	classes  map[string]*Class
	order    []*Class // as written
	rules    []*rule
	signals  []*signalRule
	warnings []Problem
	key      []byte
}

// Parse reads a policy. What is wrong with it is an *Error with every problem.
func Parse(b []byte, o Options) (*Policy, error) {
	p, problems := parse(b)
	if len(problems) == 0 && p.samples() && len(o.SamplingKey) < MinSamplingKey {
		problems = append(problems, Problem{Message: fmt.Sprintf(
			"the policy samples calls, which needs a sampling key of at least %d bytes: set it, the same on every node", MinSamplingKey)})
	}
	if len(problems) == 0 {
		problems = p.beyond(o.Can)
	}
	if len(problems) > 0 {
		return nil, &Error{Problems: problems}
	}
	p.key = slices.Clone(o.SamplingKey)
	return p, nil
}

// Load reads the policy in a file as Parse does.
func Load(path string, o Options) (*Policy, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	p, err := Parse(b, o)
	if e, ok := err.(*Error); ok {
		e.File = path
	}
	return p, err
}

// Check lists what is wrong with a policy, and what its author should look at again. It needs no sampling key.
func Check(b []byte) (problems, warnings []Problem) {
	p, problems := parse(b)
	return problems, p.warnings
}

func parse(b []byte) (*Policy, []Problem) {
	sum := sha256.Sum256(b)
	p := &Policy{
		digest:   hex.EncodeToString(sum[:]),
		location: time.UTC,
		classes:  make(map[string]*Class),
	}
	r := &reader{}
	if root := r.document(b); root != nil {
		p.readRoot(r, root)
	}
	sortProblems(r.problems)
	sortProblems(r.warnings)
	p.warnings = r.warnings
	return p, r.problems
}

func (p *Policy) readRoot(r *reader, root *yaml.Node) {
	var rules *yaml.Node
	classNodes := make(map[string]*yaml.Node)
	seen := r.mapping(root, "", map[string]func(*yaml.Node, string){
		"version": func(n *yaml.Node, path string) {
			if s, ok := r.scalar(n, path, "1", "!!int"); ok && s != "1" {
				r.problem(n, path, "version %s is not known to this program: it reads version 1", s)
			}
		},
		"timezone": func(n *yaml.Node, path string) {
			if name := r.text(n, path); name != "" {
				p.location = readZone(r, n, path, name)
			}
		},
		"country":  func(n *yaml.Node, path string) { p.country = readCountry(r, n, path) },
		"holidays": func(n *yaml.Node, path string) { p.holidays = readDays(r, n, path) },
		"internal": func(n *yaml.Node, path string) { p.insiders = readInsiders(r, n, path) },
		"classes": func(n *yaml.Node, path string) {
			r.entries(n, path, maxClasses, func(key, value *yaml.Node, name string) {
				c := readClass(r, key, value, path)
				classNodes[c.Name] = key
				p.classes[c.Name] = c
				p.order = append(p.order, c)
			})
		},
		"rules":   func(n *yaml.Node, _ string) { rules = n },
		"signals": func(n *yaml.Node, path string) { p.readSignals(r, n, path) },
	})
	if seen != nil && !seen["rules"] {
		r.problem(root, "", "rules are missing: a policy that records nothing says so with rules: []")
	}
	if rules == nil {
		return
	}
	p.readRules(r, rules, "rules") // last, whatever the document's order: rules refer to classes and to the time zone
	p.lint(r, rules, classNodes)
}

func readZone(r *reader, n *yaml.Node, path, name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		r.problem(n, path, "%q is not a time zone: write one such as Europe/Paris", name)
		return time.UTC
	}
	return l
}

// lint warns of what loads but is hardly meant.
func (p *Policy) lint(r *reader, rules *yaml.Node, classNodes map[string]*yaml.Node) {
	if len(p.rules) == 0 && rules.Kind == yaml.SequenceNode && len(rules.Content) == 0 {
		r.warning(rules, "rules", "the policy has no rule and records nothing")
	}
	used := make(map[string]bool)
	var allExternal, all string // rules that apply to every call with an external party, and to every call
	external := false
	for _, rule := range p.rules {
		if all != "" || allExternal != "" && !rule.Internal && !rule.Never {
			r.warning(rule.node, "rules."+rule.Name, "is never reached: rule %s before it applies to every call", cmp.Or(all, allExternal))
		}
		if rule.When == "" && rule.Needs == "" && (rule.Never || rule.Internal) {
			all = rule.Name
		} else if rule.When == "" && rule.Needs == "" {
			allExternal = rule.Name
		}
		used[rule.Class] = true
		external = external || !rule.Never && !rule.Internal
		rule.node = nil // the document's tree is not kept
	}
	if external && p.insiders == nil {
		r.warning(rules, "internal", "is missing: internal calls cannot be told from others, and are recorded like others")
	}
	for _, c := range p.order {
		if !used[c.Name] {
			r.warning(classNodes[c.Name], "classes."+c.Name, "is used by no rule")
		}
	}
}

// samples tells whether any rule takes a part of its calls only.
func (p *Policy) samples() bool {
	return slices.ContainsFunc(p.rules, func(r *rule) bool {
		return !r.Never && (r.Sample.Partial() || p.classes[r.Class] != nil && p.classes[r.Class].Quota.Calls > 0)
	})
}

// Digest is the SHA-256 of the policy's document, byte for byte, in hexadecimal.
func (p *Policy) Digest() string { return p.digest }

// Warnings lists what its author should look at again.
func (p *Policy) Warnings() []Problem { return slices.Clone(p.warnings) }

// Classes lists the classes as written.
func (p *Policy) Classes() []Class {
	list := make([]Class, len(p.order))
	for i, c := range p.order {
		list[i] = c.clone()
	}
	return list
}

// Class gives the class with the name.
func (p *Policy) Class(name string) (Class, bool) {
	c, ok := p.classes[name]
	if !ok {
		return Class{}, false
	}
	return c.clone(), true
}

// Rules lists the rules in their order.
func (p *Policy) Rules() []Rule {
	list := make([]Rule, len(p.rules))
	for i, r := range p.rules {
		list[i] = r.Rule
	}
	return list
}

// A Mandate is a rule that records all of its calls, and the text that obliges to (R04).
type Mandate struct {
	Rule      string `json:"rule"`
	Class     string `json:"class"`
	Reference string `json:"mandate"`
}

// Systematic lists the rules that record all of their calls.
func (p *Policy) Systematic() []Mandate {
	var list []Mandate
	for _, r := range p.rules {
		if !r.Never && r.Sample >= All && p.classes[r.Class].Kind != Evidence { // evidence begins on a mark
			list = append(list, Mandate{Rule: r.Name, Class: r.Class, Reference: p.classes[r.Class].Mandate})
		}
	}
	return list
}

var (
	className = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	ruleName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)
