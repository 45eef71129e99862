package siprectest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Config says where a Client sends from and to. Only Server is required.
type Config struct {
	Server    string         // host:port of the recording server
	Transport string         // "udp" (default), "tcp" or "tls"
	TLS       *tls.Config    // for "tls": RootCAs, Certificates (ours; the SRS reaches us only with one), ServerName (default: Server's host)
	Local     netip.AddrPort // SIP address to bind; default: the address that routes to Server, and any free port
	MediaAddr netip.Addr     // address of the RTP sockets, and of the SDP; default: Local's
	User      string         // user part of our URI; default "src"
	T1        time.Duration  // RFC 3261 timer T1; default 500 ms. A request is given up after 64 of it
	Pacers    int            // goroutines that send RTP; default 1, enough for some thousand streams
	// Trace, when set, is called for every message sent (true) and received (false), at once and by several goroutines.
	Trace func(sent bool, peer netip.AddrPort, msg []byte)
	// Credentials, when set, answer a server that asks for them.
	Credentials Credentials
}

// A Client is a session recording client at one SIP address. It carries any number of calls at once; all methods are
// safe for concurrent use.
type Client struct {
	cfg    Config
	t1     time.Duration
	wire   wire
	server netip.AddrPort
	addr   netip.AddrPort // what Via and Contact say
	media  netip.Addr
	prover prover
	pacers []*pacer
	nextP  atomic.Uint32
	done   chan struct{}
	wg     sync.WaitGroup

	unreadable atomic.Int64

	mu           sync.Mutex // protects fields below
	closed       bool
	transactions map[txKey]*transaction
	calls        map[string]*Call  // by Call-ID
	failedAcks   map[string][]byte // ACKs of refused INVITEs, by branch, for retransmitted refusals
	failedOrder  []string
}

type txKey struct{ branch, method string }

// maxFailedAcks bounds how many ACKs are remembered for refusals that come again.
const maxFailedAcks = 1024

// Dial opens a client's sockets; over TCP and TLS it also connects, so that a wrong address shows at once.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	if cfg.Transport == "" {
		cfg.Transport = "udp"
	}
	if cfg.User == "" {
		cfg.User = "src"
	}
	server, err := resolve(ctx, cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("find the recording server %q: %w", cfg.Server, err)
	}
	local, err := localFor(cfg.Local, server)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, t1: cfg.T1, server: server, media: cfg.MediaAddr, done: make(chan struct{}),
		prover:       prover{creds: cfg.Credentials},
		transactions: map[txKey]*transaction{}, calls: map[string]*Call{}, failedAcks: map[string][]byte{}}
	if c.t1 <= 0 {
		c.t1 = defaultT1
	}
	if !c.media.IsValid() {
		c.media = local.Addr()
	}
	if err := c.open(ctx, local); err != nil {
		return nil, err
	}
	for range max(1, cfg.Pacers) {
		p := newPacer()
		c.pacers = append(c.pacers, p)
		c.wg.Go(p.run)
	}
	return c, nil
}

func (c *Client) open(ctx context.Context, local netip.AddrPort) error {
	switch c.cfg.Transport {
	case "udp":
		w, err := listenUDP(local)
		if err != nil {
			return err
		}
		c.wire, c.addr = w, w.local()
		c.wg.Go(func() { w.read(c.receive, c.malformed) })
	case "tcp", "tls":
		w, err := listenTCP(local, c.tlsConfig(), c.receive, c.malformed)
		if err != nil {
			return err
		}
		c.wire, c.addr = w, w.local()
		// A lone CRLF is a keep-alive that every SIP server ignores (RFC 3261 section 7.5).
		if err := w.send(ctx, c.server, []byte("\r\n\r\n")); err != nil {
			w.close()
			return err
		}
	default:
		return fmt.Errorf("transport %q is not known: use udp, tcp or tls", c.cfg.Transport)
	}
	return nil
}

// tlsConfig is Config.TLS with a server name; nil when the transport is another.
func (c *Client) tlsConfig() *tls.Config {
	if c.cfg.Transport != "tls" {
		return nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.cfg.TLS != nil {
		cfg = c.cfg.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(c.cfg.Server) // it was resolved: there is a port
	}
	return cfg
}

// Close ends the client: waiting requests fail, media stop, sockets close. It sends no BYE.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.done)
	calls := make([]*Call, 0, len(c.calls))
	for _, call := range c.calls {
		calls = append(calls, call)
	}
	c.mu.Unlock()
	for _, call := range calls {
		call.finish(End{By: ByClient, Reason: "client closed"})
	}
	err := c.wire.close()
	for _, p := range c.pacers {
		p.stop()
	}
	c.wg.Wait()
	return err
}

// Addr is the SIP address that the client is reachable at.
func (c *Client) Addr() netip.AddrPort { return c.addr }

// Unreadable counts the SIP messages that came and could not be parsed.
func (c *Client) Unreadable() int64 { return c.unreadable.Load() }

func (c *Client) malformed(error) { c.unreadable.Add(1) }

func (c *Client) write(ctx context.Context, to netip.AddrPort, msg []byte) error {
	if c.cfg.Trace != nil {
		c.cfg.Trace(true, to, msg)
	}
	err := c.wire.send(ctx, to, msg)
	select {
	case <-c.done:
		return ErrClosed // whatever the closed socket says
	default:
		return err
	}
}

// receive is called by the wire's reader for every message.
func (c *Client) receive(msg sip.Message, from netip.AddrPort, back reply) {
	if c.cfg.Trace != nil {
		c.cfg.Trace(false, from, []byte(msg.String()))
	}
	switch m := msg.(type) {
	case *sip.Response:
		c.receiveResponse(m, from)
	case *sip.Request:
		c.receiveRequest(m, from, back)
	}
}

func (c *Client) receiveResponse(res *sip.Response, from netip.AddrPort) {
	via, cseq, callID := res.Via(), res.CSeq(), res.CallID()
	if via == nil || cseq == nil || callID == nil {
		c.unreadable.Add(1)
		return
	}
	br, _ := via.Params.Get("branch")
	method := string(cseq.MethodName)
	c.mu.Lock()
	t := c.transactions[txKey{br, method}]
	call := c.calls[callID.Value()]
	again := c.failedAcks[br]
	if res.StatusCode >= 200 {
		delete(c.transactions, txKey{br, method}) // what comes after the final answer is a repetition
	}
	c.mu.Unlock()
	switch {
	case t != nil:
		select {
		case t.responses <- res:
		default:
		}
	case method == "INVITE" && res.IsSuccess() && call != nil:
		call.ackAgain(cseq.SeqNo) // our ACK was lost
	case method == "INVITE" && again != nil:
		_ = c.write(context.Background(), from, again)
	}
}

// rememberAck keeps the ACK of a refused INVITE for a refusal that comes again.
func (c *Client) rememberAck(branch string, ack []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failedAcks[branch] = ack
	c.failedOrder = append(c.failedOrder, branch)
	if len(c.failedOrder) > maxFailedAcks {
		delete(c.failedAcks, c.failedOrder[0])
		c.failedOrder = c.failedOrder[1:]
	}
}

// pacer gives the sender of the next stream.
func (c *Client) pacer() *pacer {
	return c.pacers[int(c.nextP.Add(1))%len(c.pacers)]
}

func (c *Client) register(call *Call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if _, ok := c.calls[call.id]; ok {
		return fmt.Errorf("call-id %q is in use by another call of this client", call.id)
	}
	c.calls[call.id] = call
	return nil
}

func (c *Client) unregister(call *Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[call.id] == call {
		delete(c.calls, call.id)
	}
}

// goUnlessClosed starts f as a goroutine that Close waits for.
func (c *Client) goUnlessClosed(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

func resolve(ctx context.Context, hostport string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(addrs) == 0 {
		return netip.AddrPort{}, errors.New("the name has no address")
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(p)), nil
}

// localFor fills in the address that the system would use to reach the server.
func localFor(local, server netip.AddrPort) (netip.AddrPort, error) {
	if local.Addr().IsValid() && !local.Addr().IsUnspecified() {
		return local, nil
	}
	// "Connecting" a UDP socket sends nothing: it only asks the routing table.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find a route to %s: %w", server, err)
	}
	defer conn.Close()
	return netip.AddrPortFrom(addrPort(conn.LocalAddr()).Addr(), local.Port()), nil
}
