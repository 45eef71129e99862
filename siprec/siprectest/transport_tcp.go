package siprectest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A tcpWire, for TCP or TLS, listens for connections of the SRS and keeps one connection to each address that it sends to.
// A connection that broke is opened again by the next request.
type tcpWire struct {
	listener *net.TCPListener
	secure   *tls.Config // nil: TCP
	f        onMessage
	bad      func(error)
	wg       sync.WaitGroup

	mu     sync.Mutex // protects fields below
	conns  map[netip.AddrPort]*tcpConn
	all    map[*tcpConn]struct{}
	closed bool
}

type tcpConn struct {
	net.Conn
	mu sync.Mutex // one message at a time
}

func (c *tcpConn) write(msg []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.Write(msg)
	return err
}

func listenTCP(local netip.AddrPort, secure *tls.Config, f onMessage, bad func(error)) (*tcpWire, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(local))
	if err != nil {
		return nil, fmt.Errorf("open the SIP socket: %w", err)
	}
	w := &tcpWire{listener: l, secure: secure, f: f, bad: bad, conns: map[netip.AddrPort]*tcpConn{}, all: map[*tcpConn]struct{}{}}
	w.wg.Go(w.accept)
	return w, nil
}

func (w *tcpWire) local() netip.AddrPort { return addrPort(w.listener.Addr()) }
func (w *tcpWire) reliable() bool        { return true }

func (w *tcpWire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return // closed
		}
		if w.secure != nil {
			if len(w.secure.Certificates) == 0 {
				c.Close()
				continue
			}
			c = tls.Server(c, w.secure)
		}
		if _, err := w.adopt(c, netip.AddrPort{}); err != nil {
			return
		}
	}
}

// adopt starts reading a connection; one that we opened is kept for sending to its address.
func (w *tcpWire) adopt(c net.Conn, to netip.AddrPort) (*tcpConn, error) {
	conn := &tcpConn{Conn: c}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.Close()
		return nil, ErrClosed
	}
	w.all[conn] = struct{}{}
	if to.IsValid() {
		w.conns[to] = conn
	}
	w.wg.Go(func() { w.read(conn, to) })
	return conn, nil
}

func (w *tcpWire) read(c *tcpConn, to netip.AddrPort) {
	defer w.forget(c, to)
	from := addrPort(c.RemoteAddr())
	stream := sip.NewParser().NewSIPStream()
	defer stream.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := stream.Write(buf[:n]); err != nil {
			return
		}
		for stream.Buffer().Len() > 0 {
			msg, _, err := stream.ParseNext()
			if errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				w.bad(err)
				return // there is no way to find the next message's start
			}
			w.f(msg, from, c.write)
		}
	}
}

func (w *tcpWire) forget(c *tcpConn, to netip.AddrPort) {
	c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, c)
	if w.conns[to] == c {
		delete(w.conns, to)
	}
}

func (w *tcpWire) send(ctx context.Context, to netip.AddrPort, msg []byte) error {
	w.mu.Lock()
	c := w.conns[to]
	w.mu.Unlock()
	if c == nil {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return fmt.Errorf("connect to %s: %w", to, err)
		}
		if w.secure != nil {
			sc := tls.Client(nc, w.secure)
			if err := sc.HandshakeContext(ctx); err != nil {
				nc.Close()
				return fmt.Errorf("connect to %s: %w", to, err)
			}
			nc = sc
		}
		if c, err = w.adopt(nc, to); err != nil {
			return err
		}
	}
	if err := c.write(msg); err != nil {
		w.forget(c, to)
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

func (w *tcpWire) close() error {
	w.mu.Lock()
	w.closed = true
	for c := range w.all {
		c.Close()
	}
	w.mu.Unlock()
	err := w.listener.Close()
	w.wg.Wait()
	return err
}
