package media

import (
	"slices"
	"testing"
)

// listening is a timeline that hears keys on one stream, and what it was told of. It pauses on the key that silences.
func listening(silences byte) (line *timeline, told *string) {
	s := stream1(0)
	s.Events, s.Formats = []uint8{101}, append(s.Formats, Redundancy(96, 8000))
	line, told = newTimeline(startTime, 1, []Stream{s}, &memory{}), new(string)
	line.inBand, line.digits = true, func(p keyPress) bool {
		*told += string(p.key)
		return p.key == silences
	}
	return line, told
}

// dial is the packets of keys, each on for 8 frames and off for 5.
func dial(keys string) (packets []sent) {
	coded := Dial(keys, 8, 5)
	for i := range len(coded) / 160 {
		packets = append(packets, sent{at: float64(i) * 0.02, ssrc: 1, sequence: uint16(i), timestamp: uint32(160 * i), payload: coded[160*i:][:160]})
	}
	return packets
}

// Packets that are missing, not sent or overtaken do not make two presses of one, nor one of two.
func TestTonesOfPacketsInDisorder(t *testing.T) {
	const on, all = 8, 13
	off := func(i int, _ sent) bool { return i%all < on }
	for name, c := range map[string]struct {
		harm func(p []sent) []sent
		want string
	}{
		"all is there":      {func(p []sent) []sent { return p }, "55"},
		"the pause is lost": {func(p []sent) []sent { return keep(p, off) }, "55"},
		"the pause is not sent": {func(p []sent) []sent {
			return each(keep(p, off), func(i int, s *sent) { s.sequence = uint16(i) })
		}, "55"},
		"two packets change places": {func(p []sent) []sent {
			p[3], p[4] = p[4], p[3]
			p[3].at, p[4].at = p[4].at, p[3].at
			return p
		}, "55"},
		"the middle is lost": {func(p []sent) []sent { return slices.Delete(p, 4, 6) }, "55"},
		"another source": {func(p []sent) []sent {
			return each(p, func(i int, s *sent) {
				if i >= all {
					s.ssrc, s.sequence, s.timestamp, s.at = 2, s.sequence+5000, s.timestamp+99999, s.at+0.3
				}
			})
		}, "55"},
	} {
		t.Run(name, func(t *testing.T) {
			line, told := listening(0)
			for _, s := range c.harm(dial("55")) {
				line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
			}
			if *told != c.want {
				t.Errorf("told of %q, want %q", *told, c.want)
			}
		})
	}
}

// Sound that comes beside an event (RFC 2198) is as silent as what follows.
func TestSoundBesideTheSilencingKey(t *testing.T) {
	line, told := listening('1')
	head := []byte{0x80 | 101, 0, 0, 4} // an event of the same time, of 4 bytes; then the sound
	s := sent{at: 1, ssrc: 1, pt: 96, payload: slices.Concat(head, []byte{0}, []byte{1, 0, 0, 160}, needles(160))}
	line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
	if *told != "1" || line.holds() || line.streams[0].stats.Discarded != 1 {
		t.Errorf("told of %q, %+v", *told, line.streams[0].stats)
	}
}

// Of what came before a pause the finder of keys keeps no sample either, once what waited was taken.
func TestKeysAreForgottenInAPause(t *testing.T) {
	line, _ := listening(0)
	for _, s := range dial("1")[:6] {
		line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
	}
	finder := line.streams[0].keys.tones
	if *finder == (dtmf{}) {
		t.Fatal("nothing was heard")
	}
	line.pause(clockTime(0.2), true, CausePaused)
	line.cut(clockTime(0.3))
	if *finder != (dtmf{}) {
		t.Errorf("it has %d samples", finder.fill)
	}
}

// A pause that is told of late begins when it began, but never within the one before.
func TestPausesBeginWhenTheyBegan(t *testing.T) {
	line, _ := listening(0)
	begins := func() (at []float64) {
		for _, e := range line.epochs[1:] {
			at = append(at, float64(e.at-startTime)/1e9)
		}
		return at
	}
	line.pause(clockTime(5), true, "first")
	line.pause(clockTime(7), true, "second")
	line.update(clockTime(8), line.epochs[0].list())
	line.pause(clockTime(9), true, "third")
	if got := begins(); !slices.Equal(got, []float64{5, 8}) {
		t.Errorf("epochs begin at %v", got)
	}
	line.pause(clockTime(4), true, "fourth")
	line.pause(clockTime(10), false, "")
	line.pause(clockTime(11), true, "fifth")
	line.pause(clockTime(9), true, "sixth")
	if got := begins(); !slices.Equal(got, []float64{4, 8, 10, 10}) {
		t.Errorf("epochs begin at %v", got)
	}
	if e := line.epochs[1]; e.cause != "first" || line.epochs[4].cause != "fifth" {
		t.Errorf("causes %q and %q", e.cause, line.epochs[4].cause)
	}
}
