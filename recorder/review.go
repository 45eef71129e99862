package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// A call is looked at again with every change of its session, when somebody says something, and when a time is over that somebody had:
// by the same policy, with the facts of now. What may be kept less is done here, at once; what may be kept more is for hear.

// review looks at the calls of a session again. Its turn is the caller's.
func (r *Recorder) review(ctx context.Context, s *session, ch siprec.Change) error {
	var errs []error
	for _, c := range s.list() {
		errs = append(errs, r.reviewCall(ctx, s, c, ch))
	}
	return errors.Join(errs...)
}

func (r *Recorder) reviewCall(ctx context.Context, s *session, c *call, ch siprec.Change) error {
	f := r.facts(s, c.facts(s.labelsOf(c)), ch)
	d := c.rules.Reconsider(c.decision, f, ch.At)
	if c.displaced.Load() {
		d = c.decision.Refuse()
	}
	var errs []error
	if d.Record && c.decision.Claim == (policy.Claim{}) {
		d = r.claimed(ctx, c.id, d)
	}
	if decisionChanged(c.decision, d) {
		var err error
		if c, err = r.redecide(ctx, s, c, d, f, ch); err != nil {
			return err
		}
	}
	events := r.learnWill(c, f, ch.At)
	errs = append(errs, r.pressed(ctx, s, c, ch.At), r.pausedBySRC(ctx, s, c, f, ch.At), r.endLatePauses(ctx, s, c, ch.At))
	errs = append(errs, r.heed(ctx, s, c, events, ch))
	return errors.Join(errs...)
}

// labelsOf lists the labels of a call that can be recorded.
func (s *session) labelsOf(c *call) []siprec.Label {
	var out []siprec.Label
	for _, l := range s.labels {
		if s.owners[l] == c && s.usable(l) {
			out = append(out, l)
		}
	}
	return out
}

// redecide gives a call another decision. What is recorded of it ends there when it may not go on, or goes on under another class.
func (r *Recorder) redecide(ctx context.Context, s *session, c *call, d policy.Decision, f policy.Facts, ch siprec.Change) (*call, error) {
	if c.recording != nil && (!d.Record || d.Class != c.decision.Class) {
		destroy := d.Reason == policy.Objected && c.class().Consent.Objection == policy.Destroys || d.Reason == policy.QuotaOver
		next, err := r.cut(ctx, s, c, siprec.EndPolicy, string(d.Reason), destroy, ch.At)
		if err != nil {
			return c, err
		}
		c = next
	}
	c.decide(d, r.alarmOf(s))
	c.decided = r.decisionData(c, f.Metadata, s.id, ch.At)
	r.learnVerdict(c, ch.At)
	if err := r.tellDecision(ctx, c); err != nil {
		return c, err
	}
	r.keep(ctx, c, f, ch.At)
	if d.Record {
		r.consult(s, c, f)
	}
	return c, nil
}

// tellDecision witnesses a call's decision, and indexes it where nothing is recorded.
func (r *Recorder) tellDecision(ctx context.Context, c *call) error {
	if err := r.witness(ctx, EventDecision, c.id, "", c.decided); err != nil {
		return err
	}
	r.cfg.Observe(Observation{Event: EventDecision, Class: c.decision.Class, Outcome: string(c.decision.Reason)})
	c.log().Info("decided", zap.Bool("record", c.decision.Record), zap.String("rule", c.decision.Rule), zap.String("reason", string(c.decision.Reason)))
	c.announced = true
	if c.recording == nil && c.wants() != keepRecording {
		r.index(ctx, c, c.effective().Reason)
	}
	return nil
}

// tellOutcome says in log and catalog that nothing is recorded of a call that was to be.
func (r *Recorder) tellOutcome(ctx context.Context, c *call, reason policy.Reason) error {
	d := c.decided
	d.Record, d.Reason = false, string(reason)
	r.index(ctx, c, reason)
	r.unkeep(ctx, c) // somebody did not want it, or what did not come was not known by the rules
	return r.witness(ctx, EventDecision, c.id, "", d)
}

// index puts a call into the catalog of which nothing is recorded now.
func (r *Recorder) index(ctx context.Context, c *call, reason policy.Reason) {
	row := unrecorded(c.id, c.decided)
	row.Reason = string(reason)
	r.tellCatalog(ctx, c.id, func(d *debt) { d.replace(&row) })
	c.indexed = true
}

// cut ends what is received of a call that goes on, and gives the call that follows it: the same communication session, and what its
// parties said, with an id of its own. What was held is forgotten; what was kept is finished, or destroyed.
func (r *Recorder) cut(ctx context.Context, s *session, c *call, cause siprec.EndCause, reason string, destroy bool, at time.Time) (*call, error) {
	next, err := c.next()
	if err != nil {
		return nil, err
	}
	r.parkAll(s, c, at)
	switch {
	case c.writer == nil:
		err = r.forgetHeld(ctx, c, reason, at)
		next.id, next.indexed, next.announced = c.id, c.indexed, c.announced // nothing was ever kept under it
	case destroy:
		err = r.destroyCall(ctx, c, cause, reason, at)
	default:
		r.endCall(c, cause, at)
	}
	s.replace(c, next)
	return next, err
}

// next is the call that follows one in the same communication session. Nothing of it is received yet.
func (c *call) next() (*call, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make recording id: %w", err)
	}
	return &call{
		id: id.String(), src: c.src, scope: c.scope, named: c.named, key: c.key, decision: c.decision, decided: c.decided, rules: c.rules, began: c.began,
		will: c.will, verdict: c.verdict, told: c.told, channel: map[siprec.Label]int{}, legs: legs{index: map[siprec.Label]int{}},
		warned: map[string]bool{}, logs: c.logs, keypad: c.keypad, mutes: c.mutes, muted: c.muted,
	}, nil
}

// replace puts a call into the place of another.
func (s *session) replace(c, next *call) {
	list := slices.Clone(s.list())
	list[slices.Index(list, c)] = next
	s.calls.Store(&list)
	for l, owner := range s.owners {
		if owner == c {
			s.owners[l] = next
		}
	}
}

// forgetHeld ends a call whose sound was in memory only.
func (r *Recorder) forgetHeld(ctx context.Context, c *call, reason string, at time.Time) error {
	c.sink.forget()
	summary, err := c.recording.Close(at)
	if err != nil {
		c.log().Error("close media", zap.Error(err))
	}
	r.count(summary.Streams)
	c.recording, c.sink, c.pending = nil, nil, nil
	return r.witness(ctx, EventForgotten, c.id, "", reasonData{Reason: reason})
}

// destroyCall ends a recording and destroys what was kept of it. The key goes first, so that nothing can be read whatever becomes of
// the rest, which is tried again by Run.
func (r *Recorder) destroyCall(ctx context.Context, c *call, cause siprec.EndCause, reason string, at time.Time) error {
	c.telling.Lock()
	c.over = true
	c.telling.Unlock()
	c.sink.forget()
	summary, err := c.recording.Close(at)
	if err != nil {
		c.log().Error("close media", zap.Error(err))
	}
	r.count(summary.Streams)
	errs := []error{r.witness(ctx, EventEnded, c.id, "", endedData{Cause: string(cause), At: utcMS(at)})}
	fate := journalEntry{At: at, Fate: &fateEntry{Destroy: reason}} // on the disk, should the catalog be away
	if err := errors.Join(fate.append(c.writer), c.writer.Close()); err != nil {
		c.log().Error("close spool", zap.Error(err))
	}
	err = r.doom(ctx, c.id, reason)
	r.setLive(c.id, false)
	if err == nil {
		err = r.destroyStored(ctx, c.id, reason)
	}
	if isCatalogAway(err) {
		c.log().Warn("what is to be destroyed is, when the catalog is back", zap.Error(err))
		r.catalogIs(err)
		err = nil
	}
	errs = append(errs, err)
	r.wakeUp()
	return errors.Join(errs...)
}

// heed does what follows from the parties' will, and tells what has changed. Less comes first: what may not be heard is silent before
// that is witnessed.
func (r *Recorder) heed(ctx context.Context, s *session, c *call, events []audit.Event, ch siprec.Change) error {
	v := c.verdict
	var errs []error
	switch {
	case c.recording == nil && c.listening && c.wants() != keepListening:
		if c.wants() == keepNothing {
			r.deafen(s, c)
		}
	case c.recording == nil:
	case c.wants() == keepNothing && (c.writer == nil || c.unmarked() || !forNow(v)):
		reason, destroy, cause := string(c.effective().Reason), v.Action == policy.DestroyAudio && !c.unmarked(), siprec.EndConsent
		if c.unmarked() {
			cause = siprec.EndMark
		}
		next, err := r.cut(ctx, s, c, cause, reason, destroy, ch.At)
		errs = append(errs, err)
		if err == nil && next.indexed {
			errs = append(errs, r.tellOutcome(ctx, next, next.effective().Reason))
		}
	case c.writer == nil: // held, and to be held or kept: hear sees to it
	case v.Action == policy.KeepAudio:
		errs = append(errs, c.sink.keep(c.writer), r.unmute(ctx, s, c, endedByConsent, "", muteConsent))
	case v.Action == policy.HoldAudio:
		c.sink.wait()
	case v.Action == policy.NoAudio:
		errs = append(errs, r.mute(ctx, s, c, mute{cause: muteConsent, reason: noConsentReason, since: ch.At}, ""))
	default:
		errs = append(errs, r.discardSince(ctx, s, c, v, ch.At))
	}
	if len(events) > 0 {
		errs = append(errs, r.witnessAll(ctx, events...))
	}
	return errors.Join(errs...)
}

// discardSince silences a recording to which somebody came who was not informed, or did not consent, in time, and notes that what was
// kept since then is to be left out of the file.
func (r *Recorder) discardSince(ctx context.Context, s *session, c *call, v policy.Verdict, at time.Time) error {
	if slices.ContainsFunc(c.mutes, func(m mute) bool { return m.cause == muteConsent }) && !c.sink.holds() {
		return nil
	}
	err := r.mute(ctx, s, c, mute{cause: muteConsent, reason: noConsentReason, since: at}, "")
	held := c.sink.holds()
	if held {
		c.sink.forget()
		err = errors.Join(err, c.sink.keep(c.writer))
	}
	return errors.Join(err, c.note(journalEntry{At: at, Discard: &discardEntry{From: v.Since, Reason: string(v.Reason)}}))
}

// noConsentReason is the reason of a pause for want of notice or consent.
const noConsentReason = "no_consent"

// endedByConsent: what was missing of the parties has come.
const endedByConsent = "consent"

// pausedBySRC follows what the SRC says of pauses: in its metadata, its header fields, its description.
func (r *Recorder) pausedBySRC(ctx context.Context, s *session, c *call, f policy.Facts, at time.Time) error {
	reason, on := c.rules.Paused(f, at)
	if !on && s.offerOf(c).Paused() {
		reason, on = policy.PauseOther, true
	}
	if !on {
		return r.unmute(ctx, s, c, endedByAsking, "", muteMetadata)
	}
	return r.mute(ctx, s, c, mute{cause: muteMetadata, reason: string(reason), since: at}, "")
}
