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
	benchFrames  = 10 // per stream and iteration: one drain interval
	benchWarm    = 10 // iterations before: a stream's anchor is settled then
)

// BenchmarkDrain compares the processor time that one RTP packet costs, from
// the kernel to the sink, with two floors: a recvmmsg loop that only counts,
// and a goroutine for each socket. Each iteration sends ten packets to each of
// 200 sockets in real time, 20 ms apart, outside the measurement.
//
//	go test -run '^$' -bench Drain -benchtime 25x ./media
func BenchmarkDrain(b *testing.B) {
	b.Run("greffier", benchGreffier)
	b.Run("bare-recvmmsg", benchBare)
	b.Run("goroutine-per-socket", benchGoroutines)
}

func cpu(b *testing.B, clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// measure runs the iterations. Packets come to the ports; then fetch is called,
// with the thread's own clock on it.
func measure(b *testing.B, ports []int, fetch func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f := newFleet(b, ports)
	for range benchWarm {
		f.send(b)
		fetch()
	}
	var used time.Duration
	b.ResetTimer()
	for range b.N {
		f.send(b)
		begin := cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)
		fetch()
		used += cpu(b, unix.CLOCK_THREAD_CPUTIME_ID) - begin
	}
	report(b, used, len(ports))
}

func report(b *testing.B, used time.Duration, streams int) {
	b.ReportMetric(used.Seconds()*1e6/float64(b.N*streams*benchFrames), "µs-cpu/packet")
	b.ReportMetric(0, "ns/op") // real time, by construction
}

// A fleet is one phone per port, all on one socket.
type fleet struct{ phones []*phone }

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

// send sends the packets of one iteration. It waits in the kernel, on its own
// thread, so that the runtime's timers are nobody's cost.
func (f *fleet) send(b *testing.B) {
	payload := filled(0x21)
	for range benchFrames {
		wait := unix.NsecToTimespec(int64(frame))
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &wait, nil); err != nil && err != unix.EINTR {
			b.Fatal(err)
		}
		for _, p := range f.phones {
			p.quick(payload)
		}
	}
}

func benchGreffier(b *testing.B) {
	r, err := media.NewReceiver(media.Config{}) // not running: the benchmark drains
	if err != nil {
		b.Fatal(err)
	}
	var ports []int
	var recs []*media.Recording
	for range benchStreams / 2 {
		rec := openRecording(b, r, discard{}, pcmu(0), pcmu(1))
		defer closeRecording(b, rec)
		ports = append(ports, rec.Ports()...)
		recs = append(recs, rec)
	}
	d := media.NewDrainer()
	measure(b, ports, func() {
		for _, rec := range recs {
			d.Drain(rec)
		}
	})
}

func benchBare(b *testing.B) {
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
	var ports, files []int
	for range benchStreams {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			b.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			b.Fatal(err)
		}
		files, ports = append(files, fd), append(ports, name.(*unix.SockaddrInet4).Port)
	}
	got := 0
	measure(b, ports, func() {
		for _, fd := range files {
			n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), batch, unix.MSG_DONTWAIT, 0, 0)
			if errno == 0 {
				got += int(n)
			}
		}
	})
	if want := (b.N + benchWarm) * benchStreams * benchFrames; got < want { // strays may come too
		b.Errorf("%d packets, want %d", got, want)
	}
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
	begin, sender := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID), cpu(b, unix.CLOCK_THREAD_CPUTIME_ID)
	b.ResetTimer()
	for i := range b.N {
		f.send(b)
		want := int64(i+1) * benchStreams * benchFrames
		eventually(b, "all packets are read", func() bool { return got.Load() >= want })
	}
	used := cpu(b, unix.CLOCK_PROCESS_CPUTIME_ID) - begin - (cpu(b, unix.CLOCK_THREAD_CPUTIME_ID) - sender)
	report(b, used, len(ports))
	cancel()
	running.Wait()
}
