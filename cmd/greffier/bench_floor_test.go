//go:build bench && linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// What the test binary can be as a process of its own, by the value of childEnv. Any other value is the program.
const (
	asDrain      = "bench-drain"      // the floor: recvmmsg, each socket every 200 ms
	asKnowing    = "bench-knowing"    // the floor that takes what a recorder must know, as often as the server does
	asGoroutines = "bench-goroutines" // the naive way: a goroutine for each socket
	asProfiled   = "bench-profiled"   // the program, with a profile between two SIGUSR1
)

func child(as string) {
	var err error
	switch as {
	case asDrain:
		err = runFloor(newDrainFloor(floorInterval))
	case asKnowing:
		d := newDrainFloor(knowingInterval)
		d.knows = true
		err = runFloor(d)
	case asGoroutines:
		err = runFloor(newGoroutineFloor())
	case asProfiled:
		go profileBetweenSignals(os.Getenv(profileEnv))
		main()
	default:
		main()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailed)
	}
	os.Exit(exitOK)
}

// profileEnv names the file of the profile.
const profileEnv = "GREFFIER_BENCH_PROFILE_FILE"

// profileBetweenSignals writes a CPU profile of what happens from one SIGUSR1 to the next, and of the heap at that time beside
// it. The file is there when it is whole.
func profileBetweenSignals(path string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	<-signals
	err := func() error {
		f, err := os.Create(path + ".part")
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		<-signals
		pprof.StopCPUProfile()
		heap, err := os.Create(path + ".heap")
		if err != nil {
			return errors.Join(err, f.Close())
		}
		runtime.GC() // what is in use as of the last collection is what the profile has
		return errors.Join(pprof.WriteHeapProfile(heap), heap.Close(), f.Close(), os.Rename(path+".part", path))
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
	}
}

// floorBuffer is the receive buffer of a floor's sockets, in bytes: that of the server's.
const floorBuffer = 512 << 10

// A floor receives RTP and only counts it.
type floor interface {
	open() (port int, shut func(), err error)
	run(ctx context.Context)
	packets() int64
}

// A floorSRS answers SIPREC sessions as the server does, so that the same sender sends the same traffic to a floor.
type floorSRS struct {
	floor

	mu   sync.Mutex // protects open
	shut map[siprec.DialogID][]func()
}

// Begin implements srs.Recorder.
func (f *floorSRS) Begin(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
	answer := siprec.Answer{Addr: in.Local}
	var shut []func()
	for _, m := range in.Offer.Media {
		port, close, err := f.open()
		if err != nil {
			for _, close := range shut {
				close()
			}
			return siprec.Answer{}, err
		}
		shut = append(shut, close)
		answer.Media = append(answer.Media, siprec.AnswerMedia{Port: port, Direction: siprec.RecvOnly, Formats: m.Formats[:1]})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shut[in.Dialog] = shut
	return answer, nil
}

// Update implements srs.Recorder.
func (f *floorSRS) Update(context.Context, siprec.DialogID, siprec.Change) (siprec.Answer, error) {
	return siprec.Answer{}, errors.New("a floor changes nothing")
}

// End implements srs.Recorder.
func (f *floorSRS) End(id siprec.DialogID, _ siprec.EndCause, _ time.Time) {
	f.mu.Lock()
	shut := f.shut[id]
	delete(f.shut, id)
	f.mu.Unlock()
	for _, close := range shut {
		close()
	}
}

// runFloor is the whole process of a floor. It says ready, and tells its count, as the server does.
func runFloor(f floor) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	sip, err := srs.New(srs.Config{Listen: []string{"udp://127.0.0.1:0"}}, &floorSRS{floor: f, shut: map[siprec.DialogID][]func(){}})
	if err != nil {
		return err
	}
	if err := sip.Listen(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, sip.Close())
	}
	metrics := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "greffier_rtp_packets_total{outcome=\"accepted\"} %d\n", f.packets())
	})}
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	running.Go(func() { metrics.Serve(listener) }) // ends by Close
	fmt.Fprintf(os.Stderr, "ready sip=%s http=http://%s\n", strings.Join(sip.Addrs(), ","), listener.Addr())
	err = errors.Join(sip.Serve(ctx), sip.Close(), metrics.Close())
	stop()
	running.Wait()
	return err
}

// A drainFloor asks every socket for what has come, every 200 ms. Nothing that receives in user space with system calls can
// cost much less: one call brings ten packets, of which it looks at nothing but their number.
type drainFloor struct {
	interval time.Duration
	knows    bool // it takes source addresses and arrival times

	names    [floorBatch]unix.RawSockaddrInet6
	controls [floorBatch][8]uint64

	count   atomic.Int64
	headers [floorBatch]floorHeader
	vectors [floorBatch]unix.Iovec
	data    [floorBatch][2048]byte

	mu    sync.Mutex // protects what follows, and the arrays above
	files []int
}

const (
	floorBatch    = 32
	floorInterval = 200 * time.Millisecond
	// knowingInterval is the server's.
	knowingInterval = 480 * time.Millisecond
)

type floorHeader struct {
	h unix.Msghdr
	_ uint32 // where the kernel writes the packet's length
}

func newDrainFloor(interval time.Duration) *drainFloor {
	d := &drainFloor{interval: interval}
	for i := range d.headers {
		d.vectors[i].Base = &d.data[i][0]
		d.vectors[i].SetLen(len(d.data[i]))
		d.headers[i].h.Iov = &d.vectors[i]
		d.headers[i].h.SetIovlen(1)
	}
	return d
}

func (d *drainFloor) packets() int64 { return d.count.Load() }

func (d *drainFloor) open() (int, func(), error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, floorBuffer) != nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, floorBuffer)
	}
	if d.knows {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	}
	err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		return 0, nil, errors.Join(err, unix.Close(fd))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, fd)
	return name.(*unix.SockaddrInet4).Port, func() { d.shut(fd) }, nil
}

func (d *drainFloor) shut(fd int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drain(fd)
	if i := slices.Index(d.files, fd); i >= 0 {
		d.files = slices.Delete(d.files, i, i+1)
	}
	unix.Close(fd)
}

func (d *drainFloor) drain(fd int) {
	for {
		if d.knows {
			for i := range d.headers {
				h := &d.headers[i].h
				h.Name, h.Namelen = (*byte)(unsafe.Pointer(&d.names[i])), unix.SizeofSockaddrInet6
				h.Control = (*byte)(unsafe.Pointer(&d.controls[i]))
				h.SetControllen(len(d.controls[i]) * 8)
			}
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.headers)), floorBatch, unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return
		}
		d.count.Add(int64(n))
		if n < floorBatch {
			return
		}
	}
}

func (d *drainFloor) run(ctx context.Context) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		d.mu.Lock()
		for _, fd := range d.files {
			d.drain(fd)
		}
		d.mu.Unlock()
	}
}

// A goroutineFloor is woken for each packet of each socket.
type goroutineFloor struct {
	count atomic.Int64
}

func newGoroutineFloor() *goroutineFloor { return new(goroutineFloor) }

func (g *goroutineFloor) packets() int64          { return g.count.Load() }
func (g *goroutineFloor) run(ctx context.Context) { <-ctx.Done() }

func (g *goroutineFloor) open() (int, func(), error) {
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		return 0, nil, err
	}
	if err := c.SetReadBuffer(floorBuffer); err != nil {
		return 0, nil, errors.Join(err, c.Close())
	}
	go func() { // ends as its socket is shut, or with the process
		buf := make([]byte, 2048)
		for {
			if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
				return
			}
			g.count.Add(1)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port, func() { c.Close() }, nil
}
