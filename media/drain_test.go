package media_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

func TestArrivalSurvivesClockSteps(t *testing.T) {
	const from, until, hour = int64(1_000_000_000_000), int64(1_000_200_000_000), int64(time.Hour)
	for _, c := range []struct {
		name                string
		kernel, shift, want int64
	}{
		{"no timestamp", 0, 0, until},
		{"between the drains", from + 5, 0, from + 5},
		{"during the drain", until + 5, 0, until + 5},
		{"clocks differ", from + 5 + hour, -hour, from + 5},
		{"came before the clock was set forward", from + 5, -hour, from},
		{"came before the clock was set back", from + 5, hour, until},
	} {
		if got := media.ClipArrival(c.kernel, from, until, c.shift); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got-from, c.want-from)
		}
	}
}

func TestSteadyClock(t *testing.T) {
	base := time.Unix(1000, 0)
	at := media.SteadyClock(base, 5000)
	if got := at(base.Add(7)); got != 5007 {
		t.Errorf("at: %d, want 5007", got)
	}
	if got := at(base.Add(-7)); got != 4993 {
		t.Errorf("at: %d, want 4993", got)
	}
}

type discard struct{}

func (discard) Append(*media.Block) error { return nil }

// quick is send without an allocation.
func (p *phone) quick(payload []byte) {
	n, err := p.h.MarshalTo(p.buf)
	if err != nil {
		p.t.Error(err)
	}
	n += copy(p.buf[n:], payload)
	if _, err := p.conn.WriteToUDPAddrPort(p.buf[:n], p.at); err != nil {
		p.t.Error(err)
	}
	p.h.SequenceNumber++
	p.h.Timestamp += uint32(len(payload))
}

// Two hundred streams lose nothing, and the kernel says so too.
func TestManyStreams(t *testing.T) {
	const recordings, frames = 100, 150
	r, _ := startReceiver(t, media.Config{})
	var recs []*media.Recording
	var phones []*phone
	source := newPhone(t, loopback, 1) // one socket sends for all
	for range recordings {
		rec := openRecording(t, r, discard{}, pcmu(0), pcmu(1))
		recs = append(recs, rec)
		for _, port := range rec.Ports() {
			p := *source
			p.at, p.h.SSRC = netip.AddrPortFrom(loopback, uint16(port)), uint32(port)
			phones = append(phones, &p)
		}
	}
	payload := filled(0x21)
	pace(time.Now(), frames, func(int) {
		for _, p := range phones {
			p.quick(payload)
		}
	})
	if n := kernelDrops(t, recs); n != 0 {
		t.Errorf("the kernel dropped %d datagrams", n)
	}
	t.Logf("a drain was late by %v at most", r.Stats().MaxDelay)
	for _, rec := range recs {
		for i, s := range closeRecording(t, rec).Streams {
			if s.Placed != frames || s.Lost != 0 || s.KernelDrops != 0 {
				t.Errorf("stream %d: %+v; want %d placed", i, s, frames)
			}
		}
	}
	if s := r.Stats(); s.SocketErrors != 0 {
		t.Errorf("receiver: %+v", s)
	}
}

// While a stream's clock may still move, a crash would cost what is held back: it is drained at each turn.
func TestRestless(t *testing.T) {
	r, err := media.NewReceiver(media.Config{Receivers: 1})
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	payload := filled(0x21)
	sent := 0
	turn := func(later, want int) {
		t.Helper()
		p.quick(payload)
		sent++
		if rec.Turn(later); rec.Stats()[0].Packets != uint64(want) {
			t.Errorf("turn %d: %d packets of %d, want %d", later, rec.Stats()[0].Packets, sent, want)
		}
	}
	turn(1, 0)
	turn(0, 2)
	turn(1, 3)
	turn(2, 4)
	pace(time.Now(), 25, func(int) { p.quick(payload); sent++ }) // half a second: it is settled
	turn(0, sent+1)
	turn(1, sent)
	turn(2, sent-1)
	turn(0, sent+1)
	closeRecording(t, rec)
}

// Receivers are filled one after the other.
func TestFewReceiversWork(t *testing.T) {
	loads := make([]int, 3)
	for range 2*media.Fill + 10 {
		loads[media.NextWorker(loads)]++
	}
	if want := []int{media.Fill, media.Fill, 10}; !slices.Equal(loads, want) {
		t.Errorf("recordings %v, want %v", loads, want)
	}
	for range media.Fill + 20 {
		loads[media.NextWorker(loads)]++
	}
	if want := []int{media.Fill + 10, media.Fill + 10, media.Fill + 10}; !slices.Equal(loads, want) {
		t.Errorf("recordings %v, want %v", loads, want)
	}
}
