package srs

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

const strangerReason = "this address is not among the configured sources"

// A doorman answers strangers: 403 without any state, at a bounded rate. sipgo never hears of them.
type doorman struct {
	parser *sip.Parser
	now    func() time.Time
	report func(Refused)
	queue  chan Refused   // to be reported: the report may be slow, and a read loop must not wait for it
	slots  chan struct{}  // a token for each open TCP connection
	conns  sync.WaitGroup // their goroutines

	mu       sync.Mutex // protects what follows
	bucket   bucket
	dropped  int       // since the last summary
	reported time.Time // when the last summary was given
}

func newDoorman(p *sip.Parser, now func() time.Time, report func(Refused)) *doorman {
	return &doorman{
		parser: p, now: now, report: report,
		queue:  make(chan Refused, strangerBurst),
		slots:  make(chan struct{}, maxStrangerConns),
		bucket: bucket{rate: strangerRate, size: strangerBurst, tokens: strangerBurst},
	}
}

// A bucket is a token bucket.
type bucket struct {
	rate, size, tokens float64
	last               time.Time
}

func (b *bucket) take(now time.Time) bool {
	if !b.last.IsZero() && now.After(b.last) {
		b.tokens = min(b.size, b.tokens+now.Sub(b.last).Seconds()*b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (m *doorman) admit() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bucket.take(m.now()) {
		return true
	}
	m.dropped++
	return false
}

func (m *doorman) enqueue(r Refused) {
	select {
	case m.queue <- r:
	default:
		m.drop()
	}
}

// drop counts one that gets no word.
func (m *doorman) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped++
}

// reportUntil reports what is in the queue until stopped.
func (m *doorman) reportUntil(stop <-chan struct{}) {
	for {
		select {
		case r := <-m.queue:
			m.report(r)
		case <-stop:
			return
		}
	}
}

// summarise reports, now and then, how many were dropped without a word.
func (m *doorman) summarise(now time.Time) {
	m.mu.Lock()
	n := m.dropped
	if n == 0 || now.Sub(m.reported) < strangerSummary {
		m.mu.Unlock()
		return
	}
	m.dropped, m.reported = 0, now
	m.mu.Unlock()
	m.report(Refused{Status: 403, Kind: siprec.UnknownSource, Reason: strangerReason, At: now, Count: n})
}

// datagram answers what a stranger sent over UDP.
func (m *doorman) datagram(data []byte, from netip.AddrPort, conn *net.UDPConn, why string) {
	if !m.admit() {
		return
	}
	if answer, port := m.answer(data, from, why); answer != nil {
		_, _ = conn.WriteToUDPAddrPort(answer, netip.AddrPortFrom(from.Addr(), port)) // a stranger's loss
	}
}

// connection answers the first request on a stranger's TCP or TLS connection and closes it.
func (m *doorman) connection(c net.Conn, why string) {
	select {
	case m.slots <- struct{}{}:
	default:
		m.drop()
		_ = c.Close()
		return
	}
	m.conns.Go(func() {
		defer func() { <-m.slots }()
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(strangerConnTime))
		from := unmapped(c.RemoteAddr().(*net.TCPAddr).AddrPort())
		buf := make([]byte, 0, 16<<10)
		for len(buf) < cap(buf) {
			n, err := c.Read(buf[len(buf):cap(buf)])
			if err != nil {
				return
			}
			buf = buf[:len(buf)+n]
			if endOfHeaders(request(buf)) {
				break
			}
		}
		if !m.admit() {
			return
		}
		answer, _ := m.answer(request(buf), from, why)
		if _, err := c.Write(answer); err != nil {
			return
		}
		// What is unread when a socket closes resets the connection, and the answer with it.
		if t, ok := c.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
			for {
				if _, err := c.Read(buf[:cap(buf)]); err != nil {
					return
				}
			}
		}
	})
}

func refusedStranger(from netip.AddrPort, why string, at time.Time) Refused {
	return Refused{Source: from, Status: 403, Kind: siprec.UnknownSource, Reason: why, At: at, Count: 1}
}

// request leaves out the keep-alives before a request (RFC 3261 section 7.5).
func request(b []byte) []byte { return bytes.TrimLeft(b, "\r\n") }

func endOfHeaders(b []byte) bool {
	for i := 0; i+3 < len(b); i++ {
		if b[i] == '\r' && b[i+1] == '\n' && b[i+2] == '\r' && b[i+3] == '\n' {
			return true
		}
	}
	return false
}

// answer builds the 403 and tells the port that it goes to; nil for what gets none.
func (m *doorman) answer(data []byte, from netip.AddrPort, why string) ([]byte, uint16) {
	req, out, port := reply(m.parser, data, from, word{status: 403})
	if req == nil {
		return nil, 0
	}
	r := refusedStranger(from, why, m.now())
	r.Method = string(req.Method)
	if id := req.CallID(); id != nil {
		r.CallID = id.Value()[:min(len(id.Value()), maxIdentifier)]
	}
	m.enqueue(r)
	return out, port
}

// finish waits for strangers' connections, and reports what is left.
func (m *doorman) finish() {
	m.conns.Wait()
	for {
		select {
		case r := <-m.queue:
			m.report(r)
		default:
			m.mu.Lock()
			m.reported = time.Time{}
			m.mu.Unlock()
			m.summarise(m.now())
			return
		}
	}
}
