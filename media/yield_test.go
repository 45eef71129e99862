package media_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// yieldTo gives streams of a recording to a new one with the same description.
func yieldTo(t testing.TB, rec *media.Recording, at time.Time, sink media.Sink, from []int, streams ...media.Stream) *media.Recording {
	t.Helper()
	channels := 1
	for _, s := range streams {
		channels = max(channels, s.Channel+1)
	}
	next, err := rec.Yield(at, from, media.Open{Channels: channels, Streams: streams, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// parted checks that what was sent before a cut is in the one recording, and what was sent from it on in the other.
func parted(t *testing.T, first, second *media.Recording, one, two *tape, before, after uint64) {
	t.Helper()
	a, b := closeRecording(t, first).Streams[0], closeRecording(t, second).Streams[0]
	for _, c := range []struct {
		name string
		s    media.StreamStats
		want uint64
	}{{"first", a, before}, {"second", b, after}} {
		if c.s.Packets != c.want || c.s.Placed != c.want || c.s.Lost+c.s.Duplicate+c.s.Discarded+c.s.Late+c.s.AuthFailed+c.s.Replayed+c.s.Clipped != 0 {
			t.Errorf("%s: %+v; want %d packets, all placed", c.name, c.s, c.want)
		}
		if c.s.Bytes != c.want*frameSize {
			t.Errorf("%s: %d bytes, want %d", c.name, c.s.Bytes, c.want*frameSize)
		}
	}
	if one.contains(0x22) || two.contains(0x21) {
		t.Error("sound is on the wrong side of the cut")
	}
	for _, c := range []struct {
		k    *tape
		code byte
		want uint64
	}{{one, 0x21, before}, {two, 0x22, after}} {
		if n := count(c.k, c.code); n < int(c.want)*frameSize-16 || n > int(c.want)*frameSize+16 {
			t.Errorf("%d samples of %#x, want about %d", n, c.code, c.want*frameSize)
		}
	}
	if !a.LastArrival.Before(b.FirstArrival) {
		t.Errorf("the first ends at %v, the second begins at %v", a.LastArrival, b.FirstArrival)
	}
}

// Whether packets wait in the kernel when a stream is yielded, or were taken already, they are parted at the instant of the cut.
func TestYield(t *testing.T) {
	for _, c := range []struct {
		name  string
		drain time.Duration
		taken bool
	}{
		{"all waits", 2 * time.Second, false},
		{"all was taken", 2 * time.Second, true},
		{"drained often", 20 * time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{DrainInterval: c.drain})
			one, two := new(tape), new(tape)
			rec := openRecording(t, r, one, pcmu(0))
			port := rec.Ports()[0]
			p := newPhone(t, loopback, port)
			pace(time.Now(), 40, func(int) { p.send(filled(0x21)) })
			cut := time.Now()
			pace(time.Now(), 8, func(int) { p.send(filled(0x22)) })
			if c.taken {
				media.NewDrainer().Drain(rec)
			}
			next := yieldTo(t, rec, cut, two, []int{0}, pcmu(0))
			if next.Ports()[0] != port || rec.Ports()[0] != 0 {
				t.Errorf("ports %v and %v, want 0 and %d", rec.Ports(), next.Ports(), port)
			}
			pace(time.Now(), 30, func(int) { p.send(filled(0x22)) })
			parted(t, rec, next, one, two, 40, 38)
		})
	}
}

// All that waits is parted, however long it waits: nothing drains here but Yield itself.
func TestYieldLate(t *testing.T) {
	r, err := media.NewReceiver(media.Config{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := new(tape), new(tape)
	rec := openRecording(t, r, one, pcmu(0), pcmu(1))
	p, q := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
	both := func(c byte) func(int) { return func(int) { p.send(filled(c)); q.send(filled(c)) } }
	pace(time.Now(), 70, both(0x21))
	cut := time.Now()
	pace(cut, 90, both(0x22))
	next := yieldTo(t, rec, cut, two, []int{1, 0}, pcmu(1), pcmu(0))
	for i, want := range []uint64{70, 90} {
		for j, s := range closeRecording(t, []*media.Recording{rec, next}[i]).Streams {
			if s.Packets != want || s.Placed != want || s.Patched != 0 || s.Lost != 0 {
				t.Errorf("recording %d, stream %d: %+v; want %d placed", i, j, s, want)
			}
		}
	}
	if one.contains(0x22) || two.contains(0x21) {
		t.Error("sound is on the wrong side of the cut")
	}
}

// What came since the cut and was placed is not kept when the new recording may keep nothing.
func TestYieldToParked(t *testing.T) {
	r, _ := startReceiver(t, media.Config{DrainInterval: 2 * time.Second})
	one, two := new(tape), new(tape)
	off := pcmu(0)
	off.Active = false
	rec := openRecording(t, r, one, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 30, func(int) { p.send(filled(0x21)) })
	cut := time.Now()
	pace(cut, 8, func(int) { p.send(filled(0x22)) })
	media.NewDrainer().Drain(rec)
	next := yieldTo(t, rec, cut, two, []int{0}, off)
	pace(time.Now(), 10, func(int) { p.send(filled(0x22)) })
	a, b := closeRecording(t, rec).Streams[0], closeRecording(t, next).Streams[0]
	if a.Placed != 30 || a.Discarded != 8 || b.Placed != 0 || b.Discarded != 10 || one.contains(0x22) || two.contains(0x22) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// The keys go along, with roll-over counter and replay window.
func TestYieldSDES(t *testing.T) {
	for name, before := range map[string]int{"rolls over after the cut": 3, "at it": 6, "before it": 12} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := startReceiver(t, media.Config{DrainInterval: time.Second})
			one, two := new(tape), new(tape)
			key := bytes.Repeat([]byte{7}, 30)
			rec := openRecording(t, r, one, secured(pcmu(0), key))
			p := newPhone(t, loopback, rec.Ports()[0]) // its numbers roll over with the seventh packet
			out := sealing(t, key)
			var sent [][]byte
			keep := func(payload []byte) {
				n, err := p.h.MarshalTo(p.buf)
				if err != nil {
					t.Fatal(err)
				}
				b, err := out.EncryptRTP(nil, append(p.buf[:n], payload...), nil)
				if err != nil {
					t.Fatal(err)
				}
				sent = append(sent, b)
				p.raw(b)
				p.h.SequenceNumber++
				p.h.Timestamp += frameSize
			}
			pace(time.Now(), before, func(int) { keep(filled(0x21)) })
			cut := time.Now()
			pace(cut, 5, func(int) { keep(filled(0x22)) })
			next := yieldTo(t, rec, cut, two, []int{0}, secured(pcmu(0), key))
			pace(time.Now(), 15, func(int) { keep(filled(0x22)) })
			for _, b := range sent {
				p.raw(b) // again
			}
			eventually(t, "the replays are seen", func() bool { return next.Stats()[0].Replayed == uint64(len(sent)) })
			a, b := closeRecording(t, rec).Streams[0], closeRecording(t, next).Streams[0]
			if a.Placed != uint64(before) || b.Placed != 20 || a.AuthFailed+b.AuthFailed+a.Replayed != 0 || b.Lost != 0 {
				t.Errorf("%+v\n%+v; want %d and 20 placed", a, b, before)
			}
			if one.contains(0x22) || two.contains(0x21) {
				t.Error("sound is on the wrong side of the cut")
			}
		})
	}
}

// Without keys too, a packet that came before the cut is not placed again when it comes after it.
func TestYieldDuplicates(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	one, two := new(tape), new(tape)
	rec := openRecording(t, r, one, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 25, func(int) { p.send(filled(0x21)) })
	next := yieldTo(t, rec, time.Time{}, two, []int{0}, pcmu(0))
	p.h.SequenceNumber, p.h.Timestamp = p.h.SequenceNumber-1, p.h.Timestamp-frameSize
	p.send(filled(0x21))
	pace(time.Now(), 25, func(int) { p.send(filled(0x22)) })
	a, b := closeRecording(t, rec).Streams[0], closeRecording(t, next).Streams[0]
	if a.Placed != 25 || b.Placed != 25 || b.Duplicate != 1 || b.Packets != 26 || b.Lost != 0 {
		t.Errorf("%+v\n%+v", a, b)
	}
	if two.contains(0x21) {
		t.Error("a packet is in both recordings")
	}
}

// Keys that were agreed hold, and the association goes along.
func TestYieldDTLS(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	cert, fp := newCertificate(t)
	one, two := new(tape), new(tape)
	rec := openRecording(t, r, one, passiveStream(fp))
	p := newPhone(t, loopback, rec.Ports()[0])
	out := p.shake(p.client(cert), true)
	p.secureSend(out, filled(0x21))
	eventually(t, "a packet", func() bool { return rec.Stats()[0].Packets == 1 })
	pace(time.Now(), 24, func(int) { p.secureSend(out, filled(0x21)) })
	cut := time.Now()
	pace(cut, 5, func(int) { p.secureSend(out, filled(0x22)) })
	associations := rec.Associations()
	next := yieldTo(t, rec, cut, two, []int{0}, passiveStream(fp))
	if associations != 1 || rec.Associations() != 0 || next.Associations() != 1 {
		t.Errorf("associations: %d before, then %d and %d", associations, rec.Associations(), next.Associations())
	}
	pace(time.Now(), 20, func(int) { p.secureSend(out, filled(0x22)) })
	parted(t, rec, next, one, two, 25, 25)
}

// A handshake that goes on when its socket is yielded ends well.
func TestYieldInHandshake(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // it does not run: only who hurries drains
	if err != nil {
		t.Fatal(err)
	}
	cert, fp := newCertificate(t)
	p := newPhone(t, loopback, 1)
	rec := openRecording(t, r, new(tape), activeStream(fp, p))
	port := rec.Ports()[0]
	q := newPhone(t, loopback, port)
	p.to, p.at = q.to, q.at
	p.answered()         // our hello
	p.send(filled(0x21)) // it might be of the keys to come
	sink := new(tape)
	next := yieldTo(t, rec, time.Time{}, sink, []int{0}, activeStream(fp, p))
	if s := closeRecording(t, rec).Streams[0]; s.AuthFailed != 1 || s.Packets != 0 {
		t.Errorf("first: %+v", s)
	}
	out := p.shake(p.server(cert), false)
	p.secureSend(out, filled(0x22))
	eventually(t, "the packet", func() bool { return next.Stats()[0].Placed == 1 })
	if s := closeRecording(t, next).Streams[0]; s.AuthFailed != 0 || !sink.contains(0x22) {
		t.Errorf("%+v", s)
	}
}

// An address that a connectivity check proved is still one of the stream's.
func TestYieldICE(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	s := pcmu(0)
	s.Addrs = nil
	s.ICE = &media.ICE{Ufrag: "ours", Pwd: media.NewKey([]byte("a password of ours"))}
	rec := openRecording(t, r, new(tape), s)
	p := newPhone(t, loopback, rec.Ports()[0])
	p.check("a password of ours")
	p.answered()
	p.send(filled(0x21))
	sink := new(tape)
	next := yieldTo(t, rec, time.Time{}, sink, []int{0}, s)
	p.send(filled(0x22))
	p.check("a password of ours")
	p.answered()
	if s := closeRecording(t, rec).Streams[0]; s.Placed != 1 || s.Foreign != 0 {
		t.Errorf("first: %+v", s)
	}
	if s := closeRecording(t, next).Streams[0]; s.Placed != 1 || s.Foreign != 0 || !sink.contains(0x22) {
		t.Errorf("second: %+v", s)
	}
}

// One of two streams may go, and the other goes on; what is yielded cannot be had back.
func TestYieldOneOfTwo(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	one, two := new(tape), new(tape)
	rec := openRecording(t, r, one, pcmu(0), pcmu(1))
	ports := rec.Ports()
	p, q := newPhone(t, loopback, ports[0]), newPhone(t, loopback, ports[1])
	pace(time.Now(), 20, func(int) { p.send(filled(0x21)); q.send(filled(0x31)) })
	next := yieldTo(t, rec, time.Time{}, two, []int{-1, 1}, pcmu(0), pcmu(1))
	if got := rec.Ports(); got[0] != ports[0] || got[1] != 0 {
		t.Errorf("ports %v", got)
	}
	if got := next.Ports(); got[1] != ports[1] || got[0] == ports[0] || got[0] == 0 {
		t.Errorf("ports of the new recording %v", got)
	}
	fresh := newPhone(t, loopback, next.Ports()[0])
	pace(time.Now(), 20, func(int) { p.send(filled(0x21)); q.send(filled(0x32)); fresh.send(filled(0x42)) })
	if err := rec.Update([]media.Stream{pcmu(0), pcmu(1)}); !errors.Is(err, media.ErrYielded) {
		t.Errorf("a yielded stream was activated: %v", err)
	}
	gone := pcmu(1)
	gone.Active = false
	if err := rec.Update([]media.Stream{pcmu(0), gone, pcmu(2)}); err != nil {
		t.Errorf("update: %v", err)
	}
	for _, from := range [][]int{{1}, {3}, {0, 0}, {}} {
		streams := []media.Stream{pcmu(0), pcmu(1)}[:max(1, len(from))]
		if _, err := rec.Yield(time.Time{}, from, media.Open{Channels: 2, Streams: streams, Sink: one}); err == nil {
			t.Errorf("streams %v were yielded", from)
		}
	}
	first, second := closeRecording(t, rec), closeRecording(t, next)
	for i, want := range []uint64{40, 20, 0} {
		if s := first.Streams[i]; s.Placed != want || s.Discarded != 0 {
			t.Errorf("stream %d: %+v, want %d placed", i, s, want)
		}
	}
	for i, s := range second.Streams {
		if s.Placed != 20 || s.Lost != 0 {
			t.Errorf("stream %d of the new recording: %+v, want 20 placed", i, s)
		}
	}
	if one.contains(0x32) || two.contains(0x31) || two.contains(0x21) {
		t.Error("sound is on the wrong side of the cut")
	}
	if f := assemble(t, one); len(f.Gaps) == 0 || f.Gaps[len(f.Gaps)-1].Cause == media.CauseInactive {
		t.Errorf("gaps %+v: a stream that was yielded has ended, and is not on hold", f.Gaps)
	}
	if _, err := rec.Yield(time.Time{}, []int{0}, media.Open{Channels: 1, Streams: []media.Stream{pcmu(0)}, Sink: one}); !errors.Is(err, media.ErrClosed) {
		t.Errorf("yield after Close: %v", err)
	}
}

// While nothing may be kept the sockets are parked. What was said there is in no recording, that which comes last neither.
func TestYieldFromParked(t *testing.T) {
	r, _ := startReceiver(t, media.Config{DrainInterval: time.Second})
	one, parked, two := new(tape), new(tape), new(tape)
	off := pcmu(0)
	off.Active = false
	rec := openRecording(t, r, one, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 25, func(int) { p.send(filled(0x21)) })
	park := yieldTo(t, rec, time.Time{}, parked, []int{0}, off)
	begin := time.Now()
	pace(begin, 25, func(int) { p.send(filled(0x23)) })
	var cut time.Time
	pace(begin.Add(25*frame), 1, func(int) {
		cut = time.Now()
		p.send(filled(0x23)) // it was spoken before
	})
	next := yieldTo(t, park, cut, two, []int{0}, pcmu(0))
	pace(begin.Add(26*frame), 25, func(int) { p.send(filled(0x22)) })
	a, b, c := closeRecording(t, rec).Streams[0], closeRecording(t, park).Streams[0], closeRecording(t, next).Streams[0]
	if a.Placed != 25 || b.Placed != 0 || b.Packets != 25 || b.Discarded != 25 || c.Placed+c.Clipped != 26 || c.Placed < 25 {
		t.Errorf("%+v\n%+v\n%+v", a, b, c)
	}
	if n := count(two, 0x23); n > frameSize/20 || parked.contains(0x23) || one.contains(0x23, 0x22) || !two.contains(0x22) {
		t.Errorf("%d samples of what was said while parked are kept", n)
	}
}

// Recordings that follow on one another in one session leave nothing behind.
func TestYieldLeaksNothing(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	r, stop := startReceiver(t, media.Config{PortMin: 41000, PortMax: 41003})
	rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1))
	ports, files := rec.Ports(), descriptors(t)
	p := newPhone(t, loopback, ports[0])
	files++
	const rounds = 1000
	sent, placed := 0, uint64(0)
	begin := time.Now()
	for range rounds {
		p.send(filled(0x21))
		sent++
		next := yieldTo(t, rec, time.Time{}, new(tape), []int{0, 1}, pcmu(0), pcmu(1))
		placed += closeRecording(t, rec).Streams[0].Packets
		rec = next
	}
	t.Logf("a yield and a close: %v", time.Since(begin)/rounds)
	if got := rec.Ports(); got[0] != ports[0] || got[1] != ports[1] {
		t.Errorf("ports %v became %v", ports, got)
	}
	if n := descriptors(t); n != files {
		t.Errorf("%d descriptors, want %d", n, files)
	}
	if s := r.Stats(); s.Recordings != 1 {
		t.Errorf("%+v: want one recording", s)
	}
	placed += closeRecording(t, rec).Streams[0].Packets
	if placed != uint64(sent) {
		t.Errorf("%d packets of %d", placed, sent)
	}
	again := openRecording(t, r, new(tape), pcmu(0), pcmu(1)) // the only ports there are
	closeRecording(t, again)
	stop()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}
