package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
)

// ErrNotRecording is returned for an id that is not that of a call in progress.
var ErrNotRecording = errors.New("no such recording is in progress")

// A muteCause says who wants a recording to hear nothing. Several may at once; each takes back its own wish only.
type muteCause string

const (
	muteAsked    muteCause = "api"      // somebody, over the API
	muteKey      muteCause = "key"      // a telephone key
	muteCard     muteCause = "card"     // a run of keys that looks like a card number
	muteMetadata muteCause = "metadata" // the SRC, in metadata or header fields
	muteConsent  muteCause = "consent"  // notice or consent of somebody who joined is missing
	muteLimit    muteCause = "limit"    // the recording has lasted as long as its class lets it
)

// A mute is one wish that a recording hears nothing.
type mute struct {
	cause  muteCause
	reason string
	since  time.Time
	until  time.Time // it ends by itself then; zero: it does not
}

// What ends a pause beside the one who began it.
const (
	endedByAsking = "asked"
	endedByLimit  = "limit" // the class's longest pause
)

// paymentSuspected is the warning of a recording in which somebody may have said or keyed a card's number: it is not locked before
// somebody has looked (docs/policy.md).
const paymentSuspected = "payment-suspected"

// pauseEndedByLimit is the warning of a recording whose pause nobody ended in time.
const pauseEndedByLimit = "pause-ended-by-limit"

// Pause stops a recording from hearing anything, for a reason that is witnessed. It is silent before anything else happens, and when
// the pause cannot be witnessed it stays so. The SRC is asked to send nothing, if it takes that. A recording that is paused already
// keeps its first reason. A pause that nobody ends is ended by its class.
func (r *Recorder) Pause(ctx context.Context, id, reason, actor string) error {
	if reason == "" {
		return errors.New("pause recording: say why")
	}
	return r.onRecording(id, func(s *session, c *call) error {
		return r.mute(ctx, s, c, mute{cause: muteAsked, reason: reason, since: r.cfg.Clock()}, actor)
	})
}

// Resume lets a recording hear again that Pause or a key silenced, once that is witnessed. The SRC is asked to send again.
func (r *Recorder) Resume(ctx context.Context, id, actor string) error {
	return r.onRecording(id, func(s *session, c *call) error {
		return r.unmute(ctx, s, c, endedByAsking, actor, muteAsked, muteKey, muteCard)
	})
}

// mute silences a call, before anything else happens, and witnesses that. One that is not recorded yet will be silent when it is. The
// caller has the session's turn.
func (r *Recorder) mute(ctx context.Context, s *session, c *call, m mute, actor string) error {
	if slices.ContainsFunc(c.mutes, func(x mute) bool { return x.cause == m.cause }) {
		return nil
	}
	if limit := c.class().Pause.AtMost; m.until.IsZero() && m.ends() && !limit.IsZero() {
		m.until = limit.After(m.since)
	}
	first := len(c.mutes) == 0
	if first && c.recording != nil {
		if err := c.recording.SetPaused(true, media.CausePaused, m.since); err != nil {
			return fmt.Errorf("pause recording: %w", err)
		}
	}
	c.mutes = append(c.mutes, m)
	if first {
		c.muted = m.reason
		c.paused.Store(true)
		c.publish(r.cfg.Clock())
		r.reconsider(s)
	}
	if err := r.witnessBy(ctx, EventPaused, c.id, actor, pausedData{Reason: m.reason, By: string(m.cause)}); err != nil {
		return err
	}
	if !first || c.recording == nil {
		return nil
	}
	if c.pausedBy != "" { // a hold ends here as a reason, and begins again when the pause ends
		if err := c.note(journalEntry{At: m.since, Resume: true}); err != nil {
			return err
		}
	}
	c.pausedBy = m.reason
	return c.note(journalEntry{At: m.since, Pause: &pauseEntry{Reason: m.reason}})
}

// ends tells whether the wish ends by itself when nobody takes it back.
func (m mute) ends() bool { return m.cause == muteAsked || m.cause == muteKey || m.cause == muteCard }

// unmute takes wishes back, and lets the call hear again when none is left, once that is witnessed.
func (r *Recorder) unmute(ctx context.Context, s *session, c *call, by, actor string, causes ...muteCause) error {
	left := slices.DeleteFunc(slices.Clone(c.mutes), func(m mute) bool { return slices.Contains(causes, m.cause) })
	if len(left) == len(c.mutes) {
		return nil
	}
	if len(left) > 0 {
		c.mutes = left
		return nil
	}
	if err := r.witnessBy(ctx, EventResumed, c.id, actor, pausedData{Reason: c.muted, By: by}); err != nil {
		return err
	}
	next := ""
	if c.recording != nil {
		now := r.cfg.Clock()
		entries := []journalEntry{{At: now, Resume: true}}
		if activeStreams(c.streams) == 0 {
			next = holdReason
			entries = append(entries, journalEntry{At: now, Pause: &pauseEntry{Reason: next}})
		}
		for _, e := range entries {
			if err := c.note(e); err != nil {
				return err
			}
		}
		if err := c.recording.SetPaused(false, media.CausePaused, time.Time{}); err != nil {
			return fmt.Errorf("resume recording: %w", err)
		}
	}
	c.mutes = nil
	c.muted, c.pausedBy = "", next
	c.paused.Store(next != "")
	c.publish(r.cfg.Clock())
	r.reconsider(s)
	return nil
}

// endLatePauses ends the pauses that have lasted as long as the class lets them, and begins the one that ends a recording that has.
func (r *Recorder) endLatePauses(ctx context.Context, s *session, c *call, now time.Time) error {
	for _, m := range slices.Clone(c.mutes) {
		if m.until.IsZero() || now.Before(m.until) {
			continue
		}
		c.warn(pauseEndedByLimit, now)
		c.log().Warn("a pause that nobody ended is over")
		if err := r.unmute(ctx, s, c, endedByLimit, "", m.cause); err != nil {
			return err
		}
	}
	if after := c.class().Pause.After; c.recording != nil && !after.IsZero() && !now.Before(after.After(c.started)) {
		return r.mute(ctx, s, c, mute{cause: muteLimit, reason: string(policy.PauseOther), since: now}, "")
	}
	return nil
}

// nextOfPauses is when endLatePauses has something to do; zero: it is not known to have.
func (c *call) nextOfPauses() (next time.Time) {
	for _, m := range c.mutes {
		next = earlier(next, m.until)
	}
	if after := c.class().Pause.After; c.recording != nil && !after.IsZero() && !slices.ContainsFunc(c.mutes, func(m mute) bool { return m.cause == muteLimit }) {
		next = earlier(next, after.After(c.started))
	}
	return next
}

// earlier is the earlier of two instants; one that is zero does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// onRecording works on a call in progress, with its session's turn.
func (r *Recorder) onRecording(id string, do func(*session, *call) error) error {
	for _, s := range r.all() {
		if slices.ContainsFunc(s.list(), func(c *call) bool { return c.id == id }) { // another session's turn is not waited for
			return r.onCall(s, id, do)
		}
	}
	return fmt.Errorf("%w: %s", ErrNotRecording, id)
}

// onCall works on a call of a session, with its turn. A session that begins has it until it is known to everybody.
func (r *Recorder) onCall(s *session, id string, do func(*session, *call) error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	at := slices.IndexFunc(s.list(), func(c *call) bool { return c.id == id })
	if at < 0 || !s.list()[at].mayBeRecorded() {
		return fmt.Errorf("%w: %s", ErrNotRecording, id)
	}
	s.refused = false
	return do(s, s.list()[at])
}
