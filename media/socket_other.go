//go:build !linux || portable

package media

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// defaultDrainInterval is how often every RTP socket is drained. Here a packet
// arrives when it is read, so it is read often.
const defaultDrainInterval = 20 * time.Millisecond

// kernelTime says that a datagram's arrival is known, however late it is read.
const kernelTime = false

const (
	// batchSize is the number of datagrams that one receive takes at most.
	batchSize = 32
	// datagramSize is the longest datagram that is taken. Longer ones are
	// malformed.
	datagramSize = 4096
	// pollWait is how long a read waits for a datagram that is not there: the
	// shortest deadline that lies in the future when the read begins.
	pollWait = 100 * time.Microsecond
)

// A batch is the memory into which datagrams are received.
type batch struct {
	entries [batchSize]datagram
	data    [batchSize][datagramSize + 1]byte // one more, to see what is too long
	written [batchSize]int                    // bytes of data that may be sound
	scratch []byte                            // lent to the timeline that is drained; as long as it was used
	sources [batchSize]netip.AddrPort
}

func newBatch() *batch { return new(batch) }

// wipe leaves nothing of the datagrams that were received, nor of the blocks that were made of them.
func (b *batch) wipe() {
	for i := range b.data {
		clear(b.data[i][:b.written[i]])
		b.written[i] = 0
	}
	clear(b.scratch)
	b.scratch = b.scratch[:0]
}

// A datagram is one entry of a batch. Its data are valid until the next receive.
type datagram struct {
	data      []byte
	source    netip.Addr // unmapped, without zone
	arrival   int64      // Unix nanoseconds; 0: unknown
	truncated bool       // longer than datagramSize
	drops     uint32     // not known here
}

// datagram reads entry i of what the last receive brought.
func (b *batch) datagram(i int, d *datagram) { *d = b.entries[i] }

// from gives the source of entry i with its port.
func (b *batch) from(i int) netip.AddrPort { return b.sources[i] }

// A socket is a bound UDP socket, by package net: no kernel timestamps, and a
// system call and a timer per datagram. It keeps other systems working.
type socket struct {
	connection *net.UDPConn
	port       int
}

// openSocket binds a UDP socket; port 0 takes any free one. A buffer of 0 bytes
// leaves the system's default.
func openSocket(addr netip.Addr, port, buffer int) (*socket, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), uint16(port))))
	if err != nil {
		return nil, err
	}
	s := &socket{connection: c, port: c.LocalAddr().(*net.UDPAddr).Port}
	if err := s.setBuffer(buffer); err != nil {
		_ = c.Close() // nothing was received on it
		return nil, err
	}
	return s, nil
}

// setBuffer asks for a receive buffer of that many bytes.
func (s *socket) setBuffer(bytes int) error {
	if bytes == 0 {
		return nil
	}
	return s.connection.SetReadBuffer(bytes)
}

// receive takes what waits, up to a batch. Fewer than batchSize means that no
// more waits.
func (s *socket) receive(b *batch) (int, error) {
	for i := range b.entries {
		// Each has its own: after the deadline what waits is not read either.
		if err := s.connection.SetReadDeadline(time.Now().Add(pollWait)); err != nil {
			return i, err
		}
		size, from, err := s.connection.ReadFromUDPAddrPort(b.data[i][:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return i, nil
		}
		if err != nil {
			return i, err
		}
		b.written[i] = max(b.written[i], size)
		b.sources[i] = netip.AddrPortFrom(from.Addr().WithZone("").Unmap(), from.Port())
		b.entries[i] = datagram{
			data:      b.data[i][:min(size, datagramSize)],
			source:    from.Addr().WithZone("").Unmap(),
			arrival:   time.Now().UnixNano(),
			truncated: size > datagramSize,
		}
	}
	return batchSize, nil
}

// send sends one datagram; it gives up rather than wait for room.
func (s *socket) send(data []byte, to netip.AddrPort) error {
	if err := s.connection.SetWriteDeadline(time.Now().Add(pollWait)); err != nil {
		return err
	}
	_, err := s.connection.WriteToUDPAddrPort(data, to)
	return err
}

// drops gives the number of datagrams that the kernel has dropped: not known here.
func (s *socket) drops() (uint32, bool) { return 0, false }

func (s *socket) close() error { return s.connection.Close() }
