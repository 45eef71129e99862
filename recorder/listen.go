package recorder

import (
	"maps"
	"slices"

	"go.uber.org/zap"
)

// listen opens sockets for the labels of a call of which nothing may be kept before somebody presses a key, or has those listen that are
// there.
func (r *Recorder) listen(s *session, c *call) {
	p := newParking(c)
	for i, l := range s.labels {
		if s.owners[l] != c || !s.usable(l) {
			continue
		}
		if at := slices.IndexFunc(s.parked, func(p *parking) bool { _, ok := p.index[l]; return ok }); at >= 0 {
			r.tune(s, s.parked[at], c)
			continue
		}
		x := stream(s.codecs, s.offer.Media[i], 0, s.in.AnySource)
		x.Active = s.hears(c, l)
		s.protect(l, s.offer.Media[i]).secure(&x, s.offer.Media[i])
		p.add(l, x)
	}
	c.listening = true
	if len(p.index) == 0 {
		return
	}
	var err error
	if p.recording, err = r.cfg.Receiver.Open(p.open()); err != nil {
		c.listening = false
		s.log().Warn("nobody hears the keys that are pressed: no ports", zap.Error(err))
		return
	}
	s.parked = append(s.parked, p)
}

// deafen ends that: what arrives is discarded unheard.
func (r *Recorder) deafen(s *session, c *call) {
	c.listening = false
	for _, p := range s.parked {
		r.tune(s, p, c)
	}
}

// tune has a parking hear the labels of a call that is listened to, and no others of its labels.
func (r *Recorder) tune(s *session, p *parking, c *call) {
	streams, changed := slices.Clone(p.streams), false
	for _, l := range slices.Sorted(maps.Keys(p.index)) {
		if s.owners[l] != c {
			continue
		}
		i := p.index[l]
		if on := c.wants() == keepListening && s.hears(c, l); streams[i].Active != on {
			streams[i].Active, changed = on, true
		}
	}
	if !changed {
		return
	}
	if err := p.recording.Update(streams); err != nil {
		s.log().Error("hear keys", zap.Error(err))
		return
	}
	p.streams = streams
}
