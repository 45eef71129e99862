package media

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/greffier/greffier/media/codec"
)

// count gives packets to a timeline of one stream and returns its figures.
func count(t *testing.T, s Stream, give func(line *timeline)) StreamStats {
	t.Helper()
	line := newTimeline(startTime, 1, []Stream{s}, &memory{})
	give(line)
	return line.close(clockTime(10)).Streams[0]
}

func TestOnlyOfferedAddressesAreHeard(t *testing.T) {
	packets := voice{to: 1, frequency: 440}.packets()
	give := func(line *timeline) {
		for _, s := range packets {
			line.packet(0, clockTime(s.at), netip.MustParseAddr("198.51.100.7"), s.bytes())
		}
	}
	if st := count(t, stream1(0), give); st.Foreign != 50 || st.Packets != 0 || st.Placed != 0 {
		t.Errorf("%+v", st)
	}
	any := stream1(0)
	any.AnySource = true
	if st := count(t, any, give); st.Foreign != 0 || st.Placed != 50 {
		t.Errorf("any source: %+v", st)
	}
}

func TestWhatIsNoRTPIsCounted(t *testing.T) {
	good := voice{to: 1, frequency: 440}.packets()[0].bytes()
	version, padding, extension, sources := clone(good), clone(good), clone(good), clone(good)[:14]
	version[0] = 0x40
	padding[0], padding[len(padding)-1] = 0xA0, 255
	extension[0], extension[14], extension[15] = 0x90, 1, 0
	sources[0] = 0x82
	st := count(t, stream1(0), func(line *timeline) {
		for _, b := range [][]byte{nil, good[:11], version, padding, extension, sources, append(clone(good), make([]byte, maxPacket)...)} {
			line.packet(0, clockTime(1), sourceAddr, b)
		}
	})
	if st.Malformed != 7 || st.Packets != 0 {
		t.Errorf("%+v", st)
	}
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// Digits are never stored, and are no loss.
func TestTelephoneEventsAreCountedAndDropped(t *testing.T) {
	packets := voice{to: 2, frequency: 440}.packets()
	each(packets, func(i int, s *sent) {
		if i >= 50 && i < 60 {
			s.pt, s.timestamp, s.payload = 101, packets[50].timestamp, []byte{5, 10, 0, 160}
		}
	})
	st := count(t, stream1(0), func(line *timeline) {
		for _, s := range packets {
			line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
		}
	})
	if st.UnknownPayload != 10 || st.Lost != 0 || st.Placed != 90 || st.Reanchors != 0 {
		t.Errorf("%+v", st)
	}
}

func TestASecondSourceIsRefused(t *testing.T) {
	c := plainCall(14)
	stranger := voice{from: 4, to: 9, frequency: 1500, ssrc: 99}.packets()
	same := voice{from: 10, to: 12, frequency: 1500, ssrc: 440, sequence: 30000, timestamp: 1 << 30}.packets()
	c.packets[0] = append(c.packets[0], each(append(stranger, same...), func(_ int, s *sent) { s.at += 0.007 })...)
	st := c.run(t).summary.Streams[0]
	if st.Refused != 350 || st.SSRCChanges != 0 || st.SSRC != 440 || st.Placed != 700 {
		t.Errorf("%+v", st)
	}
}

func TestStatistics(t *testing.T) {
	c := plainCall(10)
	c.packets[0] = keep(c.packets[0], func(i int, _ sent) bool { return i%10 != 5 })
	duplicate := c.packets[0][20]
	duplicate.at += 0.001
	late := c.packets[0][30]
	late.at += 8
	c.packets[0] = append(c.packets[0], duplicate)
	c.packets[0][30] = late
	r := c.run(t)
	st := r.summary.Streams[0]
	if st.Lost != 50 || st.Duplicate != 1 || st.Reordered != 1 || st.Late != 1 || st.Packets != 451 || st.SSRC != 440 {
		t.Errorf("%+v", st)
	}
	if st.FirstArrival.Sub(time.Unix(0, startTime)) != 20500*time.Microsecond || !st.LastArrival.After(st.FirstArrival) {
		t.Errorf("from %v to %v", st.FirstArrival, st.LastArrival)
	}
}

// The fields of RFC 3550 section 6.4.1.
func TestReceiverReport(t *testing.T) {
	line := newTimeline(startTime, 1, []Stream{stream1(0)}, &memory{})
	if _, ok := line.receiverReport(0, clockTime(0)); ok {
		t.Error("a report of nothing")
	}
	packets := voice{to: 4, frequency: 440, sequence: 65500}.packets()
	for i, s := range packets[:100] {
		if i%4 != 3 {
			line.packet(0, clockTime(s.at), sourceAddr, s.bytes())
		}
	}
	line.packet(0, clockTime(packets[100].at), sourceAddr, packets[100].bytes())
	line.senderReport(0, clockTime(2.5), 440, 0x1234_5678_9ABC_DEF0, 0)
	got, ok := line.receiverReport(0, clockTime(3))
	want := receptionReport{SSRC: 440, FractionLost: 25 * 256 / 101, TotalLost: 25, LastSequence: 65600, LastSR: 0x5678_9ABC, Delay: 32768}
	if !ok || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if _, ok := line.receiverReport(0, clockTime(3)); ok {
		t.Error("a report without anything new")
	}
	line.packet(0, clockTime(packets[101].at), sourceAddr, packets[101].bytes())
	if got, ok := line.receiverReport(0, clockTime(3)); !ok || got.FractionLost != 0 || got.TotalLost != 25 {
		t.Errorf("%+v", got)
	}
}

func TestKernelDropsAreATotalThatWraps(t *testing.T) {
	st := count(t, stream1(0), func(line *timeline) {
		for _, n := range []uint32{3, 3, 1<<32 - 1, 4} {
			line.kernelDrops(0, n)
		}
	})
	if st.KernelDrops != 1<<32+4 {
		t.Errorf("%d", st.KernelDrops)
	}
}

// What a process that dies now would lose is less than a second.
func TestAtMostASecondIsNotCommitted(t *testing.T) {
	c := plainCall(14)
	sink := &memory{}
	line := newTimeline(startTime, 2, c.streams, sink)
	worst := 0.0
	for n, i := 1, 0; n <= 70; n++ {
		at := float64(n) * 0.2
		if n > 2 {
			worst = max(worst, at-float64(line.committed)/Rate)
		}
		for ; i < len(c.packets[0]) && c.packets[0][i].at <= at; i++ {
			line.packet(0, clockTime(c.packets[0][i].at), sourceAddr, c.packets[0][i].bytes())
			line.packet(1, clockTime(c.packets[1][i].at), sourceAddr, c.packets[1][i].bytes())
		}
		line.cut(clockTime(at))
	}
	if worst >= 1 {
		t.Errorf("%.3f s were not committed", worst)
	}
	t.Logf("at most %.3f s were not committed", worst)
}

var errDisk = errors.New("no space left on device")

func TestASinkThatFailsForAWhileLosesNothing(t *testing.T) {
	c := plainCall(14)
	c.sinkFail = func(n int) error {
		if n == 10 || n == 11 {
			return errDisk
		}
		return nil
	}
	r := c.run(t)
	r.check(t, tones, 14, expectation{length: 14})
	if r.summary.SinkErrors != 2 || !errors.Is(r.summary.Err, errDisk) || r.summary.Unsaved != 0 {
		t.Errorf("%+v", r.summary)
	}
}

func TestASinkThatFailsForLongerLosesWhatTheRingDoesNotHold(t *testing.T) {
	c := plainCall(20)
	c.sinkFail = func(n int) error {
		if n >= 10 && n < 40 {
			return errDisk
		}
		return nil
	}
	r := c.run(t)
	r.check(t, tones, 20, expectation{length: 20, any: true, silent: []span{{0, 3, 9}, {1, 3, 9}}})
	var unsaved int64
	for _, g := range r.plan.Gaps {
		if g.Cause == CauseUnsaved && g.Channel == 0 {
			unsaved += g.Samples
		}
	}
	if r.summary.Unsaved == 0 || unsaved != r.summary.Unsaved || r.summary.Err == nil {
		t.Errorf("unsaved %d in the gaps, %+v", unsaved, r.summary)
	}
}

// An error that was none: the block is there, and is offered again.
func TestABlockThatIsOfferedAgainIsNotDoubled(t *testing.T) {
	c := plainCall(14)
	var sink *memory
	lying := func(line *timeline) {
		sink = &memory{}
		line.sink = liar{sink}
	}
	c.events = []event{{0, func(line *timeline, _ int64) { lying(line) }}}
	r := c.run(t)
	r.sink = sink
	r.plan, r.samples = sink.finish(t)
	r.check(t, tones, 14, expectation{length: 14})
}

// liar takes every third block, and says that it did not.
type liar struct{ *memory }

func (l liar) Append(b *Block) error {
	if err := l.memory.Append(b); err != nil {
		return err
	}
	if l.calls%3 == 0 {
		return errDisk
	}
	return nil
}

func TestOneLawStaysAsItCame(t *testing.T) {
	for _, law := range []codec.Encoding{codec.PCMU, codec.PCMA} {
		c := plainCall(3)
		c.packets = [][]sent{voice{to: 3, frequency: 440, law: law}.packets(), voice{to: 3, frequency: 880, law: law}.packets()}
		if r := c.run(t); r.plan.Encoding != law {
			t.Errorf("%v became %v", law, r.plan.Encoding)
		}
	}
}
