package media_test

import (
	"net/netip"
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

// Neither a drain nor a packet allocates.
func TestDrainDoesNotAllocate(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // not running: the test drains
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0), pcmu(1))
	defer closeRecording(t, rec)
	drain := rec.DrainFunc()
	var phones []*phone
	for _, port := range rec.Ports() {
		phones = append(phones, newPhone(t, loopback, port))
	}
	payload := filled(0x21)
	packets := func(n int) func() {
		return func() {
			for range n {
				for _, p := range phones {
					p.quick(payload)
				}
			}
			drain()
		}
	}
	packets(60)() // what is kept for good is made now
	for _, c := range []struct {
		name string
		n    int
	}{{"nothing waits", 0}, {"a batch waits", 10}, {"more than a batch waits", 40}} {
		if got := testing.AllocsPerRun(20, packets(c.n)); got != 0 {
			t.Errorf("%s: %v allocations per drain", c.name, got)
		}
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

// A sender that floods one port loses packets, and nobody else does.
func TestFlood(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // not running: everything waits
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0), pcmu(1))
	flood, calm := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
	const sent = 6000
	payload := filled(0x21)
	for i := range sent {
		flood.quick(payload)
		if i%1000 == 0 {
			calm.quick(payload)
		}
	}
	drain := rec.DrainFunc()
	for range 3 {
		drain()
	}
	s := closeRecording(t, rec).Streams
	if got := s[0].Packets + s[0].KernelDrops; s[0].KernelDrops == 0 || got != sent {
		t.Errorf("flooded stream: %d packets and %d drops, want %d together", s[0].Packets, s[0].KernelDrops, sent)
	}
	if s[1].Packets != 6 || s[1].KernelDrops != 0 {
		t.Errorf("the other stream: %+v; want 6 packets", s[1])
	}
}
