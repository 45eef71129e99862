package media_test

import (
	"errors"
	"runtime"
	"sync"
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
	if s := closeRecording(t, next).Streams[0]; s.AuthFailed+s.Foreign+s.Malformed != 0 || !sink.contains(0x22) {
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

// A recording of which all was yielded ends there, however long it stays open.
func TestYieldedRecordingEnds(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	one := new(tape)
	rec := openRecording(t, r, one, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 25, func(int) { p.send(filled(0x21)) })
	next := yieldTo(t, rec, time.Time{}, new(tape), []int{0}, pcmu(0))
	cut := time.Now()
	d := media.NewDrainer()
	pace(cut, 60, func(int) { d.Drain(rec) })
	if n := count(one, 0x21); n < 25*frameSize-16 {
		t.Errorf("%d samples are with the sink: what came before the cut waits for nothing", n)
	}
	s, err := rec.Close(cut)
	if length := s.Samples / (media.Rate / 1000); err != nil || length < 490 || length > 700 {
		t.Errorf("%d ms, %v; want little more than 500 ms", length, err)
	}
	closeRecording(t, next)
}

// Yields, drains, commands and the end of Run meet.
func TestConcurrentYields(t *testing.T) {
	r, stop := startReceiver(t, media.Config{DrainInterval: 2 * time.Millisecond})
	rec := openRecording(t, r, discard{}, pcmu(0), pcmu(1))
	p := newPhone(t, loopback, rec.Ports()[0])
	var others sync.WaitGroup
	open := make(chan *media.Recording, 1000)
	others.Go(func() {
		for rec := range open {
			rec.Stats()
			_ = rec.SetPaused(true, "", time.Now()) // or it is closed
			_ = rec.Update([]media.Stream{pcmu(0), pcmu(1)})
			rec.Ports()
		}
	})
	total, sent := uint64(0), uint64(0)
	for i := 0; ; i++ {
		p.send(filled(0x21))
		sent++
		next, err := rec.Yield(time.Time{}, []int{0, 1}, media.Open{Channels: 2, Streams: []media.Stream{pcmu(0), pcmu(1)}, Sink: discard{}})
		if errors.Is(err, media.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			select {
			case open <- next:
			default:
			}
		}
		total += closeRecording(t, rec).Streams[0].Packets
		rec = next
		if i == 500 {
			others.Go(stop)
		}
	}
	close(open)
	others.Wait()
	if total += closeRecording(t, rec).Streams[0].Packets; total != sent && total != sent-1 { // the last came after the end
		t.Errorf("%d packets of %d", total, sent)
	}
}
