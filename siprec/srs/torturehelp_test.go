package srs_test

import (
	"bufio"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// dialFrom5060 opens a socket from SIP's own port, to which answers go when Via names no other; its address is one of the
// loopback network that nobody else has.
func dialFrom5060(t *testing.T, listener string) *peer {
	t.Helper()
	network, addr, _ := strings.Cut(listener, "://")
	ip := net.IPv4(127, byte(1+rand.IntN(250)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))
	d := net.Dialer{Timeout: patience, LocalAddr: &net.UDPAddr{IP: ip, Port: 5060}}
	if network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: ip, Port: 5060}
	}
	c, err := d.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<20), via: strings.ToUpper(network)}
}

// finalStatus reads until a final answer begins, and gives its status; 0: none came in time. It reads less strictly than read.
func (p *peer) finalStatus(wait time.Duration) int {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	var all []byte
	buf := make([]byte, 65536)
	for {
		for line := range strings.Lines(string(all)) {
			rest, ok := strings.CutPrefix(line, "SIP/2.0 ")
			if !ok || len(rest) < 3 {
				continue
			}
			if status, err := strconv.Atoi(rest[:3]); err == nil && status >= 200 {
				return status
			}
		}
		n, err := p.conn.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil && n == 0 {
			return 0
		}
	}
}
