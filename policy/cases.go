package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/siprec"
)

// Limits of a document of cases.
const (
	maxCases        = 10_000
	maxCaseEntries  = 128 // headers, extensions and participants of a case
	sampledReason   = "sampled"
	defaultCaseTime = "2026-03-02T10:00:00Z" // a Monday
)

// Cases are an organisation's own expectations of its policy.
type Cases struct {
	Policy    string   // the policy's file, as written; may be empty
	Directory string   // the directory's file, likewise
	Objectors []string // addresses and numbers on the standing list
	Cases     []Case
}

// A Case is a call, and what is expected of it.
type Case struct {
	Name     string
	Line     int           // in the document
	Facts    Facts         // without the metadata of a file
	Metadata string        // file of SIPREC metadata, as written, instead of participants; may be empty
	At       time.Time     // when the call began
	Waited   time.Duration // how long ago that is
	Expect   []Expectation
}

// An Expectation is one word of a decision, such as class and quality.
type Expectation struct{ Key, Value string }

// expectable says what of a decision can be expected.
var expectable = map[string]func(Decision) string{
	"record":    func(d Decision) string { return fmt.Sprint(d.Record) },
	"class":     func(d Decision) string { return d.Class },
	"rule":      func(d Decision) string { return d.Rule },
	"reason":    func(d Decision) string { return string(d.Reason) },
	"consent":   func(d Decision) string { return string(d.Consent) },
	"share":     func(d Decision) string { return d.Sample.String() },
	"scope":     func(d Decision) string { return string(d.Scope) },
	"directory": func(d Decision) string { return d.Directory },
}

// ParseCases reads a document of cases. What is wrong with it is an *Error with every problem.
//
//	policy: training-qa.yaml         # files are beside the document; the command line may name others
//	directory: users.yaml
//	objectors: ["+33611223344"]
//	cases:
//	  - name: a customer calls an adviser
//	    at: 2026-03-02T10:00:00+01:00
//	    src: edge                     # and tenant, trunk, group, call_key; headers and ext are mappings
//	    participants:
//	      - {aor: "sip:+33611223344@carrier.example", role: caller}
//	      - {aor: "sip:1001@corp.example", role: callee, name: Bob}
//	    expect: {class: training, rule: advisers, reason: sampled, share: 5%}
//
// The reason "sampled" stands for sampled_in and sampled_out.
func ParseCases(b []byte) (*Cases, error) {
	c := &Cases{}
	r := &reader{what: "document of cases"}
	if root := r.document(b); root != nil {
		seen := r.mapping(root, "", map[string]func(*yaml.Node, string){
			"policy":    func(n *yaml.Node, path string) { c.Policy = r.text(n, path) },
			"directory": func(n *yaml.Node, path string) { c.Directory = r.text(n, path) },
			"objectors": func(n *yaml.Node, path string) { c.Objectors = r.names(n, path, maxList) },
			"cases": func(n *yaml.Node, path string) {
				r.list(n, path, maxCases, func(n *yaml.Node, path string) { c.Cases = append(c.Cases, readCase(r, n, path)) })
			},
		})
		if seen != nil && len(c.Cases) == 0 && len(r.problems) == 0 {
			r.problem(root, "cases", "are missing: there is nothing to test")
		}
	}
	if len(r.problems) > 0 {
		sortProblems(r.problems)
		return nil, &Error{What: "document of cases", Problems: r.problems}
	}
	return c, nil
}

func readCase(r *reader, n *yaml.Node, path string) Case {
	c := Case{Line: n.Line}
	c.At, _ = time.Parse(time.RFC3339, defaultCaseTime)
	var people []siprec.Participant
	var ext map[string]string
	var group string
	text := func(into *string) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) { *into = r.text(n, path) }
	}
	seen := r.mapping(n, path, map[string]func(*yaml.Node, string){
		"name": text(&c.Name), "src": text(&c.Facts.SRC), "tenant": text(&c.Facts.Tenant), "trunk": text(&c.Facts.Trunk),
		"call_key": text(&c.Facts.CallKey), "group": text(&group), "metadata": text(&c.Metadata),
		"at": func(n *yaml.Node, path string) {
			s, ok := r.scalar(n, path, "a time such as 2026-03-02T10:00:00+01:00", "!!timestamp", "!!str")
			at, err := time.Parse(time.RFC3339, s)
			if ok && err != nil {
				r.problem(n, path, "%q is not a time: write one such as 2026-03-02T10:00:00+01:00", s)
			}
			c.At = at
		},
		"waited":  func(n *yaml.Node, path string) { c.Waited = readPeriod(r, n, path).Time },
		"headers": func(n *yaml.Node, path string) { c.Facts.Headers = r.texts(n, path) },
		"ext":     func(n *yaml.Node, path string) { ext = r.texts(n, path) },
		"participants": func(n *yaml.Node, path string) {
			r.list(n, path, maxCaseEntries, func(n *yaml.Node, path string) { people = append(people, readPerson(r, n, path)) })
		},
		"expect": func(n *yaml.Node, path string) { c.Expect = readExpectations(r, n, path) },
	})
	if seen == nil {
		return c
	}
	if !seen["name"] {
		r.problem(n, join(path, "name"), "is missing: what does the case show?")
	}
	if !seen["expect"] {
		r.problem(n, join(path, "expect"), "is missing: say what must be decided, such as {record: false}")
	}
	if seen["metadata"] && (seen["participants"] || seen["ext"] || seen["group"]) {
		r.problem(n, join(path, "metadata"), "says who is there and what the extensions and the group are: leave out participants, ext and group")
	}
	if c.Facts.CallKey == "" {
		c.Facts.CallKey = c.Name
	}
	c.Facts.Metadata = callOf(people, ext, group, c.At)
	return c
}

func readPerson(r *reader, n *yaml.Node, path string) siprec.Participant {
	var p siprec.Participant
	var name siprec.NameID
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"aor":  func(n *yaml.Node, path string) { name.AOR = r.text(n, path) },
		"name": func(n *yaml.Node, path string) { name.Name = r.text(n, path) },
		"role": func(n *yaml.Node, path string) {
			calling := choice(r, n, path, RoleCaller, RoleCallee) == RoleCaller
			p.Caller = &calling
		},
	})
	p.Names = []siprec.NameID{name}
	return p
}

func readExpectations(r *reader, n *yaml.Node, path string) []Expectation {
	var list []Expectation
	read := make(map[string]func(*yaml.Node, string))
	for key := range expectable {
		read[key] = func(n *yaml.Node, path string) {
			s, _ := r.scalar(n, path, "one word", "!!str", "!!bool", "!!int", "!!float", "!!null")
			list = append(list, Expectation{key, s})
		}
	}
	if r.mapping(n, path, read) != nil && len(list) == 0 {
		r.problem(n, path, "says nothing: name what must be decided, such as record: false")
	}
	return list
}

// texts reads a mapping of texts.
func (r *reader) texts(n *yaml.Node, path string) map[string]string {
	m := make(map[string]string)
	r.entries(n, path, maxCaseEntries, func(_, value *yaml.Node, name string) {
		m[name], _ = r.scalar(value, join(path, name), "text (put it in quotes)", "!!str")
	})
	return m
}

// callOf makes the metadata of a call, as an SRC would have sent them.
func callOf(people []siprec.Participant, ext map[string]string, group string, at time.Time) *siprec.Metadata {
	const session = "session"
	d := siprec.Document{DataMode: siprec.Complete, Sessions: []siprec.Session{{ID: session, Group: siprec.GroupID(group)}}}
	for i, p := range people {
		p.ID = siprec.ParticipantID(fmt.Sprintf("p%d", i+1))
		stream := siprec.StreamID(fmt.Sprintf("s%d", i+1))
		d.Participants = append(d.Participants, p)
		d.Streams = append(d.Streams, siprec.Stream{ID: stream, Session: session, Label: siprec.Label(fmt.Sprint(i + 1))})
		d.ParticipantSessions = append(d.ParticipantSessions, siprec.ParticipantSession{Participant: p.ID, Session: session})
		d.ParticipantStreams = append(d.ParticipantStreams, siprec.ParticipantStream{Participant: p.ID, Send: []siprec.StreamID{stream}})
	}
	for _, name := range slices.Sorted(maps.Keys(ext)) {
		d.Extensions = append(d.Extensions, siprec.Extension{Name: name, Value: ext[name]})
	}
	var m siprec.Metadata
	m.Apply(&d, at)
	return &m
}

// Run decides about the case's call, whose metadata are those given unless they are nil, and lists what is not as expected.
func (c Case) Run(p *Policy, d *Directory, o *Objectors, m *siprec.Metadata) (Explanation, []string) {
	f := c.Facts
	f.Directory, f.Objectors, f.Began = d, o, c.At
	if m != nil {
		f.Metadata = m
	}
	e := p.Explain(f, c.At.Add(c.Waited))
	var wrong []string
	for _, want := range c.Expect {
		got := expectable[want.Key](e.Decision)
		value := want.Value
		if want.Key == "share" {
			if s, err := ParseSample(value); err == nil {
				value = s.String()
			}
		}
		sampled := want.Key == "reason" && value == sampledReason && strings.HasPrefix(got, sampledReason)
		if got != value && !sampled {
			wrong = append(wrong, fmt.Sprintf("%s is %q, expected %q", want.Key, got, value))
		}
	}
	return e, wrong
}
