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
	network string         // "udp", "tcp" or "tls"
	addr    netip.AddrPort // as configured; after bind, as bound
	udp     *packetConn
	tcp     *streamListener // TLS too
	tls     *secureListener
}

func (e *endpoint) String() string { return e.network + "://" + e.addr.String() }

func parseListen(urls []string) ([]*endpoint, error) {
	if len(urls) == 0 {
		return nil, errors.New("there is nothing to listen on: give an address such as udp://127.0.0.1:5060")
	}
	var out []*endpoint
	for _, u := range urls {
		network, hostport, ok := strings.Cut(u, "://")
		if !ok || network != "udp" && network != "tcp" && network != "tls" {
			return nil, fmt.Errorf("listener %q is not udp://ADDRESS:PORT, tcp://ADDRESS:PORT or tls://ADDRESS:PORT", u)
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
	if network == "tls" {
		network = "tcp"
	}
	switch a := e.addr.Addr(); {
	case a.Is4():
		network += "4"
	case !a.IsUnspecified():
		network += "6"
	}
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: connKeepAlive, Interval: connKeepAlive, Count: 3,
	}}
	if e.network != "udp" {
		l, err := lc.Listen(ctx, network, e.addr.String())
		if err != nil {
			return err
		}
		e.tcp = &streamListener{Listener: l, server: s, open: map[*streamConn]struct{}{}}
		if e.network == "tls" {
			e.tls = newSecureListener(e.tcp)
		}
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
	if e.tls != nil {
		e.tls.cancel()
	}
}

// serve runs sipgo's read loop. When a datagram makes sipgo panic, the loop begins anew.
func (e *endpoint) serve(s *Server) error {
	if e.tcp != nil {
		err := e.serveStream(s)
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

func (e *endpoint) serveStream(s *Server) error {
	if e.tls == nil {
		return s.sip.ServeTCP(e.tcp)
	}
	var accepting sync.WaitGroup
	accepting.Go(e.tls.run)
	defer accepting.Wait()
	return s.sip.ServeTLS(e.tls)
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
		src, why := c.server.sources.find(from.Addr())
		if src != nil {
			ok, answer, port := c.server.screen.admit(b[:n], from, src)
			if ok {
				return n, net.UDPAddrFromAddrPort(from), nil
			}
			if answer != nil {
				_, _ = c.WriteToUDPAddrPort(answer, netip.AddrPortFrom(from.Addr(), port)) // lost like any datagram: it will ask again
			}
			continue
		}
		c.server.strangers.datagram(b[:n], from, c.UDPConn, why)
	}
}

// A streamListener accepts TCP connections of known sources and bounds them; under a secureListener, TLS connections.
type streamListener struct {
	net.Listener
	server  *Server
	closing atomic.Bool

	mu   sync.Mutex // protects open
	open map[*streamConn]struct{}
}

func (l *streamListener) Accept() (net.Conn, error) {
	for {
		c, from, err := l.accept()
		if err != nil {
			return nil, err
		}
		if src, why := l.server.sources.find(from.Addr()); src == nil {
			l.server.strangers.connection(c, why)
			continue
		}
		if sc := l.admit(&streamConn{Conn: c, from: from}); sc != nil {
			return sc, nil
		}
		_ = c.Close()
	}
}

// accept waits for the next connection of anybody.
func (l *streamListener) accept() (net.Conn, netip.AddrPort, error) {
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
			return nil, netip.AddrPort{}, err
		}
		return c, unmapped(c.RemoteAddr().(*net.TCPAddr).AddrPort()), nil
	}
}

// admit takes a connection among those that are open, or gives nil.
func (l *streamListener) admit(c *streamConn) *streamConn {
	c.listener, c.idle, c.frame.readable = l, connFirstRead, l.server.screen.reads
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Load() {
		return nil
	}
	if len(l.open) >= maxConns {
		l.server.log.Warn("connection refused: too many are open", zap.Stringer("source", c.from), zap.Int("max", maxConns))
		return nil
	}
	if c.src != nil && !l.server.secured.add(c) {
		l.server.log.Warn("TLS connection refused: this address and port have another one", zap.Stringer("source", c.from))
		return nil
	}
	l.open[c] = struct{}{}
	return c
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

// A streamConn is a TCP or TLS connection with deadlines. Only its reader touches idle and frame.
type streamConn struct {
	net.Conn
	from     netip.AddrPort
	inner    *hastyConn // below TLS
	src      *Source    // whose TLS connection it is
	listener *streamListener
	idle     time.Duration
	frame    framer
	broken   error       // why no more is read
	proven   atomic.Bool // the client knows its password
}

// Read gives what came. A connection may be silent for hours; a message that has begun may not.
func (c *streamConn) Read(b []byte) (int, error) {
	if c.broken != nil {
		return 0, c.lingered(b)
	}
	now := time.Now()
	until := now.Add(c.idle)
	began, unfinished := c.frame.unfinished()
	if unfinished {
		until = began.Add(c.listener.server.timing.message)
	}
	if err := c.SetReadDeadline(until); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.idle = connIdle
		if n, c.broken = c.frame.feed(b[:n], time.Now()); c.broken != nil {
			c.refuse(breachOf(c.broken))
			return n, nil // what came before is served, and answered before the connection closes
		}
	}
	var ne net.Error
	if unfinished && errors.As(err, &ne) && ne.Timeout() {
		c.refuse(breach{CauseUnfinished, unfinishReason, 0})
	}
	return n, err
}

// lingered drops what comes for a moment, so that the peer reads our answers: what is unread when a socket closes resets it.
func (c *streamConn) lingered(b []byte) error {
	if err := c.SetReadDeadline(time.Now().Add(c.listener.server.timing.linger)); err != nil {
		return err
	}
	for {
		if _, err := c.Conn.Read(b); err != nil {
			return c.broken
		}
	}
}

// refuse says what is wrong with the message, before the connection closes.
func (c *streamConn) refuse(b breach) {
	src := c.src
	if src == nil {
		src, _ = c.listener.server.sources.find(c.from.Addr())
	}
	if src == nil {
		return
	}
	if answer := c.listener.server.screen.broken(b, c.frame.head, c.from, src); answer != nil {
		_, _ = c.Write(answer) // the connection ends anyway
	}
}

func (c *streamConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(connWrite)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	if err != nil && c.inner != nil {
		_ = c.Close() // nothing can be written after half a record
	}
	return n, err
}

func (c *streamConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	if c.inner != nil {
		c.inner.closing.Store(true)
		c.listener.server.secured.remove(c)
	}
	return c.Conn.Close()
}

// A securedConns is every open TLS connection by its client's address and port, over all listeners: sipgo knows connections by
// that alone, and a second one with the same, to another of our ports, would speak in the name of the first.
type securedConns struct {
	mu    sync.Mutex // protects conns
	conns map[netip.AddrPort]*streamConn
}

func (s *securedConns) add(c *streamConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.from] != nil {
		return false
	}
	if s.conns == nil {
		s.conns = map[netip.AddrPort]*streamConn{}
	}
	s.conns[c.from] = c
	return true
}

func (s *securedConns) remove(c *streamConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.from] == c {
		delete(s.conns, c.from)
	}
}

// unmapped writes an IPv4 address that came through an IPv6 socket as what it is.
func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func isExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
