package srs

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A secureListener is a TLS listener. Handshakes are made here, before sipgo hears of a connection: who is not identified gets
// the doorman, and what is no TLS costs a goroutine for a moment.
type secureListener struct {
	*streamListener
	known     turnstile // handshakes with addresses of sources
	strangers turnstile // with others: a certificate may still name a source
	ready     chan *streamConn
	base      context.Context // what handshakes run under
	cancel    context.CancelFunc
	greeting  sync.WaitGroup
	failed    chan struct{} // closed when no more connections are accepted
	err       error         // why, set before
}

func newSecureListener(l *streamListener) *secureListener {
	s := &secureListener{
		streamListener: l, ready: make(chan *streamConn), failed: make(chan struct{}),
		known:     turnstile{most: maxHandshakes, mostPer: maxHandshakes},
		strangers: turnstile{most: maxStrangerHandshakes, mostPer: maxStrangerHandshakesPer, limited: true},
	}
	s.strangers.bucket = bucket{rate: strangerHandshakeRate, size: strangerHandshakeBurst, tokens: strangerHandshakeBurst}
	s.base, s.cancel = context.WithCancel(context.Background())
	return s
}

// Accept gives sipgo the next connection whose client is identified.
func (l *secureListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.failed:
		return nil, l.err
	}
}

// run accepts until the listener closes, and returns when every handshake has ended.
func (l *secureListener) run() {
	defer l.greeting.Wait()
	defer l.cancel()
	defer close(l.failed)
	for {
		c, from, err := l.accept()
		if err != nil {
			l.err = err
			return
		}
		way := &l.strangers
		if l.server.sources.lists(from.Addr()) {
			way = &l.known
		}
		leave, ok := way.enter(from.Addr(), time.Now())
		if !ok {
			l.server.strangers.drop()
			_ = c.Close()
			continue
		}
		l.greeting.Go(func() {
			defer leave()
			l.greet(c.(*net.TCPConn), from)
		})
	}
}

// greet makes the handshake and finds out whose connection it is.
func (l *secureListener) greet(raw *net.TCPConn, from netip.AddrPort) {
	inner := &hastyConn{TCPConn: raw}
	conn := tls.Server(inner, l.server.certs.current.Load().config)
	ctx, cancel := context.WithTimeout(l.base, handshakeTime)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		l.server.strangers.handshake(l.server.log, from, err)
		return
	}
	src, why := l.server.identify(conn.ConnectionState(), from.Addr())
	if src == nil {
		inner.closing.Store(true)
		l.server.strangers.connection(conn, why)
		return
	}
	sc := l.admit(&streamConn{Conn: conn, inner: inner, src: src, from: from})
	if sc == nil {
		_ = raw.Close()
		return
	}
	select {
	case l.ready <- sc:
	case <-l.base.Done():
		_ = sc.Close()
	}
}

// handshake reports a failed handshake: one line for whoever showed a certificate that is not good, nothing for noise.
func (m *doorman) handshake(log *zap.Logger, from netip.AddrPort, err error) {
	var bad *certificateError
	if !errors.As(err, &bad) {
		log.Debug("TLS handshake failed", zap.Stringer("source", from), zap.Error(err))
		return
	}
	if !m.admit() {
		return
	}
	text := bad.err.Error()
	log.Warn("client certificate refused", zap.Stringer("source", from), zap.String("error", text[:min(len(text), maxIdentifier)]))
	m.enqueue(refusedStranger(from, certificateReason, m.now()))
}

// A turnstile bounds how many are inside, at all and from one address, and how many come in a second.
type turnstile struct {
	most, mostPer int
	limited       bool // by the bucket

	mu     sync.Mutex // protects what follows
	bucket bucket
	inside int
	per    map[netip.Addr]int
}

// enter lets one in, who must leave; an IPv6 address counts by its network of 64 bits.
func (t *turnstile) enter(a netip.Addr, now time.Time) (leave func(), ok bool) {
	if a.Is6() {
		p, _ := a.WithZone("").Prefix(64) // of an IPv6 address: cannot fail
		a = p.Addr()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside >= t.most || t.per[a] >= t.mostPer || t.limited && !t.bucket.take(now) {
		return nil, false
	}
	if t.per == nil {
		t.per = map[netip.Addr]int{}
	}
	t.inside++
	t.per[a]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.inside--
		if t.per[a]--; t.per[a] == 0 {
			delete(t.per, a)
		}
	}, true
}

// A hastyConn carries a TLS connection. Closing that says goodbye, and waits five seconds for a peer that does not read, while
// sipgo holds the lock on all connections: once closing, no write waits longer than closeNotifyTime.
type hastyConn struct {
	*net.TCPConn
	closing atomic.Bool
}

func (c *hastyConn) SetWriteDeadline(t time.Time) error {
	if soon := time.Now().Add(closeNotifyTime); c.closing.Load() && t.After(soon) {
		t = soon
	}
	return c.TCPConn.SetWriteDeadline(t)
}
