package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// A rawSRC is a client that sends what it is given, byte by byte, over one socket.
type rawSRC struct {
	net.Conn
	r       *bufio.Reader // TCP
	network string
}

func dialRaw(ctx context.Context, network, server string) (*rawSRC, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	return &rawSRC{Conn: c, r: bufio.NewReader(c), network: network}, nil
}

// A rawAnswer is a response.
type rawAnswer struct {
	status int
	header textproto.MIMEHeader
	body   []byte
}

// final reads the next final answer to a request with the CSeq.
func (c *rawSRC) final(cseq string) (a rawAnswer, err error) {
	for {
		r := c.r
		if c.network == "udp" {
			datagram := make([]byte, 65535)
			n, err := c.Read(datagram)
			if err != nil {
				return a, err
			}
			r = bufio.NewReader(strings.NewReader(string(datagram[:n])))
		}
		tr := textproto.NewReader(r)
		line, err := tr.ReadLine()
		if err != nil {
			return a, err
		}
		if line == "" {
			continue
		}
		if a.header, err = tr.ReadMIMEHeader(); err != nil {
			return a, err
		}
		n, _ := strconv.Atoi(a.header.Get("Content-Length"))
		a.body = make([]byte, n)
		if _, err := io.ReadFull(r, a.body); err != nil {
			return a, err
		}
		if _, err := fmt.Sscanf(line, "SIP/2.0 %d", &a.status); err != nil {
			return a, fmt.Errorf("%q came: %w", line, err)
		}
		if a.status >= 200 && a.header.Get("CSeq") == cseq {
			return a, nil
		}
	}
}

// A rawCall is what the requests of one dialog have in common.
type rawCall struct {
	*rawSRC
	id       string
	from, to string // header lines with their names
	contact  string
	target   string
	cseq     int
}

// local is the socket's address.
func (c *rawSRC) local() string { return c.LocalAddr().String() }

// ask sends a request, and gives its final answer. An INVITE's 200 is acknowledged. eol ends the lines of the header.
func (c *rawCall) ask(method, eol string, headers []string, contentType, body string) (a rawAnswer, err error) {
	c.cseq++
	if err := c.write(method, eol, headers, contentType, body); err != nil {
		return a, err
	}
	if a, err = c.final(fmt.Sprint(c.cseq, " ", method)); err != nil {
		return a, fmt.Errorf("%s: %w", method, err)
	}
	if a.status != 200 {
		return a, fmt.Errorf("%s was answered with %d %q", method, a.status, a.header)
	}
	if method == "INVITE" {
		c.to = "To: " + a.header.Get("To")
		if _, uri, ok := strings.Cut(a.header.Get("Contact"), "<"); ok {
			c.target, _, _ = strings.Cut(uri, ">")
		}
		err = c.write("ACK", "\r\n", nil, "", "")
	}
	return a, err
}

func (c *rawCall) write(method, eol string, headers []string, contentType, body string) error {
	lines := []string{
		fmt.Sprintf("%s %s SIP/2.0", method, c.target),
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK%s-%s-%d", strings.ToUpper(c.network), c.local(), c.id, method, c.cseq),
		"Max-Forwards: 70", c.from, c.to, "Call-ID: " + c.id, fmt.Sprintf("CSeq: %d %s", c.cseq, method),
	}
	if method != "ACK" && method != "BYE" {
		lines = append(lines, "Contact: "+strings.ReplaceAll(c.contact, "HOST", c.local()))
	}
	if body != "" {
		lines = append(lines, "Content-Type: "+contentType)
	}
	lines = append(lines, "Content-Length: "+strconv.Itoa(len(body)))
	lines = append(lines, headers...)
	_, err := io.WriteString(c, strings.Join(lines, eol)+eol+eol+body)
	return err
}

// speak sends each tone to the port of its m-line, as PCMU in frames of 20 ms.
func speakTo(ctx context.Context, media []siprectest.AnswerMedia, tones []int, d time.Duration) error {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer socket.Close()
	const frame = 160
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := range int(d / (20 * time.Millisecond)) {
		for i, m := range media {
			pcm := make([]int16, frame)
			toneBursts(tones[i]).Read(pcm, int64(n)*frame)
			packet := []byte{0x80, 0} // version 2, payload type 0
			packet = binary.BigEndian.AppendUint16(packet, uint16(n))
			packet = binary.BigEndian.AppendUint32(packet, uint32(n)*frame)
			packet = binary.BigEndian.AppendUint32(packet, uint32(tones[i]))
			to := netip.AddrPortFrom(m.Addr.Addr(), m.Addr.Port())
			if _, err := socket.WriteToUDPAddrPort(siprectest.EncodePCMU(packet, pcm), to); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
