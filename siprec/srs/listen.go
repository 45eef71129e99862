package srs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// An endpoint is one listener. sipgo is given wrappers of its sockets, which let only known sources through: for each
// address that sipgo hears from it keeps an entry that is never freed.
type endpoint struct {
	network string         // "udp" or "tcp"
	addr    netip.AddrPort // as configured; after bind, as bound
	udp     *packetConn
	tcp     *streamListener
}

func (e *endpoint) String() string { return e.network + "://" + e.addr.String() }

func parseListen(urls []string) ([]*endpoint, error) {
	if len(urls) == 0 {
		return nil, errors.New("there is nothing to listen on: give an address such as udp://127.0.0.1:5060")
	}
	var out []*endpoint
	for _, u := range urls {
		network, hostport, ok := strings.Cut(u, "://")
		if !ok || network != "udp" && network != "tcp" {
			return nil, fmt.Errorf("listener %q is not udp://ADDRESS:PORT or tcp://ADDRESS:PORT", u)
		}
		addr, err := netip.ParseAddrPort(hostport)
		if err != nil {
			return nil, fmt.Errorf("listener %q: %w: write an IP address and a port, such as 192.0.2.1:5060 or [::]:5060", u, err)
		}
		out = append(out, &endpoint{network: network, addr: addr})
	}
	return out, nil
}

// bind opens the socket. An unspecified IPv6 address takes IPv4 too.
func (e *endpoint) bind(ctx context.Context, s *Server) error {
	network := e.network
	switch a := e.addr.Addr(); {
	case a.Is4():
		network += "4"
	case !a.IsUnspecified():
		network += "6"
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: connKeepAlive, Interval: connKeepAlive, Count: 3,
	}}
	if e.network == "tcp" {
		l, err := lc.Listen(ctx, network, e.addr.String())
		if err != nil {
			return err
		}
		e.tcp = &streamListener{Listener: l, server: s, open: map[*streamConn]struct{}{}}
		e.addr = l.Addr().(*net.TCPAddr).AddrPort()
		return nil
	}
	pc, err := lc.ListenPacket(ctx, network, e.addr.String())
	if err != nil {
		return err
	}
	udp := pc.(*net.UDPConn)
	if err := udp.SetReadBuffer(udpReadBuffer); err != nil {
		s.log.Debug("UDP read buffer not raised", zap.Error(err))
	}
	e.udp = &packetConn{UDPConn: udp, server: s}
	e.addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return nil
}

func (e *endpoint) close() {
	if e.udp != nil {
		e.udp.closing.Store(true)
		_ = e.udp.Close() // twice is harmless
	}
	if e.tcp != nil {
		e.tcp.closing.Store(true)
		_ = e.tcp.Close()
		e.tcp.closeConns()
	}
}

// serve runs sipgo's read loop. When a datagram makes sipgo panic, the loop begins anew.
func (e *endpoint) serve(s *Server) error {
	if e.tcp != nil {
		err := s.sip.ServeTCP(e.tcp)
		if e.tcp.closing.Load() {
			return nil
		}
		return err
	}
	for {
		err := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					s.log.Error("panic while reading a datagram", zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
				}
			}()
			return s.sip.ServeUDP(e.udp)
		}()
		if e.udp.closing.Load() {
			return nil
		}
		if err != nil {
			return err
		}
		if err := e.udp.failure.Load(); err != nil {
			return *err
		}
	}
}

// A packetConn is a UDP socket that gives only what known sources sent.
type packetConn struct {
	*net.UDPConn
	server  *Server
	closing atomic.Bool
	failure atomic.Pointer[error] // why reading ended
}

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			if !c.closing.Load() {
				c.failure.Store(&err)
			}
			return n, nil, err
		}
		from = unmapped(from)
		if c.server.sources.find(from.Addr()) != nil {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
		c.server.strangers.datagram(b[:n], from, c.UDPConn)
	}
}

// A streamListener accepts TCP connections of known sources and bounds them.
type streamListener struct {
	net.Listener
	server  *Server
	closing atomic.Bool

	mu   sync.Mutex // protects open
	open map[*streamConn]struct{}
}

func (l *streamListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || isExhausted(err) {
				select { // out of file descriptors: it will pass
				case <-time.After(100 * time.Millisecond):
					continue
				case <-l.server.stopping:
				}
			}
			return nil, err
		}
		from := unmapped(c.RemoteAddr().(*net.TCPAddr).AddrPort())
		if l.server.sources.find(from.Addr()) == nil {
			l.server.strangers.connection(c)
			continue
		}
		if sc := l.admit(c); sc != nil {
			return sc, nil
		}
		l.server.log.Warn("TCP connection refused: too many are open", zap.Stringer("source", from), zap.Int("max", maxConns))
		_ = c.Close()
	}
}

func (l *streamListener) admit(c net.Conn) *streamConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConns || l.closing.Load() {
		return nil
	}
	sc := &streamConn{Conn: c, listener: l, idle: connFirstRead}
	l.open[sc] = struct{}{}
	return sc
}

func (l *streamListener) closeConns() {
	l.mu.Lock()
	conns := make([]*streamConn, 0, len(l.open))
	for c := range l.open {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// A streamConn is a TCP connection with deadlines. Only its reader touches idle.
type streamConn struct {
	net.Conn
	listener *streamListener
	idle     time.Duration
}

func (c *streamConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.idle = connIdle
	}
	return n, err
}

func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(connWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *streamConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// unmapped writes an IPv4 address that came through an IPv6 socket as what it is.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
