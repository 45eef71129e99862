package media

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greffier/greffier/media/codec"
)

// What was spoken in a hold stays out, though the packet after it carries it again (in-band FEC).
func TestFECAfterPause(t *testing.T) {
	c := plainCall(14)
	c.streams[0].Formats = []Format{known(111, "opus", 48000)}
	v := voice{to: 14, frequency: 440, sequence: 1, timestamp: 5}
	c.packets[0] = v.encoded(t, 48000, 48000, 100, 111, "-map", "0:a", "-c:a", "libopus", "-application", "voip", "-vbr", "off", "-b:a", "40k", "-cutoff", "8000", "-fec", "1", "-packet_loss", "30", "-frame_duration", "20", "-f", "data")
	resume := 5.371
	c.events = []event{
		{5.051, func(l *timeline, at int64) { l.pause(at, true, "") }},
		{resume, func(l *timeline, at int64) { l.pause(at, false, "") }},
	}
	r := c.run(t)
	x, o := r.samples[0], float64(r.plan.Offset)/float64(r.plan.Rate)
	t.Logf("%d Hz, stats %+v", r.plan.Rate, r.summary.Streams[0])
	first, last, n := -1.0, 0.0, 0
	for i := int((5.06 - o) * float64(r.plan.Rate)); i < int((resume-0.001-o)*float64(r.plan.Rate)); i++ {
		if x[i] != 0 {
			at := float64(i)/float64(r.plan.Rate) + o
			if first < 0 {
				first = at
			}
			last, n = at, n+1
		}
	}
	if n > 0 {
		t.Errorf("%d samples of sound in the pause, from %.4f to %.4f", n, first, last)
	}
	for _, g := range r.plan.Gaps {
		if g.Channel == 0 {
			t.Logf("gap %.4f %.4f %s", float64(g.Start)/float64(r.plan.Rate)+o, float64(g.Start+g.Samples)/float64(r.plan.Rate)+o, g.Cause)
		}
	}
}

// With two copies of every packet (RFC 2198) each loss is made good once, and the decoder notices nothing.
func TestRedTwice(t *testing.T) {
	run := func(lose bool) result {
		c := plainCall(14)
		c.streams[0].Formats = []Format{known(9, "G722", 8000), Redundancy(96, 8000)}
		plain := voice{to: 14, frequency: 440}.g722(t)
		var kept []sent
		for i, s := range plain {
			s.payload, s.pt = redPayload(plain, i, 2), 96
			if !lose || i < 20 || i%10 != 3 {
				kept = append(kept, s)
			}
		}
		c.packets[0] = kept
		return c.run(t)
	}
	whole, lossy := run(false), run(true)
	st := lossy.summary.Streams[0]
	t.Logf("lost %d recovered %d", st.Lost, st.Recovered)
	a, b := whole.samples[0], lossy.samples[0]
	if len(a) != len(b) || whole.plan.Offset != lossy.plan.Offset {
		t.Fatalf("%d %d", len(a), len(b))
	}
	diff, worst := 0, 0.0
	for i := range a {
		if a[i] != b[i] {
			diff++
			worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
		}
	}
	if diff > 0 {
		t.Errorf("%d of %d samples differ, by up to %.0f, though nothing is missing", diff, len(a), worst)
	}
}

// A run that is resampled has no seam at the commits in it.
func TestSeam(t *testing.T) {
	clicks := 0
	for offset := 0; offset < 20; offset++ {
		c := plainCall(8)
		c.streams[1] = wideStream(1, 48000)
		c.packets[1] = voice{to: 8, frequency: 600}.wide(48000, wideTypes[48000])
		from := 2 + float64(offset)/1000
		c.packets[0] = nil
		for i := range 250 {
			p := make([]byte, 160)
			for k := range p {
				p[k] = encode(codec.PCMU, 8000)
			}
			spoken := from + float64(i)*0.02
			c.packets[0] = append(c.packets[0], sent{at: spoken + 0.02 + pathDelay, spoken: spoken, length: 0.02, payload: p, sequence: uint16(i), timestamp: uint32(i * 160), ssrc: 7})
		}
		r := c.run(t)
		o := float64(r.plan.Offset) / float64(r.plan.Rate)
		x := r.samples[0]
		least, where := 9000.0, 0.0
		for i := int((from + 0.02 - o) * 48000); i < int((from+4.9-o)*48000); i++ {
			if v := float64(x[i]); v < least {
				least, where = v, float64(i)/48000+o
			}
		}
		if least < 7000 {
			clicks++
			t.Logf("stream from %.3f: a constant of 7900 falls to %.0f at %.4f, no packet missing: %+v", from, least, where, r.summary.Streams[0].Lost)
		}
	}
	if clicks > 0 {
		t.Errorf("a click in %d of 20 streams", clicks)
	}
}

// The same payload type with another number of channels is another decoder.
func TestChannelsChange(t *testing.T) {
	stereo, _ := codec.Lookup(codec.Format{Name: "L16", ClockRate: 16000, Channels: 2})
	c := plainCall(14)
	c.streams[0] = wideStream(0, 16000)
	c.packets[0] = voice{to: 14, frequency: 440}.wide(16000, wideTypes[16000])
	for i := range c.packets[0] {
		if s := &c.packets[0][i]; s.at > 6.1 {
			var p []byte
			for k := 0; k < len(s.payload); k += 2 {
				p = append(p, s.payload[k], s.payload[k+1], s.payload[k], s.payload[k+1])
			}
			s.payload = p
		}
	}
	c.events = []event{{6.1, func(l *timeline, at int64) {
		streams := twoStreams()
		streams[0] = wideStream(0, 16000)
		streams[0].Formats[len(streams[0].Formats)-1].Codec = stereo
		streams[0].Formats[len(streams[0].Formats)-1].Channels = 2
		l.update(at, streams)
	}}}
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14, any: true})
	r.smooth(t, tones)
	t.Logf("%+v", r.summary.Streams[0])
}

// A decoder that cannot be made once (no process is to be had at that moment) is made a little later.
func TestDecoderFailsOnce(t *testing.T) {
	c := wideCall(14, 16000, 0)
	f := &c.streams[0].Formats[len(c.streams[0].Formats)-1]
	make_, n := f.Codec.New, 0
	f.Codec.New = func() (codec.Decoder, error) {
		if n++; n == 1 {
			return nil, errors.New("fork: resource temporarily unavailable")
		}
		return make_()
	}
	r := c.run(t)
	if st := r.summary.Streams[0]; st.Undecodable > 5 {
		t.Errorf("%d of %d packets are lost; New was called %d times", st.Undecodable, st.Packets, n)
	}
}

// More formats than a stream may have, the decoder of one of which cannot be made again, end nothing.
func TestEvictedVoice(t *testing.T) {
	s := stream1(0)
	base := known(100, "L16", 16000)
	good := base.Codec.New
	n := 0
	for i := range 17 {
		f := base
		f.PayloadType = uint8(96 + i)
		if i == 0 {
			f.Codec.New = func() (codec.Decoder, error) {
				if n++; n > 1 {
					return nil, errors.New("no process")
				}
				return good()
			}
		}
		s.Formats = append(s.Formats, f)
	}
	c := plainCall(4)
	c.streams[0] = s
	c.packets[0] = voice{to: 4, frequency: 440}.wide(16000, 96)
	for i := range c.packets[0] {
		c.packets[0][i].pt = uint8(96 + i%17)
	}
	c.run(t)
}

// What arrived after a pause that is told late, in packets of 5 ms.
func TestRevokeShortPackets(t *testing.T) {
	c := plainCall(14)
	c.packets[0] = voice{to: 14, frequency: 440, ptime: func(int) int { return 40 }}.packets()
	c.events = []event{
		{5.75, func(l *timeline, at int64) { l.pause(at-350e6, true, "") }},
		{7.1, func(l *timeline, at int64) { l.pause(at, false, "") }},
	}
	r := c.run(t)
	o := float64(r.plan.Offset) / float64(r.plan.Rate)
	n := 0
	for _, v := range r.samples[0][int((5.41-o)*8000):int((7.08-o)*8000)] {
		if v != 0 {
			n++
		}
	}
	if n > 0 {
		t.Errorf("%.1f ms of sound after the pause", float64(n)/8)
	}
}

// The rate of a recording rises while the other side speaks: that one hears nothing of it.
func TestRaiseSeam(t *testing.T) {
	c := plainCall(10)
	c.streams[1] = wideStream(1, 48000)
	c.packets[1] = voice{from: 5, to: 10, frequency: 600}.wide(48000, wideTypes[48000])
	c.packets[0] = nil
	for i := range 499 {
		p := make([]byte, 160)
		for k := range p {
			p[k] = encode(codec.PCMU, 8000)
		}
		spoken := float64(i) * 0.02
		c.packets[0] = append(c.packets[0], sent{at: spoken + 0.02 + pathDelay, spoken: spoken, length: 0.02, payload: p, sequence: uint16(i), timestamp: uint32(i * 160), ssrc: 7})
	}
	r := c.run(t)
	o := float64(r.plan.Offset) / float64(r.plan.Rate)
	x := r.samples[0]
	least, most, where := 90000, 0, 0.0
	for i := int(1 * 48000); i < int(9*48000); i++ {
		if v := int(x[i]); v < least {
			least, where = v, float64(i)/48000+o
		}
		most = max(most, int(x[i]))
	}
	if least < 7000 || most > 8800 {
		t.Errorf("a constant of 7900 falls to %d at %.4f, and rises to %d", least, where, most)
	}
}

// A packet that is a telephone event is no loss: the copy in the packet after it is of what was placed before.
func TestFECAfterEvents(t *testing.T) {
	c := plainCall(14)
	c.streams[0].Formats = []Format{known(111, "opus", 48000)}
	v := voice{to: 14, frequency: 440, sequence: 1, timestamp: 5}
	list := v.encoded(t, 48000, 48000, 100, 111, "-map", "0:a", "-c:a", "libopus", "-application", "voip", "-vbr", "off", "-b:a", "40k", "-cutoff", "8000", "-fec", "1", "-packet_loss", "30", "-frame_duration", "20", "-f", "data")
	// The encoder stands still for 100 ms in which 5 events are sent, as a telephone does that sends digits.
	var out []sent
	for i, s := range list {
		switch {
		case i < 268: // up to 5.36, in a burst
			out = append(out, s)
		default:
			if i == 268 {
				for k := range 5 {
					e := s
					e.pt, e.payload = 101, []byte{1, 10, 0, byte(k)}
					e.sequence += uint16(k)
					e.at += float64(k) * 0.02
					out = append(out, e)
				}
			}
			s.sequence += 5
			s.timestamp += 5 * 960
			s.at += 0.1
			s.spoken += 0.1
			out = append(out, s)
		}
	}
	c.packets[0] = keep(out, func(_ int, s sent) bool { return s.at < 13.9 })
	r := c.run(t)
	st := r.summary.Streams[0]
	o := float64(r.plan.Offset) / float64(r.plan.Rate)
	n := 0
	for _, v := range r.samples[0][int((5.365-o)*48000):int((5.455-o)*48000)] {
		if v != 0 {
			n++
		}
	}
	if st.Recovered > 0 || n > 0 {
		t.Errorf("lost %d, recovered %d, %d samples of sound while only events came", st.Lost, st.Recovered, n)
	}
}

// What was not decoded counts as lost.
func TestQualityUndecodable(t *testing.T) {
	c := wideCall(14, 16000, 0)
	for i := range c.packets[0] {
		if i%2 == 1 {
			c.packets[0][i].payload = c.packets[0][i].payload[:639]
		}
	}
	r := c.run(t)
	q, _ := Measure(&r.plan, 0, "L16", &r.summary.Streams[0])
	if q.Loss < 0.4 {
		t.Errorf("half of the packets were not decoded: %+v", q)
	}
}

// A decoder program that hangs does not hold up others for long.
func TestHungProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "hang")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	set := codec.Set{G729: program}
	k, _ := set.Lookup(codec.Format{Name: "G729", ClockRate: 8000})
	c := plainCall(4)
	c.streams[0].Formats = []Format{{PayloadType: 18, Codec: k}}
	c.packets[0] = nil
	for i := range 190 {
		spoken := float64(i) * 0.02
		c.packets[0] = append(c.packets[0], sent{at: spoken + 0.02 + pathDelay, payload: make([]byte, 20), sequence: uint16(i), timestamp: uint32(i * 160), ssrc: 7, pt: 18})
	}
	begin := time.Now()
	worst, last := time.Duration(0), begin
	c.drains = func(n int) float64 { worst, last = max(worst, time.Since(last)), time.Now(); return float64(n) * 0.4 }
	r := c.run(t)
	t.Logf("%+v", r.summary.Streams[0])
	if worst > 2*time.Second {
		t.Errorf("one drain took %v, all %v", worst, time.Since(begin))
	}
}

// The spool takes records of 1 MiB (spool.MaxRecord).
func TestWideBlocks(t *testing.T) {
	for _, n := range []int{2, 8, 12, 16, 32} {
		c := call{end: 6}
		for i := range n {
			c.streams = append(c.streams, wideStream(i, 48000))
			c.packets = append(c.packets, voice{to: 6, frequency: 440}.wide(48000, wideTypes[48000]))
		}
		largest := 0
		sink := &memory{}
		line := newTimeline(startTime, n, c.streams, sizedSink{sink, &largest})
		for k := 1; k <= 300; k++ {
			for i := range n {
				s := c.packets[i][k-1]
				line.packet(i, clockTime(s.at), sourceAddr, s.bytes())
			}
			if k%20 == 0 && (k < 150 || k > 210) { // a stall of 1.2 s
				line.cut(clockTime(float64(k) * 0.02))
			}
		}
		sum := line.close(clockTime(6.001))
		t.Logf("%d channels: largest block %d bytes, sink errors %d, unsaved %d ms", n, largest, sum.SinkErrors, sum.Unsaved/8)
		if sum.Unsaved > 0 {
			t.Errorf("%d channels: %d ms of every channel lost", n, sum.Unsaved/8)
		}
	}
}

type sizedSink struct {
	*memory
	largest *int
}

func (s sizedSink) Append(b *Block) error {
	n := len(b.Marshal(nil))
	*s.largest = max(*s.largest, n)
	if n > 1<<20 {
		return errors.New("a record is above the limit")
	}
	return s.memory.Append(b)
}

// The decoder is fed from what a pause revoked? Sound of a pause in what follows it.
func TestRedFirstAfterResume(t *testing.T) {
	// The last packet of the pause is lost, timestamps stood still in the pause; the first after it carries it again.
	c := plainCall(14)
	c.streams[0].Formats = append(c.streams[0].Formats, Redundancy(96, 8000))
	plain := voice{to: 14, frequency: 440}.packets()
	var kept []sent
	for i, s := range plain {
		s.payload, s.pt = redPayload(plain, i, 2), 96
		if s.at > 5.36 && s.at < 5.39 { // lost: spoken at 5.34 and 5.36, in a burst
			continue
		}
		if s.at > 5.1 { // the network is 150 ms slower from the pause on
			s.at += 0.15
		}
		kept = append(kept, s)
	}
	c.packets[0] = kept
	resume := 5.395 + 0.15
	c.events = []event{
		{5.101, func(l *timeline, at int64) { l.pause(at, true, "") }},
		{resume, func(l *timeline, at int64) { l.pause(at, false, "") }},
	}
	r := c.run(t)
	o := float64(r.plan.Offset) / 8000
	for _, g := range r.plan.Gaps {
		if g.Channel == 0 {
			t.Logf("gap %.4f %.4f %s", float64(g.Start)/8000+o, float64(g.Start+g.Samples)/8000+o, g.Cause)
		}
	}
	t.Logf("%+v", r.summary.Streams[0])
	// Of the network's 150 ms nothing is known: what is let in came after the resumption, and stands after it.
	first, _ := 0.0, 0
	for i, v := range r.samples[0] {
		if at := float64(i)/8000 + o; at > 5.11 && v != 0 {
			first = at
			break
		}
	}
	if first < resume-0.001 {
		t.Errorf("the pause ended at %.4f, sound begins at %.4f", resume, first)
	}
}

// What comes after a pause stays after it, though its first packet was a late one.
func TestSettleBelowFloor(t *testing.T) {
	c := plainCall(14)
	c.packets[0] = voice{to: 14, frequency: 440}.packets()
	resume := 5.485
	late := 0
	for i := range c.packets[0] {
		if s := &c.packets[0][i]; s.at > 5.1 {
			s.at += 0.15 // the network is slower from the pause on
			if s.at > resume && late < 4 {
				s.at = max(s.at, resume+0.075+0.001*float64(late)) // and stalls at the resumption
				late++
			}
		}
	}
	c.events = []event{
		{5.101, func(l *timeline, at int64) { l.pause(at, true, "") }},
		{resume, func(l *timeline, at int64) { l.pause(at, false, "") }},
	}
	r := c.run(t)
	o := float64(r.plan.Offset) / 8000
	for i, v := range r.samples[0] {
		if at := float64(i)/8000 + o; at > 5.11 && v != 0 {
			if at < resume-0.001 {
				t.Errorf("the pause ended at %.4f, sound begins at %.4f", resume, at)
			}
			break
		}
	}
	for _, g := range r.plan.Gaps {
		if g.Channel == 0 {
			t.Logf("gap %.4f %.4f %s", float64(g.Start)/8000+o, float64(g.Start+g.Samples)/8000+o, g.Cause)
		}
	}
}

// What came and cannot be decoded is no silence of the sender's: the gap says lost.
func TestUndecodableIsLost(t *testing.T) {
	c := wideCall(14, 16000, 0)
	for i := range c.packets[0] {
		if s := &c.packets[0][i]; s.spoken > 5.599 && s.spoken < 9.199 {
			s.payload = s.payload[:639]
		}
	}
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14, silent: []span{{0, 5.6, 9.2}}, gaps: []wantGap{{0, 5.6, 9.2, CauseLost}}})
	if st := r.summary.Streams[0]; st.Undecodable != 180 {
		t.Errorf("%+v", st)
	}
}
