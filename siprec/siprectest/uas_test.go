package siprectest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
	"github.com/pion/rtp"
)

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

// request is a SIP request as the UAS reads it, with nothing of the client's code.
type request struct {
	method, uri string
	h           textproto.MIMEHeader
	body        string
	back        func(string)
}

// A uas is a recording server that is only good enough to test a client against.
type uas struct {
	t    *testing.T
	udp  *net.UDPConn
	tcp  net.Listener // TLS too
	tls  *tls.Config  // of a client; nil: no TLS
	addr string
	seen chan request
	wg   sync.WaitGroup

	mu sync.Mutex // protects fields below
	// answer, when set, gives the responses to a request; nil: the ordinary ones.
	answer    func(request) []string
	invite    request // the newest
	receivers []*receiver
	conns     []net.Conn
	direction string
	contact   string
}

func newUAS(t *testing.T, transport string) *uas {
	t.Helper()
	u := &uas{t: t, seen: make(chan request, 8192), direction: "recvonly"}
	var err error
	if transport != "udp" {
		if u.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		u.addr = u.tcp.Addr().String()
	} else {
		if u.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			t.Fatal(err)
		}
		_ = u.udp.SetReadBuffer(8 << 20)
		u.addr = u.udp.LocalAddr().String()
	}
	u.contact = "<sip:srs@" + u.addr + ">;+sip.srs"
	if transport != "udp" {
		u.contact = "<sip:srs@" + u.addr + ";transport=" + transport + ">;+sip.srs"
	}
	if transport == "tls" {
		server, client := selfSigned(t)
		u.tcp, u.tls = tls.NewListener(u.tcp, server), client
	}
	if u.udp != nil {
		u.wg.Go(u.readUDP)
	} else {
		u.wg.Go(u.accept)
	}
	t.Cleanup(u.close)
	return u
}

// selfSigned gives the two ends of TLS with one certificate for 127.0.0.1; the server asks the client for it.
func selfSigned(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return &tls.Config{Certificates: own, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}, &tls.Config{Certificates: own, RootCAs: pool}
}

func (u *uas) close() {
	if u.udp != nil {
		u.udp.Close()
	}
	if u.tcp != nil {
		u.tcp.Close()
	}
	u.mu.Lock()
	for _, c := range u.conns {
		c.Close()
	}
	for _, r := range u.receivers {
		r.conn.Close()
	}
	u.mu.Unlock()
	u.wg.Wait()
}

func (u *uas) readUDP() {
	buf := make([]byte, 65535)
	for {
		n, from, err := u.udp.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		back := func(s string) { u.udp.WriteToUDPAddrPort([]byte(s), from) }
		u.read(bufio.NewReader(bytes.NewReader(bytes.Clone(buf[:n]))), back)
	}
}

func (u *uas) accept() {
	for {
		c, err := u.tcp.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns = append(u.conns, c)
		u.mu.Unlock()
		u.wg.Go(func() {
			r := bufio.NewReader(c)
			for u.read(r, func(s string) { io.WriteString(c, s) }) {
			}
		})
	}
}

func (u *uas) read(r *bufio.Reader, back func(string)) bool {
	var first string
	for first == "" {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		first = strings.TrimSpace(line)
	}
	h, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		u.t.Errorf("uas: cannot read the header after %q: %v", first, err)
		return false
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil {
		u.t.Errorf("uas: Content-Length: %v", err)
		return false
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		u.t.Errorf("uas: body: %v", err)
		return false
	}
	part := strings.SplitN(first, " ", 3)
	req := request{method: part[0], uri: part[1], h: h, body: string(body), back: back}
	u.mu.Lock()
	if req.method == "INVITE" {
		u.invite = req
	}
	answer := u.answer
	u.mu.Unlock()
	u.seen <- req
	if strings.HasPrefix(first, "SIP/2.0") || req.method == "ACK" {
		return true
	}
	responses := []string(nil)
	if answer != nil {
		responses = answer(req)
	}
	if responses == nil {
		responses = u.ordinary(req)
	}
	for _, s := range responses {
		back(s)
	}
	return true
}

// ordinary gives what a server that records everything answers.
func (u *uas) ordinary(req request) []string {
	if req.method == "INVITE" || req.method == "UPDATE" && strings.Contains(req.body, "m=audio") {
		return []string{u.response(req, 100, "Trying", ""), u.response(req, 200, "OK", u.sdp(req.body))}
	}
	return []string{u.response(req, 200, "OK", "")}
}

// script makes f answer from now on.
func (u *uas) script(f func(request) []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

// setDirection changes how offered streams are answered.
func (u *uas) setDirection(d string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.direction = d
}

// lastInvite is the newest INVITE.
func (u *uas) lastInvite() request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.invite
}

// response writes a response; extra are more header lines.
func (u *uas) response(req request, status int, reason, sdp string, extra ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d %s\r\n", status, reason)
	for _, name := range []string{"Via", "From", "To", "Call-Id", "Cseq"} {
		for _, v := range req.h[name] {
			if name == "To" && status > 100 && !strings.Contains(v, "tag=") {
				v += ";tag=srs-tag"
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, v) // names are not case-sensitive
		}
	}
	for _, e := range extra {
		b.WriteString(e + "\r\n")
	}
	if sdp != "" {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Contact: %s\r\nContent-Length: %d\r\n\r\n%s", u.contact, len(sdp), sdp)
	return b.String()
}

// sdp answers the offer in a body: m-lines in order, labels echoed, one receiver for each m-line of each call.
func (u *uas) sdp(body string) string {
	var b strings.Builder
	b.WriteString("v=0\r\no=srs 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n")
	u.mu.Lock()
	direction := u.direction
	u.mu.Unlock()
	port := 0
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "m="):
			port, _ = strconv.Atoi(f[1])
			answered := 0
			if port != 0 && f[0] == "m=audio" {
				answered = u.receiver(port).port()
			}
			fmt.Fprintf(&b, "%s %d %s\r\n", f[0], answered, strings.Join(f[2:], " "))
		case strings.HasPrefix(line, "a=label:"), strings.HasPrefix(line, "a=rtpmap:"):
			b.WriteString(line + "\r\n")
		case line == "a=inactive":
			b.WriteString("a=inactive\r\n")
		case line == "a=sendonly", line == "a=sendrecv":
			b.WriteString("a=" + direction + "\r\n")
		}
	}
	return b.String()
}

// receiver gives the RTP receiver for the stream that the client offered from a port.
func (u *uas) receiver(offered int) *receiver {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, r := range u.receivers {
		if r.offered == offered {
			return r
		}
	}
	r := newReceiver(u.t, offered)
	u.receivers = append(u.receivers, r)
	u.wg.Go(r.run)
	return r
}

// wait gives the next request or response that is seen whose first word is the method.
func (u *uas) wait(method string) request {
	u.t.Helper()
	r, ok := u.next(method)
	if !ok {
		u.t.Fatalf("uas: no %s came", method)
	}
	return r
}

// next is wait for goroutines other than the test's.
func (u *uas) next(method string) (request, bool) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		select {
		case r := <-u.seen:
			if r.method == method {
				return r, true
			}
		case <-timeout.C:
			return request{}, false
		}
	}
}

// send sends a request of the server inside the dialog that an INVITE of the client opened.
func (u *uas) send(invite request, method string, cseq int, branch, body string, extra ...string) {
	from, to := invite.h.Get("To")+";tag=srs-tag", invite.h.Get("From")
	contact := strings.Trim(strings.SplitN(invite.h.Get("Contact"), ">", 2)[0], "<")
	transport := "UDP"
	if u.tcp != nil {
		transport = "TCP"
		if u.tls != nil {
			transport = "TLS"
		}
	}
	head := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: %s\r\n",
		method, contact, transport, u.addr, branch, from, to, invite.h.Get("Call-Id"), cseq, method, u.contact)
	for _, e := range extra {
		head += e + "\r\n"
	}
	if body != "" {
		head += "Content-Type: application/sdp\r\n"
	}
	invite.back(head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
}

// A receiver takes the RTP of one stream.
type receiver struct {
	t       *testing.T
	conn    *net.UDPConn
	offered int
	came    chan struct{} // a token when something came

	mu      sync.Mutex
	packets []arrival
}

type arrival struct {
	at   time.Time
	from *net.UDPAddr
	rtp.Packet
}

func newReceiver(t *testing.T, offered int) *receiver {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	return &receiver{t: t, conn: conn, offered: offered, came: make(chan struct{}, 1)}
}

func (r *receiver) port() int { return r.conn.LocalAddr().(*net.UDPAddr).Port }

func (r *receiver) run() {
	buf := make([]byte, 2048)
	for {
		n, from, err := r.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		a := arrival{at: time.Now(), from: from}
		if err := a.Unmarshal(bytes.Clone(buf[:n])); err != nil {
			r.t.Errorf("receiver: %v", err)
			continue
		}
		r.mu.Lock()
		r.packets = append(r.packets, a)
		r.mu.Unlock()
		select {
		case r.came <- struct{}{}:
		default:
		}
	}
}

// atLeast waits until n packets are there, and gives all.
func (r *receiver) atLeast(n int) []arrival {
	r.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		all := append([]arrival(nil), r.packets...)
		r.mu.Unlock()
		if len(all) >= n {
			return all
		}
		select {
		case <-r.came:
		case <-timeout.C:
			r.t.Fatalf("receiver: %d packets came, not %d", len(all), n)
		}
	}
}

// ours waits until n packets of some sources are there, and gives all of these: others are of a program that had our port for its
// peer before.
func (r *receiver) ours(n int, ssrcs map[uint32]bool) (came []arrival) {
	r.t.Helper()
	for strays := 0; len(came) < n; {
		all := r.atLeast(n + strays)
		count := len(all)
		came = slices.DeleteFunc(all, func(a arrival) bool { return !ssrcs[a.SSRC] })
		strays = max(strays+1, count-len(came))
	}
	return came
}

func dial(t *testing.T, u *uas, cfg siprectest.Config) *siprectest.Client {
	t.Helper()
	cfg.Server = u.addr
	if u.tcp != nil {
		cfg.Transport = "tcp"
	}
	if u.tls != nil {
		cfg.Transport, cfg.TLS = "tls", u.tls
	}
	c, err := siprectest.Dial(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
