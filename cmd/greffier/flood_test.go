package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec/siprectest"
)

const (
	floodRate   = 2000 // messages a second: what a flood must reach at least
	floodTime   = 11 * time.Second
	floodBurst  = 5 * time.Millisecond // how often some of them are sent
	floodMargin = 1.15                 // by how much more is aimed for, as the sender shares the processors
)

// A flood is a socket that sends without waiting for anybody.
type flood struct {
	conn     net.Conn
	answered atomic.Int64
	last     chan string // the newest answer, when nobody has taken one before
	done     chan struct{}
}

func newFlood(t *testing.T, from, to string) *flood {
	t.Helper()
	return newFloodOver(t, "udp", &net.UDPAddr{IP: net.ParseIP(from)}, to)
}

func newFloodOver(t *testing.T, network string, from net.Addr, to string) *flood {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: from}).Dial(network, to)
	if err != nil {
		t.Fatal(err)
	}
	f := &flood{conn: conn, last: make(chan string, 1), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			f.answered.Add(int64(bytes.Count(buf[:n], []byte("SIP/2.0 "))))
			select {
			case f.last <- string(buf[:n]):
			default:
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-f.done
	})
	return f
}

// run sends for a time and tells how many a second that were.
func (f *flood) run(t *testing.T, d time.Duration, message func(i int) []byte) (rate float64) {
	t.Helper()
	tick := time.NewTicker(floodBurst)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for time.Since(began) < d {
		<-tick.C
		for due := int(time.Since(began).Seconds() * floodRate * floodMargin); sent < due; sent++ {
			if _, err := f.conn.Write(message(sent)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return float64(sent) / time.Since(began).Seconds()
}

// ask sends one message and waits for its answer.
func (f *flood) ask(t *testing.T, message []byte) string {
	t.Helper()
	if _, err := f.conn.Write(message); err != nil {
		t.Fatal(err)
	}
	select {
	case answer := <-f.last:
		return answer
	case <-time.After(5 * time.Second):
		t.Fatalf("no answer to %q", message)
		return ""
	}
}

// inviteOf is an INVITE of nobody's: every one opens another session, if it is let.
func (f *flood) inviteOf(i int, extra, body string) []byte {
	local := f.conn.LocalAddr()
	return fmt.Appendf(nil, "INVITE sip:srs@%s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bKflood%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:f@%s>;tag=f%d\r\nTo: <sip:srs@%s>\r\nCall-ID: flood-%d@%s\r\nCSeq: 1 INVITE\r\nContact: <sip:f@%s>\r\n%s"+
		"Content-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
		f.conn.RemoteAddr(), strings.ToUpper(local.Network()), local, i, local, i, f.conn.RemoteAddr(), i, local, local, extra, len(body), body)
}

const floodOffer = "v=0\r\no=f 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=label:1\r\na=sendonly\r\nm=audio 9002 RTP/AVP 0\r\na=label:2\r\na=sendonly\r\n"

// noise is what every stream of a load says: it has no silence that could be suppressed, and costs next to nothing.
type noise []int16

func newNoise() noise {
	n := make(noise, 8000)
	x := uint32(1)
	for i := range n {
		x = x*1664525 + 1013904223
		n[i] = int16(x>>16) / 4
	}
	return n
}

// Read implements siprectest.Source.
func (n noise) Read(dst []int16, pos int64) int {
	k := copy(dst, n[pos%int64(len(n)):])
	copy(dst[k:], n)
	return len(dst)
}

// A crowd is a load of two-stream sessions that goes on in the background.
type crowd struct {
	report chan siprectest.LoadReport
	open   chan struct{} // closed when every session was opened
}

func newCrowd(t *testing.T, server string, calls int, rate float64, length time.Duration) *crowd {
	t.Helper()
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: server, Pacers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	sound := newNoise()
	c := &crowd{report: make(chan siprectest.LoadReport, 1), open: make(chan struct{})}
	opening := time.Duration(float64(calls) / rate * float64(time.Second))
	go func() {
		c.report <- src.Load(context.WithoutCancel(t.Context()), siprectest.LoadSpec{
			Calls: calls, Rate: rate, Duration: opening + length,
			Call: func(int) siprectest.CallSpec { return siprectest.TwoParty(sound, sound) },
		})
	}()
	go func() {
		<-time.After(opening + time.Second)
		close(c.open)
	}()
	return c
}

// unharmed checks that every session was recorded with every packet that was sent.
func (c *crowd) unharmed(t *testing.T, p *process, dir string, calls int) {
	t.Helper()
	report := <-c.report
	if report.Completed != calls {
		t.Fatalf("%d of %d calls completed; statuses %v, errors %v", report.Completed, calls, report.Statuses, report.Errors)
	}
	var counts map[string]float64
	eventually(t, "packets counted", 20*time.Second, func() bool {
		counts = packetCounts(t, p.url)
		return counts["accepted"] >= float64(report.Packets)
	})
	t.Logf("%d packets sent, late by %s at worst; counted %v; INVITE to 200 p99 %s", report.Packets, report.SendError, counts, report.SetupP99)
	for outcome, want := range map[string]float64{
		"accepted": float64(report.Packets), "lost": 0, "kernel_dropped": 0, "late": 0, "discarded": 0, "malformed": 0, "foreign": 0, "duplicate": 0,
	} {
		if counts[outcome] != want {
			t.Errorf("%.0f packets %s, want %.0f", counts[outcome], outcome, want)
		}
	}
	ours := map[string]bool{}
	for _, r := range report.Results {
		ours[r.CallID] = true
	}
	whole := 0
	for _, r := range list(t, dir) {
		if !ours[r.CallIDs[0]] {
			continue
		}
		whole++
		unspoiled(t, dir, r)
	}
	if whole != calls {
		t.Errorf("%d of %d calls are in the catalog", whole, calls)
	}
}

// unspoiled checks that nothing is missing of what was sent. On few processors the sender itself may begin, or hang up, late.
func unspoiled(t *testing.T, dir string, r listedRecording) {
	t.Helper()
	if r.Gaps.Count == 0 {
		return
	}
	for _, g := range sidecarOf(t, dir, r.ID).Gaps {
		if g.Cause != media.CauseNotStarted && g.Cause != media.CauseEnded {
			t.Errorf("%s: a gap in channel %d at %.0f ms of %.0f ms: %s", r.ID, g.Channel, g.StartMS, g.DurationMS, g.Cause)
		}
	}
}

// quietAddress is where servers of these tests listen: nothing that another test left behind sends there.
const quietAddress = "127.0.0.77"

// guarded starts a server that knows some sources only.
func guarded(t *testing.T, dir, sources string, more ...string) *process {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, configName), []byte("sip:\n  sources: "+sources+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return spawn(t, append([]string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://" + quietAddress + ":0,tcp://" + quietAddress + ":0",
		"--http-listen", "127.0.0.1:0", "--media-ports", "0-0", "--log-level", "error"}, more...)...)
}

// TestFloodOfStrangers has a stranger send 2,000 INVITEs a second and more while 400 sessions of two streams are recorded: not
// a packet of them is lost.
func TestFloodOfStrangers(t *testing.T) {
	const calls = 400
	dir := t.TempDir()
	p := guarded(t, dir, "[{name: sbc, addresses: [127.0.0.1]}]")
	c := newCrowd(t, p.sip, calls, 100, floodTime+2*time.Second)
	f := newFlood(t, "127.0.0.2", p.sip)
	<-c.open
	used := p.cpuTime(t)
	rate := f.run(t, floodTime, func(i int) []byte {
		switch i % 3 {
		case 0:
			return f.inviteOf(i, "", floodOffer)
		case 1:
			return f.inviteOf(i, "Content-Length: 70000\r\n", strings.Repeat("x", 1000))
		}
		return f.inviteOf(i, "From: <<<\r\n", "m=\r\n")
	})
	t.Logf("%.0f INVITEs a second for %s, %d answered; the server used %.0f %% of a processor meanwhile",
		rate, floodTime, f.answered.Load(), 100*(p.cpuTime(t)-used).Seconds()/floodTime.Seconds())
	if rate < floodRate {
		t.Errorf("the flood had %.0f a second, want %d", rate, floodRate)
	}
	c.unharmed(t, p, dir, calls)
	if rows := list(t, dir); len(rows) != calls {
		t.Errorf("%d recordings, want %d: a stranger opened one", len(rows), calls)
	}
	if n := metric(t, p.url, `greffier_sip_refused_total{status="403"}`); n < floodRate*floodTime.Seconds()/2 {
		t.Errorf("%.0f refusals are counted", n)
	}
}

// TestFloodOfAKnownSource has a source that runs wild send garbage, INVITEs that it never acknowledges, and messages that are too
// long, while another one's sessions are recorded. What it sends is answered as far as it can be, the server stays small, and the
// other source notices nothing.
func TestFloodOfAKnownSource(t *testing.T) {
	const (
		calls    = 40
		each     = 5 * time.Second
		mostMore = 300 << 20 // bytes that the server may grow by: half a minute of transactions at the rate that is let through
	)
	dir := t.TempDir()
	p := guarded(t, dir, "[{name: sbc, addresses: [127.0.0.1]}, {name: wild, addresses: [127.0.0.2], max_sessions: 10, max_rate: 100}]")
	c := newCrowd(t, p.sip, calls, 50, 4*each+3*time.Second)
	f := newFlood(t, "127.0.0.2", p.sip)
	stream := newFloodOver(t, "tcp", &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}, p.tcp)
	<-c.open
	before := p.resident(t)
	for _, x := range []struct {
		name    string
		by      *flood
		message func(i int) []byte
		answers int64 // at least
	}{
		{"garbage", f, func(i int) []byte { return fmt.Appendf(nil, "no SIP at all, number %d\r\n\r\n", i) }, 0},
		{"half open", f, func(i int) []byte { return f.inviteOf(i, "", floodOffer) }, 2000},
		{"as long as a datagram can be", f, func(i int) []byte { return f.inviteOf(i+1<<20, "", strings.Repeat("x", 60000)) }, 2000},
		{"half open over TCP", stream, func(i int) []byte { return stream.inviteOf(i, "", floodOffer) }, 2000},
	} {
		answered, used := x.by.answered.Load(), p.cpuTime(t)
		rate := x.by.run(t, each, x.message)
		got := x.by.answered.Load() - answered
		t.Logf("%s: %.0f a second, %d answers, %.0f %% of a processor, %d MiB", x.name, rate, got,
			100*(p.cpuTime(t)-used).Seconds()/each.Seconds(), p.resident(t)>>20)
		if rate < floodRate && x.name != "as long as a datagram can be" { // 120 MB a second are the sender's own limit
			t.Errorf("%s: %.0f a second, want %d", x.name, rate, floodRate)
		}
		if got < x.answers {
			t.Errorf("%s: %d answers, want %d at least", x.name, got, x.answers)
		}
	}
	if more := p.resident(t) - before; more > mostMore {
		t.Errorf("the server grew by %d MiB", more>>20)
	}
	for _, cause := range []string{"garbage", "source_rate", "source_sessions"} {
		cause := fmt.Sprintf("greffier_refused_causes_total{cause=%q}", cause)
		eventually(t, cause, 15*time.Second, func() bool { return metric(t, p.url, cause) > 0 })
	}
	c.unharmed(t, p, dir, calls)
}
