package siprec

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseOffer reads a session description. It takes what real SRCs send: any line ends, missing or odd v=, o=, s= and t= lines,
// unknown lines and attributes, static payload types without rtpmap, names in any case. What it insists on is that each m-line
// can be answered: a port, a protocol, and printable words. The error is a *Refusal of kind Malformed.
//
// An offer without any m-line is legal (RFC 3264 section 5) and has no Media.
func ParseOffer(b []byte) (*Offer, error) {
	if len(b) > MaxSDPBytes {
		return nil, tooMuch("bytes in the session description", MaxSDPBytes)
	}
	r := offerReader{offer: &Offer{}}
	for i, line := range bytes.FieldsFunc(b, func(c rune) bool { return c == '\n' || c == '\r' }) {
		if i == 0 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		text := strings.Trim(string(line), " \t")
		if len(text) < 2 || text[1] != '=' {
			continue // not a line of SDP; some SRCs leave stray text behind
		}
		if err := r.line(text[0], strings.Trim(text[2:], " \t")); err != nil {
			return nil, err
		}
	}
	if !r.sawVersion && len(r.media) == 0 {
		return nil, malformed("not a session description: neither a v= line nor an m= line")
	}
	for _, m := range r.media {
		m.finishSecurity(r.protection)
		m.Record = cmp.Or(m.Record, r.record)
		m.finish(r.session)
		r.offer.Media = append(r.offer.Media, m.Media)
	}
	return r.offer, nil
}

// An offerReader reads line by line; m-lines are finished only at the end, because session lines may stand anywhere.
type offerReader struct {
	offer      *Offer
	sawVersion bool
	session    connection
	protection protection
	record     string // a=record of the session
	media      []*mediaReader
}

// A connection is what c= and the direction attribute say, for the session or one m-line.
type connection struct {
	known     bool
	addr      netip.Addr
	host      string
	direction Direction
}

type mediaReader struct {
	Media
	connection
	protection
	rtcpPort int
	rtcpAddr netip.Addr
	rtpmaps  map[uint8]string
	fmtps    map[uint8]string
}

func (r *offerReader) line(kind byte, value string) error {
	var m *mediaReader
	conn := &r.session
	if len(r.media) > 0 {
		m = r.media[len(r.media)-1]
		conn = &m.connection
	}
	switch kind {
	case 'v':
		r.sawVersion = true
	case 'o':
		if f := strings.Fields(value); len(f) > 2 && r.offer.Version == "" {
			r.offer.Version = f[2]
		}
	case 'c':
		conn.readAddress(value)
	case 'm':
		if len(r.media) == MaxMedia {
			return tooMuch("m-lines in the session description", MaxMedia)
		}
		m, err := readMediaLine(value, len(r.media)+1)
		if err != nil {
			return err
		}
		r.media = append(r.media, m)
	case 'a':
		name, value, _ := strings.Cut(value, ":")
		name, value = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(value, " \t")
		if d := Direction(name); d == SendRecv || d == SendOnly || d == RecvOnly || d == Inactive {
			conn.direction = d
			return nil
		}
		if m != nil {
			return m.attribute(name, value)
		}
		if name == "record" {
			r.record = recordWord(value)
		}
		r.protection.attribute(name, value)
	}
	return nil
}

// readAddress reads "IN IP4 192.0.2.1/127". The first c= line that gives an address counts; a name is kept as such.
func (c *connection) readAddress(value string) {
	f := strings.Fields(value)
	if len(f) < 3 || c.addr.IsValid() {
		return
	}
	c.known = true
	text, _, _ := strings.Cut(f[2], "/")
	if addr, ok := parseAddr(text); ok {
		c.addr, c.host = addr, ""
	} else if c.host == "" && len(text) <= MaxLabelBytes {
		c.host = text
	}
}

// parseAddr reads an IP address, IPv6 also in brackets. An IPv4 address written as IPv6 is the IPv4 address; zones, which mean
// nothing to us, are dropped.
func parseAddr(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}

// readMediaLine reads "audio 49170/2 RTP/AVP 0 8". n counts from 1, for the reason.
func readMediaLine(value string, n int) (*mediaReader, error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return nil, malformed("m-line %d is incomplete: %s", n, clip(value))
	}
	for _, word := range f {
		if len(word) > MaxLabelBytes {
			return nil, tooMuch("bytes in a word of an m-line", MaxLabelBytes)
		}
		if !isPrintable(word) || strings.ContainsFunc(word, func(c rune) bool { return c > '~' }) {
			return nil, malformed("m-line %d holds characters that do not belong there: %s", n, clip(value))
		}
	}
	port, _, _ := strings.Cut(f[1], "/")
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, malformed("m-line %d has no usable port: %s", n, clip(f[1]))
	}
	if len(f)-3 > MaxFormats {
		return nil, tooMuch("formats in an m-line", MaxFormats)
	}
	return &mediaReader{
		Media:   Media{Type: strings.ToLower(f[0]), Port: int(number), Protocol: f[2], FormatIDs: f[3:]},
		rtpmaps: map[uint8]string{},
		fmtps:   map[uint8]string{},
	}, nil
}

func (m *mediaReader) attribute(name, value string) error {
	switch name {
	case "label":
		if len(value) > MaxLabelBytes {
			return tooMuch("bytes in a=label", MaxLabelBytes)
		}
		if !isPrintable(value) {
			return malformed("a=label holds characters that do not belong there: %s", clip(value))
		}
		if m.Label == "" {
			m.Label = Label(value)
		}
	case "content":
		if words := strings.FieldsFunc(strings.ToLower(value), func(c rune) bool { return c == ',' || c == ' ' }); len(m.Content) == 0 && isPrintable(value) {
			m.Content = words[:min(len(words), MaxContents)]
		}
	case "record":
		m.Record = recordWord(value)
	case "rtpmap":
		m.keep(m.rtpmaps, value)
	case "fmtp":
		m.keep(m.fmtps, value)
	case "ptime":
		const most = 1000 // ms; more is not telephony
		m.PTime = time.Duration(leadingNumber(value, most)) * time.Millisecond
	case "rtcp-mux":
		m.RTCPMux = true
	case "rtcp":
		f := strings.Fields(value)
		if len(f) > 0 {
			m.rtcpPort = leadingNumber(f[0], 65535)
		}
		if len(f) > 3 {
			m.rtcpAddr, _ = parseAddr(f[3])
		}
	case "crypto":
		if c, ok := parseCrypto(value); ok && len(m.Crypto) < MaxCrypto {
			m.Crypto = append(m.Crypto, c)
		}
	default:
		m.protection.attribute(name, value)
	}
	return nil
}

// recordWord reads the value of a=record; "" for one that RFC 7866 does not know.
func recordWord(value string) string {
	switch word := strings.ToLower(value); word {
	case "on", "off", RecordPaused:
		return word
	}
	return ""
}

// RecordPaused is the value of a=record while nothing is to be recorded (RFC 7866 section 7.1.1).
const RecordPaused = "paused"

// Paused tells whether any m-line says that recording is paused.
func (o *Offer) Paused() bool {
	return slices.ContainsFunc(o.Media, func(m Media) bool { return m.Record == RecordPaused })
}

// keep notes the value of an attribute "payload-type value"; the first one of a payload type counts.
func (m *mediaReader) keep(values map[uint8]string, s string) {
	id, value, _ := strings.Cut(strings.ReplaceAll(s, "\t", " "), " ")
	payloadType, ok := parsePayloadType(id)
	if _, twice := values[payloadType]; !ok || twice || !isPrintable(value) {
		return
	}
	values[payloadType] = strings.TrimSpace(value)
}

func parsePayloadType(s string) (uint8, bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil && n <= 127
}

// finish fills in what depends on the whole description.
func (m *mediaReader) finish(session connection) {
	conn := m.connection
	if !conn.known {
		conn.addr, conn.host = session.addr, session.host
	}
	m.Addr, m.Host = conn.addr, conn.host
	m.Direction = SendRecv
	switch {
	case m.Addr.IsValid() && m.Addr.IsUnspecified() && !m.isTrickled(): // hold as of old (RFC 3264 section 8.4)
		m.Direction = Inactive
	case conn.direction != "":
		m.Direction = conn.direction
	case session.direction != "":
		m.Direction = session.direction
	}
	if !strings.Contains(strings.ToUpper(m.Protocol), "RTP") {
		return // the formats are not payload types, and there is no RTCP
	}
	m.finishRTCP()
	seen := [128]bool{}
	for _, id := range m.FormatIDs {
		payloadType, ok := parsePayloadType(id)
		if !ok || seen[payloadType] {
			continue
		}
		seen[payloadType] = true
		f := staticFormat(payloadType)
		f.Params = m.fmtps[payloadType]
		f.applyRTPMap(m.rtpmaps[payloadType])
		m.Formats = append(m.Formats, f)
	}
}

// trickledPort stands for an address that ICE has yet to find (RFC 8840 section 4.1.1).
const trickledPort = 9

// isTrickled tells that the m-line has no address yet, and will find one by ICE.
func (m *mediaReader) isTrickled() bool { return m.ICE != nil && m.Port == trickledPort }

// finishRTCP finds where receiver reports go (RFC 3605 section 2.1).
func (m *mediaReader) finishRTCP() {
	addr, port := m.Addr, m.rtcpPort
	if m.rtcpAddr.IsValid() {
		addr = m.rtcpAddr
	}
	if port == 0 {
		port = m.Port + 1
	}
	if m.Port == 0 || port > 65535 || !addr.IsValid() || addr.IsUnspecified() {
		return
	}
	m.RTCP = netip.AddrPortFrom(addr, uint16(port))
}

// isPrintable tells that s has no control characters, so that it can be written into a line of ours.
func isPrintable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}
