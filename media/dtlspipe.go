package media

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5/packetio"
)

// A pipe is a packet connection whose datagrams the drain brings, and whose answers go out by the socket.
type pipe struct {
	in     *packetio.Buffer
	socket *socket
	peer   netip.AddrPort
	muted  atomic.Bool // what would go out is dropped
}

// feed gives a datagram; what does not fit is lost, as it may be on any network.
func (p *pipe) feed(data []byte) { _, _ = p.in.Write(data, nil) }

// ReadFrom implements net.PacketConn.
func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := p.in.Read(b, nil)
	return n, net.UDPAddrFromAddrPort(p.peer), err
}

// WriteTo implements net.PacketConn. There is one peer.
func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	if p.muted.Load() {
		return len(b), nil
	}
	if err := p.socket.send(b, p.peer); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements net.PacketConn; the socket is not ours to close.
func (p *pipe) Close() error { return p.in.Close() }

// LocalAddr implements net.PacketConn.
func (p *pipe) LocalAddr() net.Addr { return &net.UDPAddr{Port: p.socket.port} }

// SetDeadline implements net.PacketConn.
func (p *pipe) SetDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (p *pipe) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: a write never waits.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
