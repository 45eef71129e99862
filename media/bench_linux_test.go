//go:build linux && !portable

package media_test

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greffier/greffier/media"
)

const (
	benchStreams = 200
	benchFrames  = 24 // per stream and iteration: one drain interval
	benchWarm    = 10 // iterations before: a stream's anchor is settled then
)

// BenchmarkDrain compares the processor time that one RTP packet costs, from
// the kernel to the sink, with two floors: a recvmmsg loop that only counts,
// and a goroutine for each socket. Each iteration sends 24 packets to each of
// 200 sockets in real time, 20 ms apart, outside the measurement. Greffier and
// the loop take turns within each iteration, so that the ratio holds on a
// machine that has other things to do.
//
//	go test -run '^$' -bench Drain -benchtime 25x ./media
func BenchmarkDrain(b *testing.B) {
	b.Run("drained", benchDrained)
	b.Run("goroutine-per-socket", benchGoroutines)
}

// readClock reads one of the system's clocks.
func readClock(b *testing.B, clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// A drained is a way to fetch what waits on sockets.
type drained struct {
	name  string
	ports []int
	fetch func()
	used  time.Duration
}

func benchDrained(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ways := []*drained{greffier(b), bare(b)}
	f := newFleet(b, append(ways[0].ports, ways[1].ports...))
	for i := range benchWarm + b.N {
		if i == benchWarm {
			b.ResetTimer()
		}
		f.send(b)
		for n := range ways {
			w := ways[(i+n)%len(ways)]
			begin := readClock(b, unix.CLOCK_THREAD_CPUTIME_ID)
			w.fetch()
			if i >= benchWarm {
				w.used += readClock(b, unix.CLOCK_THREAD_CPUTIME_ID) - begin
			}
		}
	}
	for _, w := range ways {
		report(b, w.name+"-µs/packet", w.used, len(w.ports))
	}
	b.ReportMetric(float64(ways[0].used)/float64(ways[1].used), "greffier/bare")
}

func report(b *testing.B, unit string, used time.Duration, streams int) {
	b.ReportMetric(used.Seconds()*1e6/float64(b.N*streams*benchFrames), unit)
	b.ReportMetric(0, "ns/op") // real time, by construction
}

// A fleet is one phone per port, all on one socket.
type fleet struct {
	phones []*phone
	next   time.Duration // of the monotonic clock: when the next frames are due
}

func newFleet(b *testing.B, ports []int) *fleet {
	f := new(fleet)
	source := newPhone(b, loopback, 1)
	for _, port := range ports {
		p := *source
		p.at, p.h.SSRC = netip.AddrPortFrom(loopback, uint16(port)), uint32(port)
		f.phones = append(f.phones, &p)
	}
	return f
}

// send sends the packets of one iteration, to the sender's own clock: a frame
// each 20 ms, however long the receiver took. It waits in the kernel, on its
// own thread, so that the runtime's timers are nobody's cost.
func (f *fleet) send(b *testing.B) {
	payload := filled(0x21)
	for range benchFrames {
		if f.next == 0 {
			f.next = readClock(b, unix.CLOCK_MONOTONIC)
		}
		f.next += frame
		until := unix.NsecToTimespec(int64(f.next))
		for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) == unix.EINTR {
			continue
		}
		for _, p := range f.phones {
			p.quick(payload)
		}
	}
}

func greffier(b *testing.B) *drained {
	r, err := media.NewReceiver(media.Config{}) // not running: the benchmark drains
	if err != nil {
		b.Fatal(err)
	}
	w := &drained{name: "greffier"}
	var recs []*media.Recording
	for range benchStreams / 2 {
		rec := openRecording(b, r, discard{}, pcmu(0), pcmu(1))
		b.Cleanup(func() { closeRecording(b, rec) })
		w.ports = append(w.ports, rec.Ports()...)
		recs = append(recs, rec)
	}
	d := media.NewDrainer()
	w.fetch = func() { d.Drain(recs...) }
	return w
}

func bare(b *testing.B) *drained {
	const size, batch = 2048, 64
	type header struct {
		h unix.Msghdr
		n uint32
	}
	headers, vectors, data := make([]header, batch), make([]unix.Iovec, batch), make([]byte, batch*size)
	for i := range headers {
		vectors[i].Base = &data[i*size]
		vectors[i].SetLen(size)
		headers[i].h.Iov = &vectors[i]
		headers[i].h.SetIovlen(1)
	}
	w := &drained{name: "bare"}
	var files []int
	for range benchStreams {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			b.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			b.Fatal(err)
		}
		files, w.ports = append(files, fd), append(w.ports, name.(*unix.SockaddrInet4).Port)
	}
	got := 0
	w.fetch = func() {
		for _, fd := range files {
			n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
			if errno == 0 {
				got += int(n)
			}
		}
	}
	b.Cleanup(func() {
		if want := (b.N + benchWarm) * benchStreams * benchFrames; got < want { // strays may come too
			b.Errorf("%d packets, want %d", got, want)
		}
	})
	return w
}

// benchGoroutines takes the process's time less that of the thread that sends.
func benchGoroutines(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	var got atomic.Int64
	var ports []int
	for range benchStreams {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		context.AfterFunc(ctx, func() { c.Close() })
		ports = append(ports, c.LocalAddr().(*net.UDPAddr).Port)
		running.Go(func() {
			buf := make([]byte, 2048)
			for {
				if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
					return
				}
				got.Add(1)
			}
		})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f := newFleet(b, ports)
	begin, sender := readClock(b, unix.CLOCK_PROCESS_CPUTIME_ID), readClock(b, unix.CLOCK_THREAD_CPUTIME_ID)
	b.ResetTimer()
	for i := range b.N {
		f.send(b)
		want := int64(i+1) * benchStreams * benchFrames
		eventually(b, "all packets are read", func() bool { return got.Load() >= want })
	}
	used := readClock(b, unix.CLOCK_PROCESS_CPUTIME_ID) - begin - (readClock(b, unix.CLOCK_THREAD_CPUTIME_ID) - sender)
	report(b, "µs/packet", used, len(ports))
	cancel()
	running.Wait()
}
