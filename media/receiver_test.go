package media_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

func TestPacketsArePlaced(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 30, func(int) { p.send(filled(0x21)) })
	sum := closeRecording(t, rec)
	s := sum.Streams[0]
	if s.Packets != 30 || s.Placed != 30 || s.Lost != 0 || s.KernelDrops != 0 {
		t.Errorf("stream: %+v; want 30 packets placed", s)
	}
	if n := count(k, 0x21); n < 30*frameSize-16 || n > 30*frameSize+16 {
		t.Errorf("%d samples in the blocks; want about %d", n, 30*frameSize)
	}
	if since := time.Since(s.LastArrival); since < 0 || since > time.Second {
		t.Errorf("last arrival %v ago", since)
	}
}

func TestPlacedBeforeClose(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	p.send(filled(0x21))
	eventually(t, "blocks reach the sink while the recording is open", func() bool { return k.contains(0x21) })
	closeRecording(t, rec)
}

func TestIPv6(t *testing.T) {
	for _, c := range []struct{ name, bind, from, offered string }{
		{"loopback", "::1", "::1", "::1"},
		{"mapped", "::", "127.0.0.1", "127.0.0.1"},
		{"unspecified", "::", "::1", "::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{Addr: netip.MustParseAddr(c.bind)})
			s := pcmu(0)
			s.Addrs = []netip.Addr{netip.MustParseAddr(c.offered)}
			rec := openRecording(t, r, new(tape), s)
			p := newPhone(t, netip.MustParseAddr(c.from), rec.Ports()[0])
			p.to.IP = netip.MustParseAddr(c.from).AsSlice()
			p.send(filled(0x21))
			if s := closeRecording(t, rec).Streams[0]; s.Packets != 1 || s.Foreign != 0 {
				t.Errorf("stream: %+v; want one packet", s)
			}
		})
	}
}

func TestForeignAddress(t *testing.T) {
	for _, c := range []struct {
		name             string
		any              bool
		packets, foreign uint64
	}{
		{"offered only", false, 0, 5},
		{"any source", true, 5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := startReceiver(t, media.Config{})
			k := new(tape)
			s := pcmu(0)
			s.AnySource = c.any
			rec := openRecording(t, r, k, s)
			p := newPhone(t, stranger, rec.Ports()[0])
			for range 5 {
				p.send(filled(0x21))
			}
			got := closeRecording(t, rec).Streams[0]
			if got.Packets != c.packets || got.Foreign != c.foreign {
				t.Errorf("stream: %+v; want %d packets, %d foreign", got, c.packets, c.foreign)
			}
			if k.contains(0x21) != c.any {
				t.Errorf("audio kept: %v; want %v", !c.any, c.any)
			}
		})
	}
}

func TestSourcePortChanges(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	rec := openRecording(t, r, new(tape), pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	for range 5 {
		p.send(filled(0x21))
		p.moveTo(loopback)
	}
	if s := closeRecording(t, rec).Streams[0]; s.Packets != 5 || s.Foreign != 0 {
		t.Errorf("stream: %+v; want five packets", s)
	}
}

func TestMalformed(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	rec := openRecording(t, r, new(tape), pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	p.raw(nil)
	p.raw([]byte{0x80})
	p.raw(make([]byte, 60))                               // version 0
	p.raw([]byte("OPTIONS sip:probe SIP/2.0\r\n"))        // version 1
	p.raw(append([]byte{0x80, 0}, make([]byte, 6000)...)) // longer than any datagram we take
	p.send(filled(0x21))
	if s := closeRecording(t, rec).Streams[0]; s.Malformed != 5 || s.Packets != 1 {
		t.Errorf("stream: %+v; want 5 malformed, 1 packet", s)
	}
}

func TestPauseKeepsNothing(t *testing.T) {
	t.Parallel()
	const before, during, after = 0x21, 0x22, 0x23
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 60, func(i int) {
		switch i {
		case 20:
			if err := rec.SetPaused(true, media.CausePaused, time.Now()); err != nil {
				t.Error(err)
			}
		case 40:
			if err := rec.SetPaused(false, media.CausePaused, time.Now()); err != nil {
				t.Error(err)
			}
		}
		p.send(filled([]byte{before, during, after}[i/20]))
	})
	s := closeRecording(t, rec).Streams[0]
	if k.contains(during) {
		t.Error("a packet that came during the pause is in a block")
	}
	if s.Discarded != 20 || s.Placed < 39 || s.Placed > 40 { // the first after it was spoken in it
		t.Errorf("stream: %+v; want 20 discarded, 40 placed", s)
	}
	paused := int64(0)
	for _, b := range k.all() {
		for _, g := range b.Gaps {
			if g.Cause == media.CausePaused {
				paused += g.Samples
			}
		}
	}
	if paused < 20*frameSize-2*frameSize || paused > 20*frameSize+2*frameSize {
		t.Errorf("%d samples are said to be paused; want about %d", paused, 20*frameSize)
	}
}

func TestInactiveStreamIsDiscarded(t *testing.T) {
	t.Parallel()
	const held = 0x22
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0), pcmu(1))
	a, b := newPhone(t, loopback, rec.Ports()[0]), newPhone(t, loopback, rec.Ports()[1])
	hold := func(on bool) {
		s := pcmu(1)
		s.Active = !on
		if err := rec.Update([]media.Stream{pcmu(0), s}); err != nil {
			t.Error(err)
		}
	}
	pace(time.Now(), 60, func(i int) {
		mark := byte(0x21)
		switch {
		case i == 20:
			hold(true)
		case i == 40:
			hold(false)
		}
		if i >= 20 && i < 40 {
			mark = held
		}
		a.send(filled(0x31))
		b.send(filled(mark))
	})
	sum := closeRecording(t, rec)
	if k.contains(held) {
		t.Error("a packet that came on the inactive stream is in a block")
	}
	if s := sum.Streams[0]; s.Placed != 60 || s.Discarded != 0 {
		t.Errorf("active stream: %+v; want 60 placed", s)
	}
	if s := sum.Streams[1]; s.Placed < 39 || s.Placed > 40 || s.Discarded != 20 {
		t.Errorf("held stream: %+v; want 40 placed, 20 discarded", s)
	}
}

func TestUpdateAppendsStreams(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	first := rec.Ports()
	if err := rec.Update([]media.Stream{pcmu(0), pcmu(1), pcmu(2)}); err != nil {
		t.Fatal(err)
	}
	ports := rec.Ports()
	if len(ports) != 3 || ports[0] != first[0] {
		t.Fatalf("ports %v after %v", ports, first)
	}
	for _, port := range ports {
		p := newPhone(t, loopback, port)
		for range 3 {
			p.send(filled(0x21))
		}
	}
	sum := closeRecording(t, rec)
	for i, s := range sum.Streams {
		if s.Packets != 3 {
			t.Errorf("stream %d: %+v; want 3 packets", i, s)
		}
	}
	if sum.Channels != 3 {
		t.Errorf("%d channels; want 3", sum.Channels)
	}
}

func TestUpdateErrorsChangeNothing(t *testing.T) {
	const pairs = 2
	first := freeRange(t, pairs)
	r, _ := startReceiver(t, media.Config{PortMin: first, PortMax: first + 2*pairs - 1})
	rec := openRecording(t, r, new(tape), pcmu(0))
	for _, c := range []struct {
		name    string
		streams []media.Stream
		want    string
	}{
		{"fewer", nil, "a removed stream stays in its place"},
		{"channel moves", []media.Stream{pcmu(1)}, "a channel stays with its stream"},
		{"channel out of range", []media.Stream{pcmu(0), pcmu(99)}, "channel 99"},
		{"ports run out", []media.Stream{pcmu(0), pcmu(1), pcmu(2)}, media.ErrNoPorts.Error()},
	} {
		if err := rec.Update(c.streams); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
		if n := len(rec.Ports()); n != 1 {
			t.Errorf("%s: %d ports; want 1", c.name, n)
		}
	}
	p := newPhone(t, loopback, rec.Ports()[0])
	p.send(filled(0x21))
	if err := rec.Update([]media.Stream{pcmu(0), pcmu(1)}); err != nil {
		t.Errorf("the pair that the failed update took is not free: %v", err)
	}
	if s := closeRecording(t, rec).Streams[0]; s.Packets != 1 {
		t.Errorf("stream: %+v; want one packet", s)
	}
}

func TestOpenErrors(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	for _, c := range []struct {
		name string
		open media.Open
		want string
	}{
		{"no channels", media.Open{Sink: new(tape)}, "0 channels"},
		{"too many channels", media.Open{Sink: new(tape), Channels: media.MaxChannels + 1}, "channels: want"},
		{"no sink", media.Open{Channels: 1}, "no sink"},
		{"negative channel", media.Open{Channels: 1, Sink: new(tape), Streams: []media.Stream{pcmu(-1)}}, "channel -1"},
	} {
		if _, err := r.Open(c.open); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  media.Config
		want string
	}{
		{"reversed", media.Config{PortMin: 20000, PortMax: 10000}, "want a range"},
		{"only one", media.Config{PortMin: 20000}, "want a range"},
		{"too high", media.Config{PortMin: 65534, PortMax: 65536}, "want a range"},
		{"no room for a pair", media.Config{PortMin: 20001, PortMax: 20002}, "do not fit"},
		{"too often", media.Config{DrainInterval: time.Microsecond}, "drain interval"},
		{"too seldom", media.Config{DrainInterval: time.Minute}, "drain interval"},
		{"negative", media.Config{Receivers: -1}, "receivers"},
	} {
		if _, err := media.NewReceiver(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v; want %q", c.name, err, c.want)
		}
	}
}

func TestOpenBeforeRun(t *testing.T) {
	r, err := media.NewReceiver(media.Config{})
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, new(tape), pcmu(0))
	newPhone(t, loopback, rec.Ports()[0]).send(filled(0x21))
	if err := rec.Update([]media.Stream{pcmu(0), pcmu(1)}); err != nil {
		t.Error(err)
	}
	if err := rec.SetPaused(true, media.CausePaused, time.Now()); err != nil {
		t.Error(err)
	}
	if s := closeRecording(t, rec).Streams[0]; s.Packets != 1 {
		t.Errorf("stream: %+v; want one packet", s)
	}
}

func TestRunEndClosesRecordings(t *testing.T) {
	r, stop := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	pace(time.Now(), 10, func(int) { p.send(filled(0x21)) })
	stop()
	if n := count(k, 0x21); n != 10*frameSize {
		t.Errorf("%d samples with the sink when Run has ended; want %d", n, 10*frameSize)
	}
	if n := r.Stats().Recordings; n != 0 {
		t.Errorf("%d recordings open; want none", n)
	}
	if err := rec.Update([]media.Stream{pcmu(0)}); !errors.Is(err, media.ErrClosed) {
		t.Errorf("Update: %v; want ErrClosed", err)
	}
	if err := rec.SetPaused(true, media.CausePaused, time.Now()); !errors.Is(err, media.ErrClosed) {
		t.Errorf("SetPaused: %v; want ErrClosed", err)
	}
	if _, err := r.Open(media.Open{Channels: 1, Sink: k, Streams: []media.Stream{pcmu(0)}}); !errors.Is(err, media.ErrClosed) {
		t.Errorf("Open: %v; want ErrClosed", err)
	}
	sum := closeRecording(t, rec)
	if s := sum.Streams[0]; s.Packets != 10 {
		t.Errorf("Close again: stream %+v; want the summary", s)
	}
	if err := r.Run(t.Context()); err == nil {
		t.Error("Run runs a second time")
	}
}

// A broken sink is any code that panics in a receiver goroutine.
type brokenSink struct{}

func (brokenSink) Append(*media.Block) error { panic("broken") }

func TestPanicEndsOneRecordingOnly(t *testing.T) {
	r, _ := startReceiver(t, media.Config{Receivers: 1})
	broken := openRecording(t, r, brokenSink{}, pcmu(0))
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	newPhone(t, loopback, broken.Ports()[0]).send(filled(0x21))
	eventually(t, "the broken recording says so", func() bool { return broken.SetPaused(false, "", time.Now()) != nil })
	p := newPhone(t, loopback, rec.Ports()[0])
	p.send(filled(0x21))
	eventually(t, "the other recording goes on", func() bool { return k.contains(0x21) })
	if _, err := broken.Close(time.Now()); err == nil || !strings.Contains(err.Error(), "panic") {
		t.Errorf("Close of the broken recording: %v; want the panic", err)
	}
	closeRecording(t, rec)
}

// count is how many bytes of that value the blocks hold.
func count(k *tape, c byte) (n int) {
	for _, b := range k.all() {
		for _, x := range b.Data {
			if x == c {
				n++
			}
		}
	}
	return n
}

// Commands of many goroutines, drains and the end of Run meet.
func TestConcurrentCommands(t *testing.T) {
	r, stop := startReceiver(t, media.Config{DrainInterval: time.Millisecond})
	var running sync.WaitGroup
	var recs []*media.Recording
	for range 4 {
		rec := openRecording(t, r, new(tape), pcmu(0), pcmu(1))
		recs = append(recs, rec)
		p := newPhone(t, loopback, rec.Ports()[0])
		running.Go(func() {
			for range 200 {
				p.send(filled(0x21))
			}
		})
		running.Go(func() {
			for i := range 50 {
				held := pcmu(1)
				held.Active = i%2 == 0
				if err := rec.Update([]media.Stream{pcmu(0), held}); err != nil {
					t.Error(err)
				}
				if err := rec.SetPaused(i%2 == 0, media.CausePaused, time.Time{}); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			for range 200 {
				if n := len(rec.Stats()); n != 2 {
					t.Errorf("%d streams", n)
				}
				r.Stats()
			}
		})
	}
	running.Wait()
	for _, rec := range recs {
		running.Go(func() {
			if s, err := rec.Close(time.Now()); err != nil || len(s.Streams) != 2 {
				t.Errorf("Close: %+v, %v", s, err)
			}
		})
	}
	stop()
	running.Wait()
}
