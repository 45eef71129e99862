//go:build linux && !portable

package media_test

// Here the kernel tells when a packet came, so that each is on its side of the cut whenever it is read.

import (
	"bytes"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

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
	if a.Placed != 25 || b.Placed != 0 || b.Packets != 25 || b.Discarded != 25 || c.Placed+c.Clipped != 26 || c.Placed == 0 {
		t.Errorf("%+v\n%+v\n%+v", a, b, c)
	}
	if n := count(two, 0x23); n > frameSize/20 || parked.contains(0x23) || one.contains(0x23, 0x22) || !two.contains(0x22) {
		t.Errorf("%d samples of what was said while parked are kept", n)
	}
}

// What the kernel dropped before the cut is told of the one recording only.
func TestYieldKernelDrops(t *testing.T) {
	r, err := media.NewReceiver(media.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	for range media.ReceiveBuffer / 256 { // twice as many as there is room for
		p.quick(filled(0x21))
	}
	next := yieldTo(t, rec, time.Time{}, discard{}, []int{0}, pcmu(0))
	p.quick(filled(0x22))
	a, b := closeRecording(t, rec).Streams[0], closeRecording(t, next).Streams[0]
	if a.KernelDrops == 0 || b.KernelDrops != 0 || b.Packets != 1 {
		t.Errorf("%d and %d datagrams dropped, %d packets came after", a.KernelDrops, b.KernelDrops, b.Packets)
	}
}
