package recorder

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// finishCall ends the recording of a CS that is over while its session goes on. It is silent already.
func (r *Recorder) finishCall(ctx context.Context, s *session, c *call, ch siprec.Change) {
	if c.recording != nil {
		if d := ch.Metadata; d != nil && c.named && d.Mentions(c.scope) {
			err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true})
			if err == nil {
				err = c.note(journalEntry{At: ch.At, Metadata: d.Raw})
			}
			if err != nil {
				c.log().Error("note the last metadata", zap.Error(err))
			}
		}
	}
	r.endCall(c, siprec.EndSession, ch.At)
	s.remove(c)
}

// endUnrecorded says in log and catalog how it ended with a call of which nothing is recorded. One that had no stream yet is in neither.
func (r *Recorder) endUnrecorded(ctx context.Context, c *call, at time.Time) {
	if !c.indexed {
		return
	}
	if c.decision.Record || c.decision.Reason == policy.Waiting {
		if err := r.tellOutcome(ctx, c, c.lastWord().Reason); err != nil {
			c.log().Error("witness", zap.Error(err))
		}
	}
	r.tellCatalog(ctx, c.id, func(d *debt) { d.ended = at })
}

// lastWord is the effective decision of a call that is over: what has not come will not.
func (c *call) lastWord() policy.Decision {
	d := c.effective()
	if d.Reason != policy.Waiting {
		return d
	}
	switch mode := c.decision.Consent; {
	case !c.decision.Record:
		d.Reason = policy.FactsMissing
	case mode.OptsIn():
		d.Reason = policy.Reason(policy.WhyNoConsent)
	default:
		d.Reason = policy.Reason(policy.WhyNoNotice)
	}
	return d
}

// endCall ends a call: the timeline is closed and the recording is left to Run.
func (r *Recorder) endCall(c *call, cause siprec.EndCause, at time.Time) {
	c.telling.Lock()
	c.over = true
	c.telling.Unlock()
	ctx := context.Background() // a deed that must be witnessed however the request ended
	if err := r.witness(ctx, EventEnded, c.id, "", endedData{Cause: string(cause), At: utcMS(at)}); err != nil {
		c.log().Error("end", zap.Error(err))
	}
	c.log().Info("ended", zap.String("cause", string(cause)))
	if c.recording != nil && c.writer == nil {
		if err := r.forgetHeld(ctx, c, string(c.lastWord().Reason), at); err != nil {
			c.log().Error("forget", zap.Error(err))
		}
	}
	if c.recording == nil {
		r.endUnrecorded(ctx, c, at)
		return
	}
	if cause == siprec.EndCancel { // the SRC never had our yes
		if err := r.abandon(ctx, c); err != nil {
			c.log().Error("abandon", zap.Error(err))
		}
		return
	}
	end := journalEntry{At: at, End: &endEntry{Cause: cause}, Warnings: c.takeWarnings()}
	summary, err := c.recording.Close(at)
	if err != nil {
		c.log().Error("close media", zap.Error(err))
		end.Warnings = append(end.Warnings, "media-error")
	}
	if summary.Unsaved > 0 {
		end.Warnings = append(end.Warnings, "audio-unsaved")
	}
	if slices.ContainsFunc(summary.Streams, func(s media.StreamStats) bool { return s.Undecodable > 0 }) {
		end.Warnings = append(end.Warnings, "audio-undecodable")
	}
	end.End.Stats = summary.Streams
	r.count(summary.Streams)
	if err := errors.Join(end.append(c.writer), c.writer.Close()); err != nil {
		c.log().Error("close spool", zap.Error(err)) // what it holds is finished all the same
	}
	r.tellCatalog(ctx, c.id, func(d *debt) { d.state = catalog.StateFinishing })
	r.mu.Lock()
	delete(r.live, c.id)
	r.ended = append(r.ended, c.id)
	r.mu.Unlock()
	r.wakeUp()
}
