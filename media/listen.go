package media

import "github.com/greffier/greffier/media/codec"

// toned looks for keys in a packet of G.711, which comes in order but for what another one overtook. It tells whether the recording is
// paused because of one.
func (t *timeline) toned(s *stream, p *packet) bool {
	k := s.keypad()
	if k.tones == nil {
		k.tones = &dtmf{}
	}
	d := k.tones
	if !d.follow(s, p) {
		return false
	}
	d.arrived(p.arrival)
	var pcm [toneHop]int16
	defer clear(pcm[:])
	for payload := p.payload; len(payload) > 0; {
		n := codec.Decode(pcm[:], p.format.Codec.Law, payload)
		payload = payload[n:]
		key, at := d.hear(pcm[:n])
		if key == 0 {
			continue
		}
		heard := press{key: key, inBand: true, at: at}
		heard.told = !k.known(&heard)
		k.add(heard)
		if heard.told && t.tell(t.indexOf(s), heard) {
			d.clear()
			return true
		}
	}
	return false
}

// follow finds out what is missing before a packet; false for one that another overtook, which is left out.
func (d *dtmf) follow(s *stream, p *packet) bool {
	if d.started && d.generation != s.decoder.generation {
		d.clear()
	}
	gap := p.time - d.end
	switch {
	case !d.started:
	case p.sequence <= d.sequence:
		return false
	case gap < 0:
		d.clear() // the timestamps jumped
	case gap > 0:
		d.gap(gap, p.sequence != d.sequence+1 && s.source.lost() > d.lost)
	}
	d.started, d.generation = true, s.decoder.generation
	d.sequence, d.end, d.lost = p.sequence, p.time+p.length, s.source.lost()
	return true
}

func (t *timeline) indexOf(s *stream) int {
	for i := range t.streams {
		if t.streams[i] == s {
			return i
		}
	}
	return 0 // it is one of them
}

// deafen forgets what was heard of streams of which nothing is kept: it is not looked at.
func (t *timeline) deafen(now int64) {
	for _, s := range t.streams {
		if s.keys == nil || s.keys.tones == nil || !s.keys.tones.started {
			continue
		}
		if terms := t.terms(s, now); terms == nil || !terms.allowed {
			s.keys.tones.clear()
		}
	}
}
