//go:build linux && !portable

package media

import (
	"fmt"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// defaultDrainInterval is how often every RTP socket is drained. Arrival times
// are the kernel's, so waiting in the kernel costs nothing in exactness. With
// the commit delay it is what a crash may cost: together less than a second.
const defaultDrainInterval = 480 * time.Millisecond

// kernelTime says that a datagram's arrival is known, however late it is read.
const kernelTime = true

const (
	// batchSize is the number of datagrams that one system call takes at most.
	// A G.711 stream of 50 packets/s brings 24 in a drain interval, and 640 ms
	// of it are less than the timeline holds.
	batchSize = 32
	// datagramSize is the longest datagram that is taken; 80 ms of 16 bit
	// samples at 8 kHz with a full RTP header fit. Longer ones are malformed.
	datagramSize = 4096
	// datagramStride is from one to the next: at a multiple of 4096 all would share the same few lines of a processor's cache.
	datagramStride = datagramSize + 192
	// controlSize is room for a timestamp and an overflow counter, each with
	// its header, on every architecture.
	controlSize = 64
)

// A mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// A batch is the memory into which datagrams are received: one system call's
// worth. It is made once and used for every socket of a receiver goroutine.
type batch struct {
	headers  [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // large enough for IPv4 too
	controls [batchSize][controlSize / 8]uint64
	data     [batchSize][datagramStride]byte
	used     int               // entries that the last receive wrote to
	written  [batchSize]uint32 // bytes of data that may be sound
	touched  int               // entries of which some are
	scratch  []byte            // lent to the timeline that is drained; as long as it was used
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.headers {
		h := &b.headers[i].header
		b.vectors[i].Base = &b.data[i][0]
		b.vectors[i].SetLen(datagramSize)
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		h.Control = (*byte)(unsafe.Pointer(&b.controls[i]))
	}
	b.used = batchSize
	b.reset()
	return b
}

// reset gives back to the kernel the lengths that it overwrote.
func (b *batch) reset() {
	b.touched = max(b.touched, b.used)
	for i := range b.headers[:b.used] {
		b.written[i] = max(b.written[i], b.headers[i].length)
		h := &b.headers[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
		h.Flags = 0
	}
	b.used = 0
}

// wipe leaves nothing of the datagrams that were received, nor of the blocks that were made of them.
func (b *batch) wipe() {
	b.reset()
	for i := range b.data[:b.touched] {
		clear(b.data[i][:min(b.written[i], datagramSize)])
		b.written[i] = 0
	}
	b.touched = 0
	clear(b.scratch)
	b.scratch = b.scratch[:0]
}

// A datagram is one entry of a batch. Its data are valid until the next receive.
type datagram struct {
	data      []byte
	source    netip.Addr // unmapped, without zone
	arrival   int64      // wall clock of the kernel, Unix nanoseconds; 0: unknown
	truncated bool       // longer than datagramSize
	drops     uint32     // datagrams that the kernel dropped on this socket before; 0: none or unknown
}

// datagram reads entry i of what the last receive brought.
func (b *batch) datagram(i int, d *datagram) {
	m := &b.headers[i]
	d.data = b.data[i][:min(m.length, datagramSize)]
	d.truncated = m.header.Flags&unix.MSG_TRUNC != 0
	name := &b.names[i]
	if name.Family == unix.AF_INET {
		d.source = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	} else {
		d.source = netip.AddrFrom16(name.Addr).Unmap()
	}
	// Most often there is one control message, the timestamp.
	c := (*stamp)(unsafe.Pointer(&b.controls[i]))
	if uintptr(m.header.Controllen) == unsafe.Sizeof(*c) && c.Type == unix.SCM_TIMESTAMPNS && c.Level == unix.SOL_SOCKET {
		d.arrival, d.drops = c.Nano(), 0
		return
	}
	d.arrival, d.drops = b.control(i)
}

// from gives the source of entry i with its port.
func (b *batch) from(i int) netip.AddrPort {
	name := &b.names[i]
	port := (*[2]byte)(unsafe.Pointer(&name.Port)) // in network order, at the same place in both families
	addr := netip.AddrFrom16(name.Addr).Unmap()
	if name.Family == unix.AF_INET {
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	}
	return netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1]))
}

// A stamp is a control message with a timestamp.
type stamp struct {
	unix.Cmsghdr
	unix.Timespec
}

// control reads the control messages of entry i.
func (b *batch) control(i int) (arrival int64, drops uint32) {
	const head = unix.SizeofCmsghdr
	base := unsafe.Pointer(&b.controls[i])
	left := min(int(b.headers[i].header.Controllen), controlSize)
	for at := 0; left-at >= head; {
		c := (*unix.Cmsghdr)(unsafe.Add(base, at))
		size := int(c.Len)
		if size < head || size > left-at {
			break
		}
		if c.Level == unix.SOL_SOCKET {
			body := unsafe.Add(base, at+head)
			switch {
			case c.Type == unix.SCM_TIMESTAMPNS && size >= int(unsafe.Sizeof(stamp{})):
				arrival = (*unix.Timespec)(body).Nano()
			case c.Type == unix.SO_RXQ_OVFL && size >= head+4:
				drops = *(*uint32)(body)
			}
		}
		at += unix.CmsgSpace(size - head)
	}
	return arrival, drops
}

// A socket is a bound UDP socket that is only ever asked, never waited for: it
// is not registered with the runtime's poller.
type socket struct {
	fd   int
	port int
	ipv6 bool
}

// openSocket binds a UDP socket; port 0 takes any free one. A buffer of 0 bytes
// leaves the system's default.
func openSocket(addr netip.Addr, port, buffer int) (*socket, error) {
	addr = addr.Unmap()
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd: fd, ipv6: addr.Is6()}
	if err := s.setUp(addr, port, buffer); err != nil {
		_ = unix.Close(fd) // nothing was received on it
		return nil, err
	}
	return s, nil
}

func (s *socket) setUp(addr netip.Addr, port, buffer int) error {
	if s.ipv6 && addr.IsUnspecified() {
		if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0); err != nil {
			return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_TIMESTAMPNS", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return os.NewSyscallError("setsockopt SO_RXQ_OVFL", err)
	}
	if err := s.setBuffer(buffer); err != nil {
		return err
	}
	if err := unix.Bind(s.fd, s.address(netip.AddrPortFrom(addr, uint16(port)))); err != nil {
		return os.NewSyscallError("bind", err)
	}
	name, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		s.port = name.Port
	case *unix.SockaddrInet6:
		s.port = name.Port
	default:
		return fmt.Errorf("getsockname: unexpected address %T", name)
	}
	return nil
}

// setBuffer asks for a receive buffer of that many bytes (the kernel doubles
// it, for its own overhead). Beyond net.core.rmem_max that takes CAP_NET_ADMIN;
// without it the kernel gives what it allows, which is not an error.
func (s *socket) setBuffer(bytes int) error {
	if bytes == 0 {
		return nil
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) == nil {
		return nil
	}
	return os.NewSyscallError("setsockopt SO_RCVBUF", unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes))
}

// receive takes what waits in the kernel, up to a batch, and never blocks.
// Fewer than batchSize means that no more waits.
func (s *socket) receive(b *batch) (int, error) {
	b.reset()
	// RawSyscall6: the call does not block, and handing the processor over to
	// the scheduler and back would cost as much as receiving a packet.
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd),
		uintptr(unsafe.Pointer(&b.headers)), batchSize, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		b.used = int(n)
		return int(n), nil
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("recvmmsg", errno)
}

// send sends one datagram if the kernel takes it at once.
func (s *socket) send(data []byte, to netip.AddrPort) error {
	return os.NewSyscallError("sendto", unix.Sendto(s.fd, data, unix.MSG_DONTWAIT, s.address(to)))
}

func (s *socket) address(a netip.AddrPort) unix.Sockaddr {
	if s.ipv6 {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	if !a.Addr().Unmap().Is4() {
		return &unix.SockaddrInet4{} // an IPv6 peer of an IPv4 socket: the kernel refuses port 0
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
}

// drops gives the number of datagrams that the kernel has dropped on this
// socket until now; false when the kernel does not say.
func (s *socket) drops() (uint32, bool) {
	const indexDrops = 8 // SK_MEMINFO_DROPS
	var info [indexDrops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[indexDrops], errno == 0 && size == uint32(unsafe.Sizeof(info))
}

func (s *socket) close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }
