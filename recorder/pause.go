package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greffier/greffier/media"
)

// ErrNotRecording is returned for an id that is not that of a recording in progress.
var ErrNotRecording = errors.New("no such recording is in progress")

// Pause stops a recording from hearing anything, for a reason that is witnessed. It is silent before anything else happens, and when
// the pause cannot be witnessed it stays so. The SRC is asked to send nothing, if it takes that. A recording that is paused already
// keeps its first reason.
func (r *Recorder) Pause(ctx context.Context, id, reason, actor string) error {
	if reason == "" {
		return errors.New("pause recording: say why")
	}
	return r.onRecording(id, func(s *session, c *call) error {
		if c.muted != "" {
			return nil
		}
		now := r.cfg.Clock()
		if err := c.recording.SetPaused(true, media.CausePaused, now); err != nil {
			return fmt.Errorf("pause recording: %w", err)
		}
		c.muted = reason
		c.paused.Store(true)
		c.publish(now)
		r.reconsider(s)
		if err := r.witness(ctx, EventPaused, c.id, "", pausedData{Reason: reason}); err != nil {
			return err
		}
		entry := journalEntry{At: now, Pause: &pauseEntry{Reason: reason}}
		if c.pausedBy != "" { // a hold ends here as a reason, and begins again with Resume
			if err := (journalEntry{At: now, Resume: true}).append(c.writer); err != nil {
				return err
			}
		}
		c.pausedBy = reason
		return entry.append(c.writer)
	})
}

// Resume lets a recording that Pause silenced hear again, once that is witnessed. The SRC is asked to send again.
func (r *Recorder) Resume(ctx context.Context, id, actor string) error {
	return r.onRecording(id, func(s *session, c *call) error {
		if c.muted == "" {
			return nil
		}
		if err := r.witness(ctx, EventResumed, c.id, "", pausedData{Reason: c.muted}); err != nil {
			return err
		}
		now := r.cfg.Clock()
		entries := []journalEntry{{At: now, Resume: true}}
		next := ""
		if activeStreams(c.streams) == 0 {
			next = holdReason
			entries = append(entries, journalEntry{At: now, Pause: &pauseEntry{Reason: next}})
		}
		for _, e := range entries {
			if err := e.append(c.writer); err != nil {
				return err
			}
		}
		if err := c.recording.SetPaused(false, media.CausePaused, time.Time{}); err != nil {
			return fmt.Errorf("resume recording: %w", err)
		}
		c.muted, c.pausedBy = "", next
		c.paused.Store(next != "")
		c.publish(now)
		r.reconsider(s)
		return nil
	})
}

// onRecording works on a recording in progress, with its session's turn.
func (r *Recorder) onRecording(id string, do func(*session, *call) error) error {
	for _, s := range r.all() {
		is := func(c *call) bool { return c.id == id }
		if !slices.ContainsFunc(s.list(), is) { // another session's turn is not waited for
			continue
		}
		s.turn.Lock()
		defer s.turn.Unlock()
		at := slices.IndexFunc(s.list(), is)
		if at < 0 || s.list()[at].recording == nil {
			break
		}
		s.refused = false
		return do(s, s.list()[at])
	}
	return fmt.Errorf("%w: %s", ErrNotRecording, id)
}
