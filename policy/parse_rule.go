package policy

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// A Rule says which calls belong to a class, or are never recorded.
type Rule struct {
	Name     string `json:"name"`
	When     string `json:"when,omitempty"`     // condition; empty: every call
	Class    string `json:"class,omitempty"`    // empty when Never
	Never    bool   `json:"never,omitempty"`    // `record: false`
	Cause    string `json:"reason,omitempty"`   // of a rule that says Never
	Internal bool   `json:"internal,omitempty"` // applies to calls among internal participants too
	From     string `json:"from,omitempty"`     // first day, RFC 3339 full-date; empty: always
	Until    string `json:"until,omitempty"`    // last day, included; empty: for ever
	Sample   Sample `json:"sample"`             // the rule's, or its class's
}

type rule struct {
	Rule
	condition   *condition // nil: applies to every call
	from, until time.Time  // until is the first instant after; zero: open
	node        *yaml.Node // only while loading
}

func (p *Policy) readRules(r *reader, n *yaml.Node, path string) {
	compile := newCompiler(r)
	names := make(map[string]int)
	r.list(n, path, maxRules, func(item *yaml.Node, path string) {
		rule := p.readRule(r, compile, item, path)
		if line, twice := names[rule.Name]; twice && rule.Name != "" {
			r.problem(item, path, "rule %q was given before, in line %d", rule.Name, line)
		}
		names[rule.Name] = item.Line
		p.rules = append(p.rules, rule)
	})
}

func (p *Policy) readRule(r *reader, compile *compiler, n *yaml.Node, path string) *rule {
	rule := &rule{node: n}
	var record, sampled bool
	var sampleNode, classNode, untilNode *yaml.Node
	name := ruleNameOf(n)
	if name != "" {
		path = "rules." + name
	}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"name": func(n *yaml.Node, path string) {
			rule.Name = r.text(n, path)
			if rule.Name != "" && !ruleName.MatchString(rule.Name) {
				r.problem(n, path, "%q is no name for a rule: up to 128 letters, digits, dots, - and _", rule.Name)
			}
		},
		"when": func(n *yaml.Node, path string) {
			rule.When = r.text(n, path)
			if rule.When != "" {
				rule.condition = compile.condition(n, path)
			}
		},
		"class":    func(n *yaml.Node, path string) { rule.Class, classNode = r.text(n, path), n },
		"record":   func(n *yaml.Node, path string) { record = r.boolean(n, path) },
		"reason":   func(n *yaml.Node, path string) { rule.Cause = r.reference(n, path) },
		"internal": func(n *yaml.Node, path string) { rule.Internal = r.boolean(n, path) },
		"from":     func(n *yaml.Node, path string) { rule.From, rule.from = p.readDate(r, n, path, 0) },
		"until": func(n *yaml.Node, path string) {
			rule.Until, rule.until = p.readDate(r, n, path, 1)
			untilNode = n
		},
		"sample": func(n *yaml.Node, path string) {
			rule.Sample, sampleNode, sampled = readSample(r, n, path), n, true
		},
	})
	if seen == nil {
		return rule
	}
	if !seen["name"] {
		r.problem(n, path, "name is missing: decisions name the rule that made them")
	}
	if !rule.from.IsZero() && !rule.until.IsZero() && !rule.from.Before(rule.until) {
		r.problem(untilNode, join(path, "until"), "%s is before the first day, %s", rule.Until, rule.From)
	}
	rule.Never = seen["record"] && !record
	if rule.Never {
		for _, key := range []string{"class", "sample", "internal"} {
			if seen[key] {
				r.problem(n, join(path, key), "means nothing in a rule with record: false, which applies to every call that it matches")
			}
		}
		rule.Class, rule.Sample, rule.Internal = "", 0, false
		return rule
	}
	if seen["reason"] {
		r.problem(n, join(path, "reason"), "belongs to a rule with record: false; a class has its purpose")
	}
	if !seen["class"] {
		r.problem(n, join(path, "class"), "is missing: name the class, or say record: false")
		return rule
	}
	p.joinClass(r, rule, path, classNode, sampleNode, sampled)
	return rule
}

// joinClass checks the rule against its class.
func (p *Policy) joinClass(r *reader, rule *rule, path string, classNode, sampleNode *yaml.Node, sampled bool) {
	class, ok := p.classes[rule.Class]
	switch {
	case rule.Class == "":
	case !ok:
		r.problem(classNode, join(path, "class"), "there is no class %q", rule.Class)
	case !sampled:
		rule.Sample = class.Sample
	case rule.Sample >= All && class.Mandate == "":
		r.problem(sampleNode, join(path, "sample"), "recording every call needs a mandate in class %s: name the text that obliges to, or record a share", rule.Class)
	}
}

// ruleNameOf finds the name of a rule, for the paths of its problems.
func ruleNameOf(n *yaml.Node) string {
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" && ruleName.MatchString(n.Content[i+1].Value) {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// readDate reads a day and gives its beginning in the policy's time zone, so many days later.
func (p *Policy) readDate(r *reader, n *yaml.Node, path string, days int) (string, time.Time) {
	s, ok := r.scalar(n, path, "a day such as 2026-03-01", "!!timestamp", "!!str")
	if !ok {
		return "", time.Time{}
	}
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		r.problem(n, path, "%q is not a day: write one such as 2026-03-01", s)
		return "", time.Time{}
	}
	return s, time.Date(day.Year(), day.Month(), day.Day()+days, 0, 0, 0, 0, p.location)
}
