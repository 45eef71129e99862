package recorder

import (
	"slices"

	"github.com/greffier/greffier/siprec"
)

// A scope is one communication session (CS) that goes on, and the labels whose sound is its own.
type scope struct {
	id     siprec.SessionID
	named  bool // false: the metadata know of no CS, and this stands for the whole session
	labels []siprec.Label
}

// A plan says whose every label is. Orphans are nobody's.
type plan struct {
	scopes  []scope
	orphans []siprec.Label
}

func (s *session) plan() plan {
	if !s.scopes.Known() {
		return plan{scopes: []scope{{labels: s.labels}}}
	}
	p := plan{}
	for _, id := range s.scopes.Active() {
		p.scopes = append(p.scopes, scope{id: id, named: true})
	}
	for _, l := range s.labels {
		id, ok := s.scopes.Owner(l)
		if !ok && s.scopes.Leaving(l) {
			continue // not even an orphan: nobody hears it
		}
		i := slices.IndexFunc(p.scopes, func(x scope) bool { return x.id == id })
		if !ok || i < 0 || s.shared(l, id) {
			p.orphans = append(p.orphans, l)
			continue
		}
		p.scopes[i].labels = append(p.scopes[i].labels, l)
	}
	return p
}

// shared tells whether somebody who is in other CSs only sends the label of this one, too: a mix of several calls (RFC 8068 section 3.5).
func (s *session) shared(l siprec.Label, id siprec.SessionID) bool {
	senders := s.metadata.Senders(l)
	return slices.ContainsFunc(s.metadata.Members, func(m siprec.Member) bool {
		return len(m.Sessions) > 0 && !slices.Contains(m.Sessions, id) &&
			slices.ContainsFunc(senders, func(p siprec.Participant) bool { return p.ID == m.Participant })
	})
}

// find gives the scope of a call, or nil.
func (p *plan) find(c *call) *scope {
	for i := range p.scopes {
		if p.scopes[i].named == c.named && p.scopes[i].id == c.scope {
			return &p.scopes[i]
		}
	}
	return nil
}

// elsewhere tells whether a label is that of another scope than the call's.
func (p *plan) elsewhere(l siprec.Label, c *call) bool {
	mine := p.find(c)
	for i := range p.scopes {
		if x := &p.scopes[i]; x != mine && slices.Contains(x.labels, l) {
			return true
		}
	}
	return false
}

// passed tells whether a call is over: its CS does not go on, or all its labels are others' now.
func (p *plan) passed(c *call) bool {
	mine := p.find(c)
	if mine == nil {
		return true
	}
	if len(mine.labels) > 0 || len(c.index) == 0 {
		return false
	}
	for l := range c.index {
		if p.elsewhere(l, c) {
			return true
		}
	}
	return false
}

// adopt makes a call that began before the metadata named any CS that of the first one with labels.
func (s *session) adopt(p plan) {
	if len(p.scopes) == 0 || !p.scopes[0].named {
		return
	}
	for _, c := range s.list() {
		if c.named {
			continue
		}
		first := max(0, slices.IndexFunc(p.scopes, func(x scope) bool { return len(x.labels) > 0 }))
		c.named, c.scope, c.renamed = true, p.scopes[first].id, true
	}
}
