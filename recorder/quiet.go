package recorder

import (
	"time"

	"github.com/greffier/greffier/siprec"
)

// Quiet lists the sessions whose SRC may have vanished: those that bring no packet of what is recorded, and is not on hold, for a
// time of silence; and of the others, of which no packet is expected, those whose SRC has said nothing for a time of probe. Alive
// begins both times anew.
func (r *Recorder) Quiet(silence, probe time.Duration) []siprec.DialogID {
	now := r.cfg.Clock()
	var out []siprec.DialogID
	for _, s := range r.all() {
		limit, last := probe, time.Unix(0, s.heard.Load())
		for _, c := range s.list() {
			since, heard := c.silentSince()
			if !heard {
				continue
			}
			limit = silence
			if since.After(last) {
				last = since
			}
		}
		if now.Sub(last) >= limit {
			out = append(out, s.in.Dialog)
		}
	}
	return out
}

// Alive notes that a session's SRC has shown itself.
func (r *Recorder) Alive(dialog siprec.DialogID) {
	if s := r.session(dialog); s != nil {
		s.touch(r.cfg.Clock())
	}
}

// silentSince is when the last packet of any stream came, or when the recording began. It is false for a call of which nothing is
// expected: one on hold, or not recorded.
func (c *call) silentSince() (time.Time, bool) {
	if c.watched.Load() == nil || c.paused.Load() {
		return time.Time{}, false
	}
	last := c.started
	for _, s := range c.recording.Progress(nil) {
		if s.LastArrival.After(last) {
			last = s.LastArrival
		}
	}
	return last, true
}
