package siprectest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"
)

// sendFrame does with the next frame what the script says. It gives false when the source has ended. at is the frame's
// instant from the epoch.
func (s *Stream) sendFrame(at time.Duration, planned time.Time) bool {
	from, to := s.sourcePosition(s.frame), s.sourcePosition(s.frame+1)
	n := s.read(at)
	if n == 0 {
		return false
	}
	script := &s.spec.Script
	fate := Sent
	gap, inGap := script.gap(at)
	var key *event
	if at >= script.Start && s.open && !inGap {
		key = s.pressed(at)
	}
	switch {
	case at < script.Start:
		fate = NotStarted
	case !s.open:
		fate = Held
	case inGap && gap.Lost:
		fate = Lost
	case inGap:
		fate = InGap
	case key == nil && script.silent(s.pcm):
		fate = Suppressed
	case s.loss.lose(s.rng):
		fate = Lost
	case key != nil:
		fate = Keyed
	}
	if inGap && gap.ClockStops && fate != NotStarted {
		s.clockLag += int64(s.samples)
	}
	s.change(at)
	seq, ts := s.number(fate)
	if key != nil {
		if key.first {
			key.stamp = ts
		}
		ts = key.stamp
	}
	var sent time.Time
	if fate == Sent || fate == Keyed {
		var err error
		if sent, err = s.emit(seq, ts, planned, key); err != nil {
			fate = Failed
		}
	}
	s.talking = key == nil && (fate == Sent || fate == Lost)
	s.note(fate, seq, ts, planned, sent, at)
	s.onsets.note(from, to, fate)
	return n == len(s.pcm)
}

// number gives the frame's sequence number and timestamp. Only frames that are sent, or lost on their way, use one up.
func (s *Stream) number(fate Fate) (uint16, uint32) {
	seq := s.header.SequenceNumber
	ts := s.header.Timestamp + uint32((s.frame*int64(s.samples)-s.clockLag)*s.clock())
	if fate == Sent || fate == Lost || fate == Keyed {
		if !s.begun {
			// The first packet has the timestamp that was asked for.
			s.begun = true
			s.clockLag = s.frame * int64(s.samples)
			ts = s.header.Timestamp
		}
		s.header.SequenceNumber++
	}
	return seq, ts
}

func (s *Stream) note(fate Fate, seq uint16, ts uint32, planned, sent time.Time, at time.Duration) {
	s.truth.Frames++
	s.truth.Fates[fate]++
	if fate == Sent {
		if s.truth.Fates[Sent] == 1 {
			s.truth.First = at
		}
		s.truth.Last = at + s.spec.PTime
	}
	if s.spec.KeepPackets {
		s.truth.Packets = append(s.truth.Packets, Packet{Frame: s.frame, Fate: fate, SSRC: s.header.SSRC,
			Sequence: seq, Timestamp: ts, Planned: planned, Sent: sent})
	}
}

// emit sends the frame in pcm, or an event in its place, now, or later when the script delays it, and says when.
func (s *Stream) emit(seq uint16, ts uint32, planned time.Time, key *event) (time.Time, error) {
	h := s.header
	h.SequenceNumber, h.Timestamp, h.PayloadType, h.Marker = seq, ts, s.payload, !s.talking
	if key != nil {
		h.PayloadType, h.Marker = *s.events, key.first
	}
	s.packet = s.packet[:cap(s.packet)]
	if _, err := h.MarshalTo(s.packet); err != nil {
		return time.Time{}, err
	}
	if key != nil {
		s.packet = append(s.packet[:rtpHeaderSize], key.payload[:]...)
	} else if e := s.spec.Encoded; e != nil {
		s.packet = append(s.packet[:rtpHeaderSize], e.Packets[s.frame%int64(len(e.Packets))]...)
	} else {
		s.packet = encode(s.packet[:rtpHeaderSize], s.pcm, s.law)
	}
	first, second, twice := s.spec.Script.delays(s.rng, s.spec.PTime)
	if twice {
		s.later(delayedPacket{planned.Add(second), slices.Clone(s.packet), true})
	}
	if first > 0 {
		s.truth.Delayed++
		s.later(delayedPacket{planned.Add(first), slices.Clone(s.packet), false})
		return planned.Add(first), nil
	}
	err := s.write(s.packet, planned, false)
	return time.Now(), err
}

// change does what the script says has changed in the sender by now.
func (s *Stream) change(at time.Duration) {
	script := &s.spec.Script
	for n := passed(script.NewSSRC, at); s.changes.ssrc < n; s.changes.ssrc++ {
		s.header.SSRC, s.header.SequenceNumber, s.header.Timestamp = rand.Uint32(), uint16(rand.Uint32()), rand.Uint32()
		s.talking = false
	}
	for i, j := range script.Jumps {
		if i >= s.changes.jump && j.At <= at {
			s.header.Timestamp += uint32(j.By)
			s.changes.jump = i + 1
		}
	}
	for n := passed(script.Rebind, at); s.changes.rebind < n; s.changes.rebind++ {
		addr := addrPort(s.conn.LocalAddr()).Addr()
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		if err != nil {
			return // out of ports: go on from the old one
		}
		s.conn.Close()
		s.conn = conn
	}
}

// sourcePosition is the first position of the source that a frame holds: a clock that is fast takes more samples in the
// same time.
func (s *Stream) sourcePosition(frame int64) int64 {
	p := frame * int64(s.samples)
	if s.spec.Script.SkewPPM == 0 {
		return p
	}
	return int64(float64(p) / (1 + s.spec.Script.SkewPPM/1e6))
}

// read fills pcm with the frame's sound and gives the number of samples; the rest is silence.
func (s *Stream) read(at time.Duration) int {
	if s.spec.Script.SkewPPM == 0 {
		n := s.spec.Source.Read(s.pcm, s.frame*int64(s.samples))
		clear(s.pcm[n:])
		return n
	}
	// Sample i of the stream is heard at source position i/(1+skew): interpolated between its two neighbours.
	ratio := 1 / (1 + s.spec.Script.SkewPPM/1e6)
	first := float64(s.frame*int64(s.samples)) * ratio
	base := int64(first)
	need := int(float64(s.samples)*ratio) + 3
	if cap(s.wide) < need {
		s.wide = make([]int16, need)
	}
	wide := s.wide[:need]
	got := s.spec.Source.Read(wide, base)
	clear(wide[got:])
	n := 0
	for i := range s.pcm {
		x := first - float64(base) + float64(i)*ratio
		k := int(x)
		f := x - float64(k)
		s.pcm[i] = int16(float64(wide[k])*(1-f) + float64(wide[k+1])*f)
		if k < got {
			n = i + 1
		}
	}
	return n
}
