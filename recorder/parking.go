package recorder

import (
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// A parking keeps the sockets of labels that no recording uses, so that the SRC's description goes on to hold. What arrives there is
// discarded on arrival.
// It may listen for the keys that the parties of a call press, for a consent or an objection: then what arrives is looked at for those,
// and still kept nowhere.
type parking struct {
	legs
	digits func(media.Digit) bool
}

// nothing is the sink of a parking. It is given silence only.
type nothing struct{}

func (nothing) Append(*media.Block) error { return nil }

// park silences labels of a call from an instant on, and keeps their sockets for whoever is next. When they cannot be kept they are
// silenced all the same.
func (r *Recorder) park(s *session, c *call, labels []siprec.Label, at time.Time) {
	if len(labels) == 0 {
		return
	}
	p, from := newParking(c), make([]int, 0, len(labels))
	for _, l := range labels {
		i := c.index[l]
		x := c.streams[i]
		x.Active = false
		p.add(l, x)
		from = append(from, i)
	}
	var err error
	if p.recording, err = c.recording.Yield(at, from, p.open()); err == nil {
		s.parked = append(s.parked, p)
	}
	c.streams = slices.Clone(c.streams)
	for _, l := range labels {
		c.streams[c.index[l]].Active = false
		delete(c.index, l)
	}
	if err != nil {
		c.log().Error("keep the ports of a recording that ends", zap.Error(err))
		if err := c.recording.Update(c.streams); err != nil {
			c.log().Error("silence streams", zap.Error(err))
		}
	}
}

// parkAll silences a call that is over.
func (r *Recorder) parkAll(s *session, c *call, at time.Time) {
	if c.recording == nil {
		return
	}
	labels := slices.Sorted(maps.Keys(c.index))
	r.park(s, c, labels, at)
}

// add gives a label a place.
func (p *parking) add(l siprec.Label, x media.Stream) {
	x.Channel = len(p.streams) % media.MaxChannels // nothing is kept of it
	p.index[l] = len(p.streams)
	p.streams = append(p.streams, x)
}

// newParking is an empty one; with a call's keypad, if it has one.
func newParking(c *call) *parking {
	p := &parking{legs: legs{index: map[siprec.Label]int{}}}
	p.digits = c.digits(&p.legs)
	return p
}

func (p *parking) open() media.Open {
	return media.Open{Digits: p.digits, Channels: max(1, min(len(p.streams), media.MaxChannels)), Streams: p.streams, Sink: nothing{}}
}

// openMedia opens the receiving ends of a call: on the sockets that its labels have already, where one parking has them, else on
// fresh ones.
func (r *Recorder) openMedia(s *session, c *call, start time.Time) (*media.Recording, error) {
	o := media.Open{Start: start, Channels: max(1, len(c.channel)), Streams: c.streams, Sink: c.sink, NotBefore: c.late, Digits: c.digits(&c.legs), InBand: c.class().Pause.InBand}
	var best *parking
	most := 0
	for _, p := range s.parked {
		n := 0
		for l := range c.index {
			if _, ok := p.index[l]; ok {
				n++
			}
		}
		if n > most {
			best, most = p, n
		}
	}
	if best == nil {
		return r.cfg.Receiver.Open(o)
	}
	from := make([]int, len(c.streams))
	for i := range from {
		from[i] = -1
	}
	for l, i := range c.index {
		if j, ok := best.index[l]; ok {
			from[i] = j
		}
	}
	rec, err := best.recording.Yield(start, from, o)
	if err != nil {
		c.log().Error("take over ports", zap.Error(err))
		if rec, err = r.cfg.Receiver.Open(o); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// hold brings the parkings up to what the calls have: places that others have taken are given up once the SRC sends there no more,
// and where an SRC is to send what is discarded there are sockets for it.
func (r *Recorder) hold(s *session) {
	for _, p := range slices.Clone(s.parked) {
		ports := p.recording.Ports()
		for l, i := range p.index {
			if _, described := s.media(l); !described || s.holder(l, false) != nil && !s.sendsTo(l, ports[i]) {
				delete(p.index, l)
			}
		}
		if len(p.index) == 0 {
			r.release(s, p)
			s.parked = slices.DeleteFunc(s.parked, func(x *parking) bool { return x == p })
		}
	}
	if s.in.Decline != siprec.DeclineAccept {
		return
	}
	p := newParking(nil)
	for i, l := range s.labels {
		c := s.owners[l]
		if c == nil || c.recording != nil || c.wants() != keepNothing || !s.usable(l) || s.holder(l, true) != nil {
			continue
		}
		x := stream(s.codecs, s.offer.Media[i], 0, s.in.AnySource)
		x.Active = false
		s.protect(l, s.offer.Media[i]).secure(&x, s.offer.Media[i])
		p.add(l, x)
	}
	if len(p.index) == 0 {
		return
	}
	var err error
	if p.recording, err = r.cfg.Receiver.Open(p.open()); err != nil {
		s.log().Warn("streams that are not recorded are answered inactive: no ports", zap.Error(err))
		return
	}
	s.parked = append(s.parked, p)
}

// sendsTo tells whether the SRC was told to send a label's sound to a port.
func (s *session) sendsTo(l siprec.Label, port int) bool {
	i := slices.Index(s.labels, l)
	return i >= 0 && i < len(s.local.Media) && s.local.Media[i].Direction == siprec.RecvOnly && s.local.Media[i].Port == port
}

// release gives sockets back.
func (r *Recorder) release(s *session, p *parking) {
	summary, err := p.recording.Close(r.cfg.Clock())
	if err != nil {
		s.log().Error("close media", zap.Error(err))
	}
	r.count(summary.Streams)
}

// holder finds what has the sockets of a label: a call, or, if it may, a parking.
func (s *session) holder(l siprec.Label, parked bool) *legs {
	for _, c := range s.list() {
		if _, ok := c.index[l]; ok && c.recording != nil {
			return &c.legs
		}
	}
	if parked {
		for _, p := range s.parked {
			if _, ok := p.index[l]; ok {
				return &p.legs
			}
		}
	}
	return nil
}
