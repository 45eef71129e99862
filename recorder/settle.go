package recorder

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
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

// settle brings the calls of a session up to its metadata and description. In this order: what is over, or another's, is silenced;
// what is new is decided about, and witnessed; only then what is to be heard is heard.
func (r *Recorder) settle(ctx context.Context, s *session, ch siprec.Change, begins bool) error {
	p := s.plan()
	s.adopt(p)
	var over []*call
	for _, c := range s.list() {
		if p.passed(c) {
			over = append(over, c)
			r.parkAll(s, c, ch.At)
		}
	}
	s.own(p)
	for _, c := range s.list() {
		r.silence(s, c, p, ch)
	}
	for _, c := range over {
		r.finishCall(ctx, s, c, ch)
	}
	errs := []error{r.decide(ctx, s, p, ch)}
	s.own(p)
	s.warnOfOrphans(p)
	if errs[0] == nil {
		errs = append(errs, r.hear(ctx, s, ch, begins))
	}
	r.hold(s)
	return errors.Join(errs...)
}

// own notes whose every label is, as far as calls exist. Labels that nobody claims are the first CS's if every CS is recorded; else
// they are nobody's, and silent.
func (s *session) own(p plan) {
	s.owners = map[siprec.Label]*call{}
	recorded, first := len(p.scopes) > 0, (*call)(nil)
	for i := range p.scopes {
		at := slices.IndexFunc(s.list(), func(c *call) bool { return p.find(c) == &p.scopes[i] })
		if at < 0 {
			recorded = false
			continue
		}
		c := s.list()[at]
		recorded = recorded && c.decision.Record
		if i == 0 {
			first = c
		}
		for _, l := range p.scopes[i].labels {
			s.owners[l] = c
		}
	}
	if recorded {
		for _, l := range p.orphans {
			s.owners[l] = first
		}
	}
}

// labelWithoutSession is the warning of a recording beside which a label is not recorded, because nobody knows whose it is.
const labelWithoutSession = "label-without-session"

// warnOfOrphans warns of labels that could be recorded, and are nobody's.
func (s *session) warnOfOrphans(p plan) {
	if len(p.scopes) == 0 || !slices.ContainsFunc(p.orphans, func(l siprec.Label) bool { return s.owners[l] == nil && s.usable(l) }) {
		return
	}
	for _, c := range s.list() {
		c.warnings = append(c.warnings, labelWithoutSession)
	}
}

// media gives the m-line with a label.
func (s *session) media(l siprec.Label) (siprec.Media, bool) {
	if i := slices.Index(s.labels, l); i >= 0 && i < len(s.offer.Media) {
		return s.offer.Media[i], true
	}
	return siprec.Media{}, false
}

// usable tells whether a label's m-line can be recorded.
func (s *session) usable(l siprec.Label) bool {
	m, ok := s.media(l)
	if !ok {
		return false
	}
	formats, _ := usable(s.codecs, m)
	return formats != nil
}

// hears tells whether a label's sound is to be let into a call's recording.
func (s *session) hears(c *call, l siprec.Label) bool {
	return s.owners[l] == c && s.willing[l] && s.usable(l)
}

// silence takes from a call what is another's, and stops hearing what it may not hear any more. Errors are logged: there is nobody
// to ask, and what failed is closed.
func (r *Recorder) silence(s *session, c *call, p plan, ch siprec.Change) {
	if c.recording == nil {
		return
	}
	var passing []siprec.Label
	for l := range c.index {
		if p.elsewhere(l, c) {
			passing = append(passing, l)
		}
	}
	r.park(s, c, passing, ch.At)
	quiet, changed := slices.Clone(c.streams), false
	for l, i := range c.index {
		if quiet[i].Active && !s.hears(c, l) {
			quiet[i].Active, changed = false, true
		}
	}
	if !changed {
		return
	}
	if err := c.recording.Update(quiet); err != nil {
		c.log().Error("silence streams", zap.Error(err))
	}
	c.streams = quiet
}

// decide decides about the CSs that have no call yet. Its events are in one commit, of which the SRC waits for the end: a decision
// is no deed, and what it leads to begins after this.
func (r *Recorder) decide(ctx context.Context, s *session, p plan, ch siprec.Change) error {
	var fresh []*call
	var events []audit.Event
	// One without labels is asked about only where labels are nobody's; of more than there can be labels, none is.
	asked := len(p.scopes) <= siprec.MaxMedia && slices.ContainsFunc(p.orphans, s.usable)
	for i := range p.scopes {
		x := &p.scopes[i]
		labels := slices.DeleteFunc(slices.Clone(x.labels), func(l siprec.Label) bool { return !s.usable(l) })
		known := slices.ContainsFunc(s.list(), func(c *call) bool { return p.find(c) == x })
		if known || len(labels) == 0 && !asked {
			continue
		}
		c, told, err := r.decideAbout(s, x, labels, ch)
		if err != nil {
			return err
		}
		fresh, events = append(fresh, c), append(events, told...)
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := r.witnessAll(ctx, events...); err != nil {
		return err
	}
	for _, c := range fresh {
		r.cfg.Observe(Observation{Event: EventDecision, Class: c.decision.Class, Outcome: string(c.decision.Reason)})
		c.log().Info("decided", zap.Bool("record", c.decision.Record), zap.String("rule", c.decision.Rule), zap.String("reason", string(c.decision.Reason)))
		if !c.decision.Record {
			if err := r.cfg.Catalog.Put(ctx, unrecorded(c.id, c.decided)); err != nil {
				c.log().Error("catalog", zap.Error(err)) // the audit log has it, and a rebuild brings it back
			}
		}
		s.add(c)
	}
	s.decided = true
	return nil
}

// hear opens what is to be recorded, and brings what is being recorded up to the change.
func (r *Recorder) hear(ctx context.Context, s *session, ch siprec.Change, begins bool) error {
	var errs []error
	for _, c := range s.list() {
		switch {
		case !c.decision.Record:
		case c.recording != nil:
			errs = append(errs, r.change(ctx, s, c, ch))
		case slices.ContainsFunc(s.labels, func(l siprec.Label) bool { return s.owners[l] == c && s.usable(l) }):
			err := r.open(ctx, s, c, ch, begins)
			if err != nil {
				s.remove(c) // it is decided anew with the next change
			}
			errs = append(errs, err)
			if err != nil && begins {
				return errors.Join(errs...)
			}
		}
	}
	return errors.Join(errs...)
}

// change brings a recording that goes on up to a change of its session.
func (r *Recorder) change(ctx context.Context, s *session, c *call, ch siprec.Change) error {
	entry := journalEntry{At: ch.At, Warnings: c.takeWarnings()}
	if ch.Metadata != nil && ch.Metadata.Concerns(c.scope) {
		entry.Metadata = ch.Metadata.Raw
	}
	if c.renamed {
		entry.Scope, c.renamed = s.scopeOf(c), false
	}
	if ch.Offer == nil && !s.stale(c) {
		if entry.Metadata == nil {
			if entry.Warnings == nil && entry.Scope == nil {
				return nil
			}
			return entry.append(c.writer)
		}
		if err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true}); err != nil {
			return err
		}
		return entry.append(c.writer)
	}
	class, _ := r.cfg.Policy.Class(c.decision.Class)
	before := slices.Clone(c.streams)
	s.assign(c, r.cfg.Policy, class)
	entry.Streams, entry.Lines = s.entries(c), lines(s.offer)
	return r.changeStreams(ctx, c, before, entry, ch.Metadata != nil)
}

// stale tells whether a call does not hear exactly what it should.
func (s *session) stale(c *call) bool {
	for _, l := range s.labels {
		if _, has := c.index[l]; !has && s.owners[l] == c && s.usable(l) {
			return true
		}
	}
	for l, i := range c.index {
		if c.streams[i].Active != s.hears(c, l) {
			return true
		}
	}
	return false
}

// noteAll writes the last metadata of a session into the recordings that they concern.
func (r *Recorder) noteAll(ctx context.Context, s *session, ch siprec.Change) error {
	var errs []error
	for _, c := range s.list() {
		if c.recording == nil || ch.Metadata == nil || !ch.Metadata.Concerns(c.scope) {
			continue
		}
		if err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true}); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, journalEntry{At: ch.At, Metadata: ch.Metadata.Raw}.append(c.writer))
	}
	return errors.Join(errs...)
}
