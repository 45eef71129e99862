//go:build linux && !portable

package media_test

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
)

// kernelDrops is what /proc/net/udp says of the recordings' RTP sockets.
func kernelDrops(t *testing.T, recs []*media.Recording) (sum int) {
	t.Helper()
	ours := map[int]bool{}
	for _, rec := range recs {
		for _, port := range rec.Ports() {
			ours[port] = true
		}
	}
	drops := map[int]int{}
	for range 50 { // the kernel may leave sockets out while others come and go
		table, err := os.ReadFile("/proc/net/udp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			_, port, _ := strings.Cut(fields[1], ":")
			n, err := strconv.ParseInt(port, 16, 32)
			if err != nil || !ours[int(n)] {
				continue // the heading, or somebody else's
			}
			if drops[int(n)], err = strconv.Atoi(fields[len(fields)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if len(drops) == len(ours) {
			break
		}
	}
	if len(drops) != len(ours) {
		t.Errorf("/proc/net/udp has %d of our %d sockets", len(drops), len(ours))
	}
	for _, n := range drops {
		sum += n
	}
	return sum
}

func TestReceiveBuffer(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	rec := openRecording(t, r, discard{}, pcmu(0))
	n, err := rec.BufferSize(0)
	if err != nil {
		t.Fatal(err)
	}
	// Without CAP_NET_ADMIN the kernel may give less: then 5 s of packets are
	// what matters.
	const packets, overhead = 5 * 50, 768
	if n < min(2*media.ReceiveBuffer, packets*overhead) {
		t.Errorf("receive buffer of %d bytes; %d packets do not fit", n, packets)
	}
	t.Logf("receive buffer: %d bytes", n)
}

// An ICMP error on a socket is counted, and the socket goes on.
func TestSocketErrorsAreCounted(t *testing.T) {
	r, _ := startReceiver(t, media.Config{})
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	gone := listen(t)
	peer := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	if err := rec.SocketError(0, peer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the error is counted", func() bool { return r.Stats().SocketErrors > 0 })
	back, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(peer))
	if err != nil {
		t.Fatal(err)
	}
	p := newPhone(t, loopback, rec.Ports()[0])
	p.conn.Close()
	p.conn = back
	p.send(filled(0x21))
	eventually(t, "the socket goes on", func() bool { return k.contains(0x21) })
	closeRecording(t, rec)
}

// Neither a drain nor a packet allocates.
func TestDrainDoesNotAllocate(t *testing.T) {
	r, err := media.NewReceiver(media.Config{}) // not running: the test drains
	if err != nil {
		t.Fatal(err)
	}
	rec := openRecording(t, r, discard{}, pcmu(0), pcmu(1))
	defer closeRecording(t, rec)
	d := media.NewDrainer()
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
			d.Drain(rec)
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
	d := media.NewDrainer()
	for range 3 {
		d.Drain(rec)
	}
	s := closeRecording(t, rec).Streams
	if got := s[0].Packets + s[0].KernelDrops; s[0].KernelDrops == 0 || got != sent {
		t.Errorf("flooded stream: %d packets and %d drops, want %d together", s[0].Packets, s[0].KernelDrops, sent)
	}
	if s[1].Packets != 6 || s[1].KernelDrops != 0 {
		t.Errorf("the other stream: %+v; want 6 packets", s[1])
	}
}

// The pause was ordered a moment before the command reaches us, and a drain
// came between.
func TestPauseInThePast(t *testing.T) {
	const before, during = 0x21, 0x22
	r, err := media.NewReceiver(media.Config{}) // not running: the test drains
	if err != nil {
		t.Fatal(err)
	}
	k := new(tape)
	rec := openRecording(t, r, k, pcmu(0))
	p := newPhone(t, loopback, rec.Ports()[0])
	var at time.Time
	pace(time.Now(), 20, func(i int) {
		mark := byte(before)
		if i >= 15 {
			mark = during
		}
		if i == 15 {
			at = time.Now()
		}
		p.send(filled(mark))
	})
	media.NewDrainer().Drain(rec)
	if err := rec.SetPaused(true, media.CausePaused, at); err != nil {
		t.Fatal(err)
	}
	closeRecording(t, rec)
	if k.contains(during) {
		t.Errorf("%d samples that came during the pause are in the blocks", count(k, during))
	}
	if n := count(k, before); n < 14*frameSize {
		t.Errorf("%d samples from before the pause; want %d", n, 15*frameSize)
	}
}
