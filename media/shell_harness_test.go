package media_test

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
)

const (
	frame     = 20 * time.Millisecond
	frameSize = 160 // samples in it
)

var (
	loopback = netip.MustParseAddr("127.0.0.1")
	stranger = netip.MustParseAddr("127.0.0.2")
)

// startReceiver runs a receiver until the test ends, or stop is called.
func startReceiver(t testing.TB, cfg media.Config) (r *media.Receiver, stop func()) {
	t.Helper()
	r, err := media.NewReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return r, stop
}

// A tape is a sink that keeps everything.
type tape struct {
	mu     sync.Mutex
	blocks []media.Block
}

func (k *tape) Append(b *media.Block) error {
	c := *b
	c.Data, c.Gaps = slices.Clone(b.Data), slices.Clone(b.Gaps)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.blocks = append(k.blocks, c)
	return nil
}

func (k *tape) all() []media.Block {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.blocks)
}

// contains tells whether any block holds a byte of the set.
func (k *tape) contains(set ...byte) bool {
	return slices.ContainsFunc(k.all(), func(b media.Block) bool {
		return slices.ContainsFunc(set, func(c byte) bool { return bytes.IndexByte(b.Data, c) >= 0 })
	})
}

// pcmu is a stream from loopback on a channel.
func pcmu(channel int) media.Stream {
	return media.Stream{
		Channel: channel,
		Addrs:   []netip.Addr{loopback},
		Formats: []media.Format{{Codec: codec.Codec{Name: "PCMU", ClockRate: 8000, Rate: 8000, Law: codec.PCMU}}},
		Active:  true,
	}
}

func openRecording(t testing.TB, r *media.Receiver, sink media.Sink, streams ...media.Stream) *media.Recording {
	t.Helper()
	channels := 1
	for _, s := range streams {
		channels = max(channels, s.Channel+1)
	}
	rec, err := r.Open(media.Open{Start: time.Now(), Channels: channels, Streams: streams, Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func closeRecording(t testing.TB, rec *media.Recording) media.Summary {
	t.Helper()
	s, err := rec.Close(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A phone sends one RTP stream.
type phone struct {
	t    testing.TB
	conn *net.UDPConn
	to   *net.UDPAddr
	at   netip.AddrPort // the same
	h    rtp.Header
	buf  []byte
}

// newPhone makes a phone at addr that sends to a loopback port.
func newPhone(t testing.TB, addr netip.Addr, port int) *phone {
	t.Helper()
	p := &phone{t: t, h: rtp.Header{Version: 2, SSRC: 0x1000 + uint32(port), SequenceNumber: 65530, Timestamp: 4294967000}, buf: make([]byte, 1500)}
	p.at = netip.AddrPortFrom(loopback, uint16(port))
	p.to = net.UDPAddrFromAddrPort(p.at)
	p.moveTo(addr)
	return p
}

// moveTo goes on from a new port of addr.
func (p *phone) moveTo(addr netip.Addr) {
	p.t.Helper()
	if p.conn != nil {
		p.conn.Close()
	}
	var err error
	p.conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.conn.Close() })
}

// raw sends a datagram. On loopback it is with the receiver's socket when raw
// returns.
func (p *phone) raw(data []byte) {
	if _, err := p.conn.WriteToUDP(data, p.to); err != nil {
		p.t.Error(err)
	}
}

// send sends one frame of payload.
func (p *phone) send(payload []byte) {
	n, err := p.h.MarshalTo(p.buf)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.raw(append(p.buf[:n], payload...))
	p.h.SequenceNumber++
	p.h.Timestamp += uint32(len(payload))
}

// filled is a frame of one byte value.
func filled(c byte) []byte { return bytes.Repeat([]byte{c}, frameSize) }

// pace calls each at the end of every frame of n, in real time: frame i ends at
// begin + (i+1)*20 ms. What is overdue is called at once.
func pace(begin time.Time, n int, each func(i int)) {
	ticker := time.NewTicker(frame / 10)
	defer ticker.Stop()
	for i := 0; i < n; {
		<-ticker.C
		for ; i < n && time.Since(begin) >= time.Duration(i+1)*frame; i++ {
			each(i)
		}
	}
}

// eventually waits for what the kernel or another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(15 * time.Second)
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("still not so after 15 s: %s", what)
		}
	}
}
