package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// assign gives every recordable m-line of an offer a stream, and every new label a channel. Which party is channel 0 is the
// policy's word; labels that come later get the next channels.
func (c *call) assign(p *policy.Policy, class policy.Class, o *siprec.Offer) {
	var fresh []siprec.Label
	c.labels = labelsOf(o)
	for _, label := range offeredLabels(c.codecs, o) {
		if _, known := c.channel[label]; !known {
			fresh = append(fresh, label)
		}
	}
	if len(c.channel) == 0 {
		fresh = p.OrderLabels(class, &c.metadata, fresh)
	}
	for _, l := range fresh {
		c.channel[l] = len(c.channel)
	}
	for i := range c.streams { // an m-line that is gone, or no longer usable, sends nothing
		c.streams[i].Active = false
	}
	for i, m := range o.Media {
		channel, known := c.channel[c.labels[i]]
		if !known {
			continue
		}
		s := stream(c.codecs, m, channel, c.any)
		if s.Formats != nil {
			c.protect(c.labels[i], m).secure(&s, m)
		}
		if at, old := c.index[c.labels[i]]; old {
			if s.Formats == nil { // refused now: keep what the receiver knows, hear nothing
				continue
			}
			c.streams[at] = s
			continue
		}
		c.index[c.labels[i]] = len(c.streams)
		c.streams = append(c.streams, s)
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

// entries describe the offer's streams for the journal.
func (c *call) entries(o *siprec.Offer) []streamEntry {
	var out []streamEntry
	for i := range o.Media {
		if at, ok := c.index[c.labels[i]]; ok {
			out = append(out, streamEntry{
				Label: c.labels[i], Channel: c.streams[at].Channel, Active: c.streams[at].Active,
			})
		}
	}
	return out
}

// answer says on the wire what is recorded: recvonly where sound is let in, inactive where not.
func (c *call) answer(o *siprec.Offer, in siprec.Invitation) siprec.Answer {
	a := siprec.Answer{Addr: in.Local, Media: make([]siprec.AnswerMedia, len(o.Media))}
	ports := c.recording.Ports()
	for i, m := range o.Media {
		formats, _ := usable(c.codecs, m)
		a.Media[i] = siprec.AnswerMedia{Direction: siprec.Inactive, Formats: formats, RTCPMux: m.RTCPMux}
		at, ok := c.index[c.labels[i]]
		if formats == nil || !ok {
			continue
		}
		a.Media[i].Port = ports[at]
		c.secureAnswer(&a.Media[i], c.labels[i], m)
		if c.streams[at].Active {
			a.Media[i].Direction = siprec.RecvOnly
		}
	}
	return a
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
	switch paused := on == 0; {
	case paused && !c.paused.Load():
		typ, data, entry.Pause = EventPaused, pausedData{Reason: holdReason}, &pauseEntry{Reason: holdReason}
	case !paused && c.paused.Load():
		typ, data, entry.Resume = EventResumed, pausedData{Reason: holdReason}, true
	}
	if err := r.witness(ctx, typ, c.id, "", data); err != nil {
		return err
	}
	if err := entry.append(c.writer); err != nil {
		return err
	}
	c.paused.Store(on == 0)
	if err := c.recording.Update(wanted); err != nil {
		return fmt.Errorf("update media: %w", err)
	}
	c.streams = wanted
	return nil
}
