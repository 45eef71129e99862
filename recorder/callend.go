package recorder

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// finishCall ends the recording of a CS that is over while its session goes on. It is silent already.
func (r *Recorder) finishCall(ctx context.Context, s *session, c *call, ch siprec.Change) {
	if c.recording != nil {
		if d := ch.Metadata; d != nil && c.named && d.Mentions(c.scope) {
			err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true})
			if err == nil {
				err = journalEntry{At: ch.At, Metadata: d.Raw}.append(c.writer)
			}
			if err != nil {
				c.log().Error("note the last metadata", zap.Error(err))
			}
		}
	}
	r.endCall(c, siprec.EndSession, ch.At)
	s.remove(c)
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
	if c.recording == nil {
		if c.decision.Record {
			return // it had no stream yet: nothing of it is indexed
		}
		if err := endRow(ctx, r.cfg.Catalog, c.id, at); err != nil {
			c.log().Error("catalog", zap.Error(err))
		}
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
	if err := r.cfg.Catalog.SetState(ctx, c.id, catalog.StateFinishing); err != nil {
		c.log().Error("catalog", zap.Error(err))
	}
	r.mu.Lock()
	delete(r.live, c.id)
	r.ended = append(r.ended, c.id)
	r.mu.Unlock()
	r.wakeUp()
}
