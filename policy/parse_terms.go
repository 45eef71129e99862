package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// readConsent reads what a class says of consent: a mode, or a mapping.
func readConsent(r *reader, n *yaml.Node, path string) ConsentTerms {
	var c ConsentTerms
	if n.Kind == yaml.ScalarNode {
		c.Mode = choice(r, n, path, ConsentModes()...)
		return c
	}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"mode": func(n *yaml.Node, path string) { c.Mode = choice(r, n, path, ConsentModes()...) },
		"of":   func(n *yaml.Node, path string) { c.Of = choice(r, n, path, Everybody, ExternalOnly) },
		"unknown": func(n *yaml.Node, path string) {
			c.Unknown = choice(r, n, path, MeanwhileRecord, MeanwhileHold, MeanwhileNone)
		},
		"within":    func(n *yaml.Node, path string) { c.Within = readRetention(r, n, path) },
		"objection": func(n *yaml.Node, path string) { c.Objection = choice(r, n, path, Destroys, Stops, Refused) },
		"keys": func(n *yaml.Node, path string) {
			r.mapping(n, path, map[string]func(*yaml.Node, string){
				"object":  func(n *yaml.Node, path string) { c.Object = readDigit(r, n, path) },
				"consent": func(n *yaml.Node, path string) { c.Agree = readDigit(r, n, path) },
			})
			if c.Object != "" && c.Object == c.Agree {
				r.problem(n, path, "one digit cannot both object and consent")
			}
		},
	})
	if seen != nil && !seen["mode"] {
		r.problem(n, join(path, "mode"), "is missing: write one of %s", listOf(ConsentModes()))
	}
	return c
}

func readDigit(r *reader, n *yaml.Node, path string) string {
	s, ok := r.scalar(n, path, `a digit in quotes, such as "9"`, "!!str", "!!int")
	if ok && (len(s) != 1 || !strings.Contains("0123456789*#ABCD", s)) {
		r.problem(n, path, "%q is not a key of a telephone: write one of 0 to 9, *, #, A to D", s)
		return ""
	}
	return s
}

func readQuota(r *reader, n *yaml.Node, path string) Quota {
	q := Quota{Every: EveryWeek}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"calls": func(n *yaml.Node, path string) {
			s, ok := r.scalar(n, path, "a whole number", "!!int")
			calls, err := strconv.Atoi(s)
			if ok && (err != nil || calls < 1 || calls > MaxQuota) {
				r.problem(n, path, "%s is not a number of calls from 1 to %d", s, MaxQuota)
			}
			q.Calls = calls
		},
		"every": func(n *yaml.Node, path string) { q.Every = choice(r, n, path, EveryDay, EveryWeek, EveryMonth) },
	})
	if seen != nil && !seen["calls"] {
		r.problem(n, join(path, "calls"), "is missing: say how many recordings are kept of each agent")
	}
	return q
}

func readCampaign(r *reader, n *yaml.Node, path string) Campaign {
	var c Campaign
	var until *yaml.Node
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"from":  func(n *yaml.Node, path string) { c.From = readDay(r, n, path) },
		"until": func(n *yaml.Node, path string) { c.Until, until = readDay(r, n, path), n },
	})
	if c.From != "" && c.Until != "" && c.Until < c.From { // of one length, so that text compares as days do
		r.problem(until, join(path, "until"), "%s is before the first day, %s", c.Until, c.From)
		return Campaign{}
	}
	return c
}

// readDay reads a day as it is written.
func readDay(r *reader, n *yaml.Node, path string) string {
	s, ok := r.scalar(n, path, "a day such as 2026-03-01", "!!timestamp", "!!str")
	if !ok {
		return ""
	}
	if _, err := time.Parse(time.DateOnly, s); err != nil {
		r.problem(n, path, "%q is not a day: write one such as 2026-03-01", s)
		return ""
	}
	return s
}

func readCouncil(r *reader, n *yaml.Node, path string) Council {
	var c Council
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"date":      func(n *yaml.Node, path string) { c.Date = readDay(r, n, path) },
		"reference": func(n *yaml.Node, path string) { c.Reference = r.text(n, path) },
		"none":      func(n *yaml.Node, path string) { c.None = r.text(n, path) },
	})
	switch {
	case seen == nil:
	case seen["none"] && len(seen) > 1:
		r.problem(n, path, "either there was a consultation (date and reference), or none says why not")
	case !seen["none"] && (!seen["date"] || !seen["reference"]):
		r.problem(n, path, "needs the date of the consultation and its reference, or none with the reason why there was nobody to consult")
	}
	return c
}

func readWait(r *reader, n *yaml.Node, path string) Wait {
	w := Wait{Then: ThenNot}
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"at_most": func(n *yaml.Node, path string) {
			w.AtMost = readRetention(r, n, path)
			if w.AtMost.everExceeds(Period{Time: MaxWait}) {
				r.problem(n, path, "%s is longer than %s: a call does not wait that long", w.AtMost, Period{Time: MaxWait})
			}
		},
		"then": func(n *yaml.Node, path string) { w.Then = choice(r, n, path, ThenSkip, ThenRecord, ThenNot) },
	})
	return w
}

// readCountry reads an ISO 3166 code of two letters whose numbering plan is known.
func readCountry(r *reader, n *yaml.Node, path string) string {
	s := r.text(n, path)
	if s != "" && !knownCountry(s) {
		r.problem(n, path, "%q is not a country with a numbering plan: write its two letters, such as FR", s)
		return ""
	}
	return s
}

// readDays reads a list of days.
func readDays(r *reader, n *yaml.Node, path string) map[string]bool {
	days := make(map[string]bool)
	r.list(n, path, maxList, func(n *yaml.Node, path string) {
		if day := readDay(r, n, path); day != "" {
			days[day] = true
		}
	})
	return days
}

// orMissing is the node of a key where it was given, and of its parent otherwise.
func orMissing(nodes map[string]*yaml.Node, name string, parent *yaml.Node) *yaml.Node {
	if n := nodes[name]; n != nil {
		return n
	}
	return parent
}

// anyOf tells whether the text contains one of the words, whatever their case.
func anyOf(text string, words []string) (string, bool) {
	text = strings.ToLower(text)
	i := slices.IndexFunc(words, func(w string) bool { return strings.Contains(text, w) })
	if i < 0 {
		return "", false
	}
	return words[i], true
}
