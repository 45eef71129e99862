package recorder

import (
	"context"
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec"
)

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
	errs := []error{r.review(ctx, s, ch)}
	errs = append(errs, r.decide(ctx, s, p, ch))
	s.own(p)
	s.warnOfOrphans(p)
	if errors.Join(errs...) == nil {
		errs = append(errs, r.hear(ctx, s, ch, begins))
	}
	r.hold(s)
	r.remind(s)
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
	c.quieted = c.quieted || len(passing) > 0
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
	c.streams, c.quieted = quiet, true
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
		c, told, err := r.decideAbout(ctx, s, x, labels, ch)
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
		if c.wants() != keepRecording {
			r.index(ctx, c, c.effective().Reason)
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
		want := c.wants()
		switch {
		case c.recording != nil && c.writer == nil && want == keepRecording:
			err := r.keepHeld(ctx, s, c)
			if err != nil {
				s.remove(c) // it is decided anew with the next change
			} else {
				err = r.change(ctx, s, c, ch)
			}
			errs = append(errs, err)
		case c.recording != nil:
			errs = append(errs, r.change(ctx, s, c, ch))
		case want == keepNothing || len(s.labelsOf(c)) == 0:
		case want == keepListening:
			r.listen(s, c)
		default:
			begin := r.open
			if want == keepHolding {
				begin = r.holdSound
			}
			err := begin(ctx, s, c, ch, begins)
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
	if ch.Offer == nil && !s.stale(c) && !c.quieted {
		if entry.Metadata == nil {
			if entry.Warnings == nil && entry.Scope == nil {
				return nil
			}
			return c.note(entry)
		}
		if err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true}); err != nil {
			return err
		}
		return c.note(entry)
	}
	class := c.class()
	before := slices.Clone(c.streams)
	s.assign(c, c.rules, class)
	entry.Streams, entry.Lines = s.entries(c), lines(s.offerOf(c))
	err := r.changeStreams(ctx, c, before, entry, ch.Metadata != nil)
	c.quieted = c.quieted && err != nil
	return err
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
		errs = append(errs, c.note(journalEntry{At: ch.At, Metadata: ch.Metadata.Raw}))
	}
	return errors.Join(errs...)
}
