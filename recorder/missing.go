package recorder

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// MissingAfter is how long an active stream may bring nothing before that is told, where the configuration does not say. With two
// looks on top of it, an officer knows within ten seconds.
const MissingAfter = 8 * time.Second

// hearingLag is how long it takes until what came has been listened to: the timeline waits for late packets.
const hearingLag = 1500 * time.Millisecond

// watchInterval is how often the streams of all calls are looked at.
const watchInterval = time.Second

// missingWarning stands in the sidecar of a recording of which an active stream brought nothing for a while.
const missingWarning = "media-missing"

// Reasons of EventMissing.
const (
	reasonNoPackets = "no_packets" // nothing came since the stream became active, or since its last packet
	reasonSilent    = "silent"     // packets come, and from the first one on nothing was to be heard
)

// missingData is the data of EventMissing and EventReturned.
type missingData struct {
	Label   siprec.Label `json:"label"`
	Channel int          `json:"channel"`
	Since   time.Time    `json:"since"` // the last packet, or when the stream became active if none came since; of silence, the first one
	Reason  string       `json:"reason"`
}

// A mediaEvent is something that the watch found out.
type mediaEvent struct {
	typ  string // EventMissing or EventReturned
	data missingData
}

// A watchedStream is what the watch knows of a stream beside its statistics.
type watchedStream struct {
	label   siprec.Label
	channel int
	active  bool
	from    time.Time // since when it is so
}

// A heard is what a stream has brought so far.
type heard struct {
	packets uint64
	last    time.Time // arrival of the last packet; zero: none came
	loud    bool      // something of it was above -60 dBFS
}

// heardOf takes from a stream's progress what the watch goes by.
func heardOf(p media.Progress) heard {
	return heard{packets: p.Packets, last: p.LastArrival, loud: p.Loud}
}

// A streamWatch is what the watch remembers of one stream. Times are those at which it looked, and never those of packets, which
// another clock makes.
type streamWatch struct {
	packets uint64
	first   time.Time // when packets had come for the first time; zero: never
	seen    time.Time // when more packets had come than the time before
	reason  string    // why it is missing; "": it is not
	since   time.Time
}

// look compares a stream with what was before, and tells what has changed.
func (w *streamWatch) look(s watchedStream, h heard, now time.Time, after time.Duration) []mediaEvent {
	if h.packets != w.packets || !s.active {
		w.packets, w.seen = h.packets, now
	}
	if w.seen.Before(s.from) {
		w.seen = s.from
	}
	if w.first.IsZero() && s.active && h.packets > 0 {
		w.first = now
	}
	reason := ""
	switch {
	case !s.active: // what is on hold is not missing, and did not return
		w.reason = ""
	case now.Sub(w.seen) >= after:
		reason = reasonNoPackets
	case !h.loud && !w.first.IsZero() && now.Sub(w.first) >= max(after, hearingLag):
		reason = reasonSilent
	}
	if reason == w.reason {
		return nil
	}
	before := missingData{Label: s.label, Channel: s.channel, Since: w.since, Reason: w.reason}
	w.reason = reason
	if reason == "" {
		return []mediaEvent{{EventReturned, before}}
	}
	switch {
	case reason == reasonSilent:
		w.since = w.first
	case h.last.After(s.from):
		w.since = h.last
	default:
		w.since = s.from
	}
	w.since = utcMS(w.since)
	return []mediaEvent{{EventMissing, missingData{Label: s.label, Channel: s.channel, Since: w.since, Reason: reason}}}
}

// publish tells the watch which streams are active now.
func (c *call) publish(now time.Time) {
	if c.writer == nil { // what is not kept is not missed
		return
	}
	var before []watchedStream
	if p := c.watched.Load(); p != nil {
		before = *p
	}
	out := make([]watchedStream, len(c.streams))
	for label, i := range c.index {
		s := watchedStream{label: label, channel: c.streams[i].Channel, active: c.streams[i].Active && c.muted == "", from: now}
		if i < len(before) && before[i].active == s.active {
			s.from = before[i].from
		}
		out[i] = s
	}
	c.watched.Store(&out)
}

// Watch looks after the media of every call until ctx ends: an active stream that brings nothing is told of while the call can
// still be saved.
func (r *Recorder) Watch(ctx context.Context) error {
	tick := time.NewTicker(min(watchInterval, r.cfg.MissingAfter))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.watchCalls(ctx)
		}
	}
}

func (r *Recorder) watchCalls(ctx context.Context) {
	for _, s := range r.all() {
		for _, c := range s.list() {
			r.watchCall(ctx, c)
		}
	}
}

// watchCall looks at one call. Its end waits for it, so that nothing is told of a call after its end.
func (r *Recorder) watchCall(ctx context.Context, c *call) {
	c.telling.Lock()
	defer c.telling.Unlock()
	streams := c.watched.Load()
	if c.over || streams == nil {
		return
	}
	var few [2]media.Progress // most calls have no more streams
	now, brought := r.cfg.Clock(), c.recording.Progress(few[:0])
	for i, s := range *streams {
		if i >= len(brought) {
			break
		}
		if i == len(c.watches) {
			c.watches = append(c.watches, streamWatch{})
		}
		for _, e := range c.watches[i].look(s, heardOf(brought[i]), now, r.cfg.MissingAfter) {
			r.tell(ctx, c, e, now)
		}
	}
}

// tell makes an event known: in the program's log and the metrics first, which somebody may be watching, then where it stays.
func (r *Recorder) tell(ctx context.Context, c *call, e mediaEvent, now time.Time) {
	fields := []zap.Field{zap.String("label", string(e.data.Label)), zap.Int("channel", e.data.Channel), zap.String("reason", e.data.Reason), zap.Time("since", e.data.Since)}
	r.cfg.Observe(Observation{Event: e.typ, Class: c.decision.Class, Outcome: e.data.Reason})
	var err error
	if e.typ == EventMissing {
		c.log().Warn("a stream that should be recorded brings nothing", fields...)
		err = journalEntry{At: now, Warnings: []string{missingWarning}}.append(c.writer)
	} else {
		c.log().Info("a stream that was missing is back", fields...)
	}
	if err := errors.Join(err, r.witness(ctx, e.typ, c.id, "", e.data)); err != nil && ctx.Err() == nil {
		c.log().Error("tell of missing media", zap.Error(err))
	}
}
