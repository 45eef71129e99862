package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// assign gives every recordable m-line of a call a stream, and every new label a channel. Which party is channel 0 is the policy's
// word; labels that come later get the next channels.
func (s *session) assign(c *call, p *policy.Policy, class policy.Class) {
	var fresh []siprec.Label
	for _, label := range s.labels {
		if _, known := c.channel[label]; !known && s.owners[label] == c && s.usable(label) {
			fresh = append(fresh, label)
		}
	}
	if len(c.channel) == 0 {
		meta := s.metadata.Of(c.scope)
		fresh = p.OrderLabels(class, &meta, fresh)
	}
	for _, l := range fresh {
		c.channel[l] = len(c.channel)
	}
	c.streams = slices.Clone(c.streams)
	for i := range c.streams { // an m-line that is gone, or no longer usable, or another's, sends nothing
		c.streams[i].Active = false
	}
	for i, m := range s.offer.Media {
		label := s.labels[i]
		at, old := c.index[label]
		channel, known := c.channel[label]
		if !known || !old && s.owners[label] != c {
			continue
		}
		x := stream(s.codecs, m, channel, s.in.AnySource)
		x.Active = m.Port != 0 && s.hears(c, label)
		if x.Formats != nil {
			s.protect(label, m).secure(&x, m)
		}
		if old {
			if x.Formats == nil { // refused now: keep what the receiver knows, hear nothing
				continue
			}
			c.streams[at] = x
			continue
		}
		c.index[label] = len(c.streams)
		c.streams = append(c.streams, x)
	}
}

// forget takes back the streams from the n-th on, which were assigned and never opened.
func (c *call) forget(n int) {
	c.streams = c.streams[:n]
	for label, at := range c.index {
		if at >= n {
			delete(c.index, label)
			delete(c.channel, label)
		}
	}
}

// entries describe a call's streams for its journal.
func (s *session) entries(c *call) []streamEntry {
	var out []streamEntry
	for _, label := range s.labels {
		if at, ok := c.index[label]; ok {
			out = append(out, streamEntry{Label: label, Channel: c.streams[at].Channel, Active: c.streams[at].Active})
		}
	}
	return out
}

// offerOf is what of the SRC's description is about a call: the m-lines of its labels, and those that are nobody's.
func (s *session) offerOf(c *call) *siprec.Offer {
	o := &siprec.Offer{}
	for i, m := range s.offer.Media {
		if owner := s.owners[s.labels[i]]; owner == c || owner == nil {
			o.Media = append(o.Media, m)
		}
	}
	return o
}

// activeStreams counts the streams on which sound is let in.
func activeStreams(streams []media.Stream) int {
	n := 0
	for _, s := range streams {
		if s.Active {
			n++
		}
	}
	return n
}

// holdReason is the reason of a pause that the SRC asked for by making every stream inactive.
const holdReason = "hold"

// changeStreams makes new streams so. What is to be silent is silenced first, whatever becomes of the rest: promise 1 comes
// before promise 4. What is to be heard is heard only after it was witnessed, and nothing else of the offer holds before: when it is
// rejected, the keys, formats and addresses of before have stayed (RFC 4568 section 7.1.4). All streams inactive is a pause.
func (r *Recorder) changeStreams(ctx context.Context, c *call, before []media.Stream, entry journalEntry, metadata bool) error {
	defer func() { c.publish(r.cfg.Clock()) }() // whatever was reached
	wanted, quiet, on := c.streams, slices.Clone(c.streams), activeStreams(c.streams)
	copy(quiet, before)
	for i := range quiet {
		quiet[i].Active = wanted[i].Active && i < len(before) && before[i].Active
	}
	c.streams = quiet
	if err := c.recording.Update(quiet); err != nil { // a new stream could not be opened: the old ones are silenced all the same
		c.forget(len(before))
		return errors.Join(fmt.Errorf("update media: %w", err), c.recording.Update(c.streams))
	}
	entry.At = r.cfg.Clock()
	typ, data := EventChanged, any(changedData{Metadata: metadata, Streams: len(entry.Streams), Active: on})
	reason := c.muted
	if reason == "" && on == 0 {
		reason = holdReason
	}
	switch {
	case reason != "" && c.pausedBy == "":
		typ, data, entry.Pause = EventPaused, pausedData{Reason: reason}, &pauseEntry{Reason: reason}
	case reason == "" && c.pausedBy != "":
		typ, data, entry.Resume = EventResumed, pausedData{Reason: c.pausedBy}, true
	}
	if err := r.witness(ctx, typ, c.id, "", data); err != nil {
		return err
	}
	if err := c.note(entry); err != nil {
		return err
	}
	if c.pausedBy == "" || reason == "" { // one pause has one reason: that with which it began
		c.pausedBy = reason
	}
	c.paused.Store(reason != "")
	if err := c.recording.Update(wanted); err != nil {
		return fmt.Errorf("update media: %w", err)
	}
	c.streams = wanted
	return nil
}

// restore gives every recording of a session the description back that holds, after one was rejected which some had taken already: the
// SRC goes on to send as before (RFC 3264 section 8). What was silenced meanwhile stays so.
func (r *Recorder) restore(s *session) {
	for _, c := range s.list() {
		if c.recording == nil {
			continue
		}
		class := c.class()
		before := c.streams
		s.assign(c, c.rules, class)
		c.streams = c.streams[:len(before)] // no stream is opened here
		for i := range before {
			c.streams[i].Active = c.streams[i].Active && before[i].Active
		}
		if err := c.recording.Update(c.streams); err != nil {
			c.log().Error("restore streams", zap.Error(err))
		}
		c.forget(len(before))
		c.publish(r.cfg.Clock())
	}
}
