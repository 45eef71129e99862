package siprectest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/greffier/greffier/siprec"
)

// A Call is one recording session: a SIP dialog with an SRS, and its streams.
type Call struct {
	client   *Client
	spec     CallSpec
	id       string // Call-ID
	localTag string
	from, to string // URIs
	session  uint64 // o= session identifier
	ended    chan struct{}
	streams  func() []*Stream // a copy of lines' streams

	mu        sync.Mutex // protects fields below
	lines     []*line
	remoteTag string
	target    string   // remote target URI (RFC 3261 section 12.1.2)
	routes    []string // Route header field values, in order
	dest      netip.AddrPort
	cseq      uint32
	version   uint64 // o= version
	acks      map[uint32][]byte
	answer    *Answer
	epoch     time.Time
	mediaEnd  time.Time
	end       End
	requests  []Request
	replies   []answered
	remoteSeq int64         // highest CSeq number of the SRS; -1: none yet
	reinvite  chan struct{} // closed by the ACK of a re-INVITE of the SRS; nil when there is none
}

// A line is one m-line: what we offer, and the stream that sends.
type line struct {
	spec      StreamSpec
	direction siprec.Direction // what we offer now
	removed   bool             // offered with port 0
	record    string           // a=record; "" without
	stream    *Stream          // nil: not audio
}

// Who ended a recording session.
const (
	ByClient = "src"
	ByServer = "srs"
)

// An End says how a recording session ended.
type End struct {
	By     string // ByClient or ByServer
	Reason string // Reason header field of the SRS's BYE, or our words
	At     time.Time
}

// A Request is one that the SRS sent inside the dialog.
type Request struct {
	Method  string
	At      time.Time
	Headers map[string]string
	Body    []byte
	Status  int // how it was answered
}

// CallID is the dialog's Call-ID.
func (c *Call) CallID() string { return c.id }

// Dialog names the dialog as the SRS does: LocalTag is the SRS's.
func (c *Call) Dialog() siprec.DialogID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return siprec.DialogID{CallID: c.id, LocalTag: c.remoteTag, RemoteTag: c.localTag}
}

// Done is closed when the session has ended, by either side.
func (c *Call) Done() <-chan struct{} { return c.ended }

// End says how the session ended; it is zero before Done is closed.
func (c *Call) End() End {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// Requests lists what the SRS asked inside the dialog so far.
func (c *Call) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}

// Answer is the SRS's newest answer.
func (c *Call) Answer() *Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answer
}

// Stream finds the stream with the label, or nil.
func (c *Call) Stream(l siprec.Label) *Stream {
	for _, s := range c.streams() {
		if s.spec.Label == l {
			return s
		}
	}
	return nil
}

// newCall binds the streams' sockets and fills the spec's defaults in.
func (c *Client) newCall(spec CallSpec) (*Call, error) {
	call := &Call{client: c, spec: spec, id: spec.CallID, localTag: token(8), from: spec.From, to: spec.To,
		session: uint64(time.Now().UnixNano()) >> 10, version: 1, remoteSeq: -1, ended: make(chan struct{}),
		acks: map[uint32][]byte{}, dest: c.server}
	call.streams = call.copyStreams
	if call.id == "" {
		call.id = token(16) + "@" + c.addr.Addr().String()
	}
	if call.from == "" {
		call.from = "sip:" + c.cfg.User + "@" + hostPort(c.addr)
	}
	if call.to == "" {
		call.to = "sip:srs@" + hostPort(c.server)
	}
	if c.wire.reliable() && spec.To == "" {
		call.to += ";transport=" + c.cfg.Transport
	}
	call.target = call.to
	if spec.Streams == nil {
		spec.Streams = make([]StreamSpec, 2)
	}
	for _, s := range spec.Streams {
		if err := call.addLine(s); err != nil {
			call.closeStreams()
			return nil, err
		}
	}
	if err := c.register(call); err != nil {
		call.closeStreams()
		return nil, err
	}
	return call, nil
}

// addLine appends an m-line. It is called with mu held, or before the call is shared.
func (c *Call) addLine(s StreamSpec) error {
	if s.Label == "" {
		s.Label = siprec.Label(fmt.Sprint(len(c.lines) + 1))
	}
	if s.Type == "" {
		s.Type = "audio"
	}
	if s.Formats == nil {
		s.Formats = []siprec.Format{PCMU, TelephoneEvent}
	}
	if s.Direction == "" {
		s.Direction = siprec.SendOnly
	}
	if s.PTime == 0 {
		s.PTime = 20 * time.Millisecond
	}
	interval := c.spec.RTCPInterval
	if interval == 0 {
		interval = defaultRTCPInterval
	}
	l := &line{spec: s, direction: s.Direction}
	if s.Type == "audio" {
		var err error
		if l.stream, err = newStream(c.client.media, s, interval); err != nil {
			return err
		}
		if conn := l.stream.rtcp; conn != nil && !c.client.goUnlessClosed(func() { l.stream.listen(conn) }) {
			l.stream.close()
			return ErrClosed
		}
		if conn := l.stream.conn; l.stream.sec != nil && !c.client.goUnlessClosed(func() { l.stream.readAll(conn) }) {
			l.stream.close()
			return ErrClosed
		}
	}
	c.lines = append(c.lines, l)
	return nil
}

func (c *Call) copyStreams() []*Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*Stream
	for _, l := range c.lines {
		if l.stream != nil {
			all = append(all, l.stream)
		}
	}
	return all
}

func (c *Call) closeStreams() {
	for _, s := range c.streams() {
		s.close()
	}
}

// offer writes our session description as it is now.
func (c *Call) offer() []byte { return c.offerFrom(c.client.media) }

// offerFrom is offer with another address for media.
func (c *Call) offerFrom(addr netip.Addr) []byte {
	lines := make([]offerLine, len(c.lines))
	for i, l := range c.lines {
		lines[i] = offerLine{spec: l.spec, direction: l.direction, record: l.record}
		switch {
		case l.removed:
		case l.stream != nil:
			lines[i].port, lines[i].rtcp = l.stream.Port(), l.stream.rtcpPort()
			if l.stream.sec != nil {
				lines[i].security = l.stream.sec.attributes(addrPort(l.stream.conn.LocalAddr()))
			}
		default:
			lines[i].port = unusedPort
		}
	}
	return writeOffer(addr, c.session, c.version, lines)
}

// unusedPort is offered for media that we never send: the discard service's.
const unusedPort = 9

// requestMessage starts a request inside the dialog, or the one that opens it; mu is held.
func (c *Call) requestMessage(method string, cseq uint32, branch string, body content) *message {
	m := &message{method: method, uri: c.target, body: body}
	m.add("Via", fmt.Sprintf("SIP/2.0/%s %s;branch=%s;rport", strings.ToUpper(c.client.cfg.Transport), hostPort(c.client.addr), branch))
	m.add("Max-Forwards", "70")
	for _, r := range c.routes {
		m.add("Route", r)
	}
	m.add("From", "<"+c.from+">;tag="+c.localTag)
	to := "<" + c.to + ">"
	if c.remoteTag != "" {
		to += ";tag=" + c.remoteTag
	}
	m.add("To", to)
	m.add("Call-ID", c.id)
	m.add("CSeq", fmt.Sprintf("%d %s", cseq, method))
	return m
}

// contact is our Contact header field; "+sip.src" says what we are (RFC 7866 section 6.1.1).
func (c *Call) contact() string {
	uri := "sip:" + c.client.cfg.User + "@" + hostPort(c.client.addr)
	if c.client.wire.reliable() {
		uri += ";transport=" + c.client.cfg.Transport
	}
	if c.spec.NoSRCTag {
		return "<" + uri + ">"
	}
	return "<" + uri + ">;+sip.src"
}

// established notes the dialog's other end from a 2xx to an INVITE (RFC 3261 section 12.1.2).
func (c *Call) established(res *sip.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to := res.To(); to != nil && c.remoteTag == "" {
		c.remoteTag, _ = to.Params.Get("tag")
		for _, h := range res.GetHeaders("Record-Route") {
			c.routes = append([]string{h.Value()}, c.routes...)
		}
	}
	contact := res.Contact()
	if contact == nil {
		return
	}
	c.target = contact.Address.String()
	if len(c.routes) == 0 {
		if dest, ok := target(contact.Address); ok {
			c.dest = dest
		}
	}
}

// finish ends the call once: media stop, sockets close.
func (c *Call) finish(e End) {
	c.mu.Lock()
	select {
	case <-c.ended:
		c.mu.Unlock()
		return
	default:
	}
	e.At = time.Now()
	c.end = e
	close(c.ended)
	c.mu.Unlock()
	c.StopMedia()
	c.closeStreams()
	c.client.unregister(c)
}
