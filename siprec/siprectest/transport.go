package siprectest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// maxMessage is the largest SIP message that is read, in bytes; what is longer cannot come over UDP.
	maxMessage = 65535
	// socketBuffer is asked for each SIP socket, in bytes: answers to a burst of calls must not be dropped.
	socketBuffer = 4 << 20
	// writeTimeout bounds one write to a TCP connection whose other end does not read.
	writeTimeout = 5 * time.Second
)

// A wire sends and receives SIP messages over one transport.
type wire interface {
	// send writes one message to an address.
	send(ctx context.Context, to netip.AddrPort, msg []byte) error
	local() netip.AddrPort
	reliable() bool
	close() error
}

// A reply writes a message back the way that a request came.
type reply func(msg []byte) error

// onMessage takes a message from the wire; it must not block.
type onMessage func(msg sip.Message, from netip.AddrPort, back reply)

type udpWire struct {
	conn *net.UDPConn
	addr netip.AddrPort
}

func (w *udpWire) local() netip.AddrPort { return w.addr }
func (w *udpWire) reliable() bool        { return false }
func (w *udpWire) close() error          { return w.conn.Close() }

func (w *udpWire) send(_ context.Context, to netip.AddrPort, msg []byte) error {
	if _, err := w.conn.WriteToUDPAddrPort(msg, to); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// read hands every message to f until the socket is closed. Unreadable ones are given to bad.
func (w *udpWire) read(f onMessage, bad func(error)) {
	parser := sip.NewParser()
	buf := make([]byte, maxMessage)
	for {
		n, from, err := w.conn.ReadFromUDPAddrPort(buf)
		if isClosed(err) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier send: the transaction's timer decides
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		msg, err := parser.ParseSIP(append([]byte(nil), buf[:n]...))
		if err != nil {
			bad(err)
			continue
		}
		f(msg, from, func(b []byte) error { return w.send(context.Background(), from, b) })
	}
}

func listenUDP(local netip.AddrPort) (*udpWire, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(local))
	if err != nil {
		return nil, fmt.Errorf("open the SIP socket: %w", err)
	}
	// A smaller buffer than asked for is no error: it only makes retransmissions likelier.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	return &udpWire{conn: conn, addr: addrPort(conn.LocalAddr())}, nil
}

// addrPort is the address of a UDP or TCP socket, without the form that embeds IPv4 in IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
