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
	Needs    string `json:"needs,omitempty"`    // condition that holds once the facts are there that the rule needs

	Consent ConsentMode `json:"consent,omitempty"` // stricter than the class's; empty: the class's
}

type rule struct {
	Rule
	condition   *condition // nil: applies to every call
	needs       *condition // nil: needs nothing
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
	var sampleNode, classNode, untilNode, consentNode *yaml.Node
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
		"needs": func(n *yaml.Node, path string) {
			rule.Needs = r.text(n, path)
			if rule.Needs != "" {
				rule.needs = compile.condition(n, path)
			}
		},
		"consent": func(n *yaml.Node, path string) {
			rule.Consent, consentNode = choice(r, n, path, ConsentModes()...), n
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
		for _, key := range []string{"class", "sample", "internal", "consent"} {
			if seen[key] {
				r.problem(n, join(path, key), "means nothing in a rule with record: false, which applies to every call that it matches")
			}
		}
		rule.Class, rule.Sample, rule.Internal, rule.Consent = "", 0, false, ""
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
	if class, ok := p.classes[rule.Class]; ok {
		p.joinCampaign(r, rule, path, class, n)
		if rule.Consent != "" && !rule.Consent.stricterThan(class.Consent.Mode) {
			r.problem(consentNode, join(path, "consent"), "%s is not stricter than class %s, which asks for %s: leave it out", rule.Consent, class.Name, class.Consent.Mode)
		}
	}
	return rule
}

// joinCampaign gives the rule its class's campaign, within which its own dates must lie.
func (p *Policy) joinCampaign(r *reader, rule *rule, path string, class *Class, n *yaml.Node) {
	from, until := p.beginning(class.Campaign.From, 0), p.beginning(class.Campaign.Until, 1)
	if rule.From == "" {
		rule.From, rule.from = class.Campaign.From, from
	} else if !from.IsZero() && rule.from.Before(from) {
		r.problem(n, join(path, "from"), "%s is before the first day of class %s, %s", rule.From, class.Name, class.Campaign.From)
	}
	if rule.Until == "" {
		rule.Until, rule.until = class.Campaign.Until, until
	} else if !until.IsZero() && rule.until.After(until) {
		r.problem(n, join(path, "until"), "%s is after the last day of class %s, %s", rule.Until, class.Name, class.Campaign.Until)
	}
	if class.Campaign != (Campaign{}) && !rule.from.IsZero() && !rule.until.IsZero() && !rule.from.Before(rule.until) {
		r.problem(n, path, "has no day: its dates and those of class %s do not meet", class.Name)
	}
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
	case rule.Sample >= All && class.Kind == Training:
		r.problem(sampleNode, join(path, "sample"), "class %s is for training, of which a share is recorded", rule.Class)
	case rule.Sample < All && class.Kind == Emergency:
		r.problem(sampleNode, join(path, "sample"), "class %s is for emergency calls, of which every one is recorded", rule.Class)
	case rule.Sample >= All && class.Quota.Calls > 0:
		r.problem(sampleNode, join(path, "sample"), "class %s has a quota, which a rule that records every call cannot keep", rule.Class)
	case rule.Sample >= All && class.Mandate == "" && class.Kind != Evidence:
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
	s := readDay(r, n, path)
	return s, p.beginning(s, days)
}

// beginning gives the beginning of a day in the policy's time zone, so many days later; the zero time of no day.
func (p *Policy) beginning(date string, days int) time.Time {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return time.Time{}
	}
	return time.Date(day.Year(), day.Month(), day.Day()+days, 0, 0, 0, 0, p.location)
}
