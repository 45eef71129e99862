package siprectest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// An Answer is the session description with which the SRS answered an offer, read without the server's own parser.
type Answer struct {
	Media []AnswerMedia // in the order of the m-lines
	Raw   []byte
}

// An AnswerMedia is what the SRS answered for one m-line.
type AnswerMedia struct {
	Label     siprec.Label // as the answer gives it; "" when it gives none
	Type      string
	Addr      netip.AddrPort // where it wants the media; port 0: refused
	Protocol  string
	RTCP      netip.AddrPort
	Mux       bool
	Direction siprec.Direction // seen by the SRS: recvonly is the answer of one that records
	Formats   []siprec.Format
	PTime     time.Duration

	Crypto      string // value of the first a=crypto
	Fingerprint string
	Setup       siprec.Setup
	Lite        bool // the answer says a=ice-lite
	Ufrag, Pwd  string
	Candidates  []string
}

// Label finds the m-line with the label.
func (a *Answer) Label(l siprec.Label) (AnswerMedia, bool) {
	for _, m := range a.Media {
		if m.Label == l {
			return m, true
		}
	}
	return AnswerMedia{}, false
}

// Wants tells whether the SRS wants media on the m-line.
func (m AnswerMedia) Wants() bool {
	return m.Addr.Port() != 0 && (m.Direction == siprec.RecvOnly || m.Direction == siprec.SendRecv)
}

// An offerLine is what we say about one m-line.
type offerLine struct {
	spec      StreamSpec
	port      int
	rtcp      int // 0: not bound
	direction siprec.Direction
	record    string   // a=record; "" without
	security  []string // attributes
}

// writeOffer writes a session description (RFC 8866).
func writeOffer(addr netip.Addr, session, version uint64, lines []offerLine) []byte {
	var b strings.Builder
	family := "IP4"
	if addr.Is6() {
		family = "IP6"
	}
	fmt.Fprintf(&b, "v=0\r\no=src %d %d IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n", session, version, family, addr, family, addr)
	for _, l := range lines {
		fmt.Fprintf(&b, "m=%s %d %s", l.spec.Type, l.port, l.spec.Security.profile())
		for _, f := range l.spec.Formats {
			fmt.Fprintf(&b, " %d", f.PayloadType)
		}
		b.WriteString("\r\n")
		for _, f := range l.spec.Formats {
			name := f.Encoding
			if f.Encoding == TelephoneEvent.Encoding {
				name = "telephone-event"
			}
			if f.Channels > 1 {
				name = fmt.Sprintf("%s/%d/%d", name, f.ClockRate, f.Channels)
			} else {
				name = fmt.Sprintf("%s/%d", name, f.ClockRate)
			}
			fmt.Fprintf(&b, "a=rtpmap:%d %s\r\n", f.PayloadType, name)
			if f.Params != "" {
				fmt.Fprintf(&b, "a=fmtp:%d %s\r\n", f.PayloadType, f.Params)
			}
		}
		if l.spec.Type == "audio" {
			fmt.Fprintf(&b, "a=ptime:%d\r\n", l.spec.PTime.Milliseconds())
		}
		if l.rtcp != 0 {
			fmt.Fprintf(&b, "a=rtcp:%d\r\n", l.rtcp)
		}
		fmt.Fprintf(&b, "a=label:%s\r\na=%s\r\n", l.spec.Label, l.direction)
		if l.record != "" {
			b.WriteString("a=record:" + l.record + "\r\n")
		}
		for _, a := range append(l.security, l.spec.Attrs...) {
			b.WriteString("a=" + a + "\r\n")
		}
	}
	return []byte(b.String())
}

// ParseAnswer reads a session description that answers one of ours.
func ParseAnswer(b []byte) (*Answer, error) {
	a := &Answer{Raw: b}
	r := answerReader{a: a, direction: siprec.SendRecv}
	for i, line := range strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n") {
		if line == "" {
			continue
		}
		if len(line) < 2 || line[1] != '=' {
			return nil, fmt.Errorf("read the answer: line %d is not a field: %q", i+1, line)
		}
		if err := r.line(line[0], line[2:]); err != nil {
			return nil, fmt.Errorf("read the answer: line %d: %w", i+1, err)
		}
	}
	if len(a.Media) == 0 {
		return nil, errors.New("read the answer: it has no m-line")
	}
	for i := range a.Media {
		m := &a.Media[i]
		if m.Addr.Port() != 0 && !m.Addr.Addr().IsValid() {
			return nil, fmt.Errorf("read the answer: m-line %d has no connection address", i)
		}
		if !m.RTCP.IsValid() {
			m.RTCP = netip.AddrPortFrom(m.Addr.Addr(), m.Addr.Port()+1)
		}
		if m.Mux {
			m.RTCP = m.Addr
		}
		m.Lite = r.lite
		if m.Addr.Addr().IsUnspecified() {
			m.Direction = siprec.Inactive // RFC 3264 section 8.4
		}
	}
	return a, nil
}

type answerReader struct {
	a         *Answer
	addr      netip.Addr
	direction siprec.Direction // of the session, for m-lines without their own
	lite      bool
}

func (r *answerReader) media() *AnswerMedia {
	if len(r.a.Media) == 0 {
		return nil
	}
	return &r.a.Media[len(r.a.Media)-1]
}

func (r *answerReader) line(kind byte, v string) error {
	switch kind {
	case 'c':
		f := strings.Fields(v)
		if len(f) != 3 {
			return fmt.Errorf("connection data %q", v)
		}
		addr, err := netip.ParseAddr(strings.SplitN(f[2], "/", 2)[0])
		if err != nil {
			return err
		}
		if m := r.media(); m != nil {
			m.Addr = netip.AddrPortFrom(addr, m.Addr.Port())
		} else {
			r.addr = addr
		}
	case 'm':
		return r.mline(v)
	case 'a':
		return r.attribute(v)
	}
	return nil
}

func (r *answerReader) mline(v string) error {
	f := strings.Fields(v)
	if len(f) < 4 {
		return fmt.Errorf("media description %q", v)
	}
	port, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil {
		return fmt.Errorf("media port %q", f[1])
	}
	m := AnswerMedia{Type: f[0], Protocol: f[2], Addr: netip.AddrPortFrom(r.addr, uint16(port)), Direction: r.direction}
	for _, s := range f[3:] {
		pt, err := strconv.ParseUint(s, 10, 7)
		if err != nil {
			continue // not RTP
		}
		switch pt {
		case 0:
			m.Formats = append(m.Formats, PCMU)
		case 8:
			m.Formats = append(m.Formats, PCMA)
		default:
			m.Formats = append(m.Formats, siprec.Format{PayloadType: uint8(pt), Channels: 1})
		}
	}
	r.a.Media = append(r.a.Media, m)
	return nil
}

func (r *answerReader) attribute(v string) error {
	name, value, _ := strings.Cut(v, ":")
	m := r.media()
	switch d := siprec.Direction(name); d {
	case siprec.SendRecv, siprec.SendOnly, siprec.RecvOnly, siprec.Inactive:
		if m != nil {
			m.Direction = d
		} else {
			r.direction = d
		}
		return nil
	}
	if m == nil {
		r.lite = r.lite || name == "ice-lite"
		return nil
	}
	switch name {
	case "rtcp-mux":
		m.Mux = true
	case "crypto":
		m.Crypto = value
	case "fingerprint":
		m.Fingerprint = value
	case "setup":
		m.Setup = siprec.Setup(value)
	case "ice-ufrag":
		m.Ufrag = value
	case "ice-pwd":
		m.Pwd = value
	case "candidate":
		m.Candidates = append(m.Candidates, value)
	case "label":
		m.Label = siprec.Label(value)
	case "ptime":
		if ms, err := strconv.Atoi(value); err == nil {
			m.PTime = time.Duration(ms) * time.Millisecond
		}
	case "rtcp":
		first, _, _ := strings.Cut(value, " ")
		port, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return fmt.Errorf("rtcp port %q", value)
		}
		m.RTCP = netip.AddrPortFrom(m.Addr.Addr(), uint16(port))
	case "rtpmap":
		m.rtpmap(value)
	}
	return nil
}

func (m *AnswerMedia) rtpmap(v string) {
	pt, rest, _ := strings.Cut(v, " ")
	part := strings.Split(rest, "/")
	for i, f := range m.Formats {
		if strconv.Itoa(int(f.PayloadType)) != pt {
			continue
		}
		m.Formats[i].Encoding = strings.ToUpper(part[0])
		if len(part) > 1 {
			m.Formats[i].ClockRate, _ = strconv.Atoi(part[1])
		}
	}
}
