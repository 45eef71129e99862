package recorder

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// open makes everything that keeps a call's sound, in this order, and takes it back if one part fails: key and spool, and the ports.
func (r *Recorder) open(ctx context.Context, s *session, c *call, ch siprec.Change, begins bool) (err error) {
	r.setLive(c.id, true) // before anything of it can be found: Run leaves it alone
	defer func() {
		if err != nil {
			err = r.undoOpen(ctx, c, err)
		}
	}()
	if err := r.announce(ctx, c); err != nil {
		return err
	}
	first := r.firstEntry(s, c, ch, begins)
	c.sink = &callSink{total: &r.held}
	wait, err := r.makeSpool(ctx, c, first)
	defer wait() // what End and abandon change must be there
	if err != nil {
		return err
	}
	wait()
	// Position 0 is now, as near to the answer as can be, whatever the catalog has taken: nothing is sent to us before it.
	first.At = r.cfg.Clock()
	c.started = first.At
	if err := errors.Join(first.append(c.writer), c.noteWill(), c.writer.Sync()); err != nil { // on the disk, before the SRC is told yes
		return err
	}
	if err := c.sink.keep(c.writer); err != nil {
		return err
	}
	if err := r.openLegs(s, c); err != nil {
		return err
	}
	if err := r.witness(ctx, EventStarted, c.id, audit.Done, nil); err != nil {
		return err
	}
	c.publish(r.cfg.Clock())
	return nil
}

// holdSound opens the ports of a call whose sound stays in memory, until it is known whether it may be kept. There is no key and no spool.
func (r *Recorder) holdSound(ctx context.Context, s *session, c *call, ch siprec.Change, begins bool) error {
	if err := r.announce(ctx, c); err != nil {
		return err
	}
	if err := r.witness(ctx, EventHeld, c.id, "", heldData{Until: utcMS(c.verdict.Until)}); err != nil {
		return err
	}
	first := r.firstEntry(s, c, ch, begins)
	first.At = r.cfg.Clock()
	c.started, c.pending = first.At, []journalEntry{first}
	c.sink = &callSink{total: &r.held, mode: sinkHold}
	if err := r.openLegs(s, c); err != nil {
		c.pending, c.sink = nil, nil
		return err
	}
	return nil
}

// keepHeld gives a call whose sound was held a key and a spool, and moves there what is held. When it fails, nothing is kept.
func (r *Recorder) keepHeld(ctx context.Context, s *session, c *call) (err error) {
	r.setLive(c.id, true)
	defer func() {
		if err != nil {
			err = r.undoOpen(ctx, c, err)
		}
	}()
	first := c.pending[0]
	wait, err := r.makeSpool(ctx, c, first)
	defer wait()
	if err != nil {
		return err
	}
	entries := c.pending
	c.pending = nil
	for _, e := range entries {
		if err := e.append(c.writer); err != nil {
			return err
		}
	}
	if c.sink.overflowed() {
		c.warn(heldOverflow, r.cfg.Clock())
	}
	if err := errors.Join(c.noteWill(), c.sink.keep(c.writer), c.writer.Sync()); err != nil {
		return err
	}
	if err := r.witness(ctx, EventStarted, c.id, audit.Done, nil); err != nil {
		return err
	}
	c.publish(r.cfg.Clock())
	return nil
}

// announce witnesses the decision about a call that follows another one in its communication session.
func (r *Recorder) announce(ctx context.Context, c *call) error {
	if c.announced {
		return nil
	}
	return r.tellDecision(ctx, c)
}

// undoOpen takes back what was made of a call, and says what the SRC is to be told.
func (r *Recorder) undoOpen(ctx context.Context, c *call, err error) error {
	class := c.class()
	err = errors.Join(err, r.abandon(ctx, c))
	c.recording, c.writer, c.sink, c.pending = nil, nil, nil, nil
	var refusal *siprec.Refusal
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, spool.ErrFull):
		refusal = &siprec.Refusal{Kind: siprec.Unavailable, Cause: "disk", Reason: "the spool's disk is full", Err: err}
		err = refusal
	default:
		refusal = &siprec.Refusal{Kind: siprec.Internal, Reason: "the recording could not be opened", Err: err}
		err = refusal
	}
	if class.Mandate != "" {
		err = errors.Join(err, r.missed(ctx, c.id, class, refusal.Reason))
	}
	return err
}

// firstEntry describes the beginning of a recording, and gives its streams their places.
func (r *Recorder) firstEntry(s *session, c *call, ch siprec.Change, begins bool) journalEntry {
	class := c.class()
	c.late = !begins
	s.assign(c, c.rules, class)
	begin := &beginEntry{
		ID: c.id, CallID: s.in.Dialog.CallID, SRC: c.src, CallKey: c.key, Headers: s.in.Headers, Decision: c.decided.Decision, Class: class,
		RecordingSession: s.id,
	}
	begin.scopeEntry = *s.scopeOf(c)
	first := journalEntry{At: r.cfg.Clock(), Streams: s.entries(c), Begin: begin, Warnings: c.takeWarnings()}
	r.about(s.in, s.offerOf(c), &first)
	if !begins {
		begin.Before = s.documents
	} else if ch.Metadata != nil {
		first.Metadata = ch.Metadata.Raw
	}
	switch {
	case c.muted != "":
		first.Pause = &pauseEntry{Reason: c.muted}
	case activeStreams(c.streams) == 0: // some SRCs begin so, and send with a later re-INVITE
		first.Pause = &pauseEntry{Reason: holdReason}
	}
	if first.Pause != nil {
		c.pausedBy = first.Pause.Reason
		c.paused.Store(true)
	}
	return first
}

// makeSpool witnesses that a recording begins, and makes its key, its spool and its row in the catalog, which is made beside the rest:
// wait waits for it.
func (r *Recorder) makeSpool(ctx context.Context, c *call, first journalEntry) (wait func(), err error) {
	var indexing sync.WaitGroup
	if !c.intended { // its streams, or what it needed, came after the decision
		if err := r.witness(ctx, EventStarted, c.id, audit.Intended, nil); err != nil {
			return indexing.Wait, err
		}
	}
	secret, err := r.cfg.Keys.Create(ctx, c.id)
	if err != nil {
		return indexing.Wait, fmt.Errorf("make key: %w", err)
	}
	if c.writer, err = r.cfg.Spool.Create(c.id, secret.SpoolKey()); err != nil {
		return indexing.Wait, fmt.Errorf("make spool: %w", err)
	}
	row := r.words.progress(first, len(c.channel))
	indexing.Go(func() { // not before the spool is there: by that a restart finds what is not to stay
		r.tellCatalog(ctx, c.id, func(d *debt) { d.replace(&row) })
	})
	c.indexed = false
	return indexing.Wait, nil
}

// openLegs opens the receiving ends of a call, silent from their first packet on when it is paused.
func (r *Recorder) openLegs(s *session, c *call) (err error) {
	c.recording, err = r.openMedia(s, c, c.started)
	if errors.Is(err, media.ErrNoPorts) {
		return &siprec.Refusal{Kind: siprec.Unavailable, Cause: "ports", Reason: "no RTP port is free", Err: err}
	}
	if err != nil {
		return fmt.Errorf("open media: %w", err)
	}
	c.listening = false
	if c.muted != "" {
		if err := c.recording.SetPaused(true, media.CausePaused, c.started); err != nil {
			return fmt.Errorf("pause recording: %w", err)
		}
	}
	return nil
}
