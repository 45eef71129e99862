package srs

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// Shorten replaces a server's times before Serve.
func (s *Server) Shorten(t1, t2, pending time.Duration) {
	s.timing.t1, s.timing.t2, s.timing.pending = t1, t2, pending
}

// Hurry replaces how long the server waits for answers to its own requests, and the unit of its waiting after a 491, before Serve.
func (s *Server) Hurry(request, answer, glare time.Duration) {
	s.timing.request, s.timing.answer, s.timing.glare = request, answer, glare
}

// Await replaces how long a request waits for the one before it, before Serve.
func (s *Server) Await(reorder time.Duration) { s.timing.reorder, s.timing.pending = reorder, reorder }

// LookOften makes the server look at its certificates often, before Serve.
func (s *Server) LookOften() { s.timing.certs = 5 * time.Millisecond }

// Hasten shortens how long a message over TCP may take, before Serve.
func (s *Server) Hasten(message time.Duration) { s.timing.message = message }

// Fill occupies every place for an INVITE without a final answer, and gives what frees them.
func (s *Server) Fill() (empty func()) {
	n := cap(s.halfOpen)
	for range n {
		s.halfOpen <- struct{}{}
	}
	return func() {
		for range n {
			<-s.halfOpen
		}
	}
}

// Frame feeds a stream in pieces of the given sizes, the last size again and again, and tells whether a message is under way at
// its end and what was wrong.
func Frame(stream []byte, sizes ...int) (unfinished bool, err error) {
	var f framer
	for i := 0; len(stream) > 0 && err == nil; i++ {
		n := min(len(stream), max(1, sizes[min(i, len(sizes)-1)]))
		_, err = f.feed(stream[:n], time.Unix(1000, 0))
		stream = stream[n:]
	}
	_, unfinished = f.unfinished()
	return unfinished, err
}

// ParseStream gives a stream to sipgo's parser as it is set up here.
func ParseStream(stream []byte) (messages int, err error) {
	err = newParser().NewSIPStream().ParseSIPStream(stream, func(sip.Message) { messages++ })
	return messages, err
}

// Sweep looks at the session timers now.
func (s *Server) Sweep() { s.sweep() }

// Connections tells how many TCP connections of known sources are open.
func (s *Server) Connections() int {
	n := 0
	for _, e := range s.endpoints {
		if e.tcp != nil {
			e.tcp.mu.Lock()
			n += len(e.tcp.open)
			e.tcp.mu.Unlock()
		}
	}
	return n
}

var (
	RepairContact = repairContact
	Quoted        = quoted
)

// Refreshing tells whether a session refresh of ours is under way.
func (s *Server) Refreshing() bool {
	for _, d := range s.dialogs.all() {
		d.mu.Lock()
		r := d.timer.requested
		d.mu.Unlock()
		if r {
			return true
		}
	}
	return false
}

var (
	SplitList   = splitList
	NewSchedule = newSchedule
)

// Examine does everything with a datagram that is done before the Recorder hears of it, without a socket.
func Examine(data []byte) {
	p := newParser()
	m := newDoorman(p, time.Now, func(Refused) {})
	m.answer(data, netip.MustParseAddrPort("192.0.2.1:5060"), strangerReason)
	msg, err := p.ParseSIP(data)
	req, ok := msg.(*sip.Request)
	if err != nil || !ok {
		return
	}
	if _, err := sip.ServerTxKeyMake(req); err != nil {
		return
	}
	in := &inbound{req: req, src: &Source{}, tag: "ours", place: place{transport: "udp"}}
	if validate(req) != nil {
		return
	}
	_ = in.response(200, "OK", []byte("v=0"), readTimer(req).answer(true).headers()...).String()
	if validateExtensions(req) != nil || validateInvite(req) != nil {
		return
	}
	d := newDialog(dialogID(req), in, 1)
	d.place = place{transport: "tcp", contact: netip.MustParseAddrPort("192.0.2.1:5060")}
	keptHeaders(req, []string{"Via", "X-Any"})
	c, _ := readBody(in)
	o := proposal(c.Metadata)
	a := siprec.Answer{Addr: netip.MustParseAddr("192.0.2.1"), Media: make([]siprec.AnswerMedia, len(o.Media))}
	for i, m := range o.Media {
		a.Media[i] = siprec.AnswerMedia{Port: 40000, Direction: siprec.RecvOnly, Formats: m.Formats}
	}
	sdp, err := a.Marshal(o, siprec.Origin{})
	if err != nil {
		panic(err)
	}
	if back, err := siprec.ParseOffer(sdp); err != nil || len(back.Media) != len(o.Media) {
		panic(fmt.Sprintf("proposal %q: %v", sdp, err))
	}
}

// ExamineAnswer does everything with the answer to a request of ours, a 200 or a refusal, that is done before the Recorder hears of it.
func ExamineAnswer(data []byte) {
	msg, err := newParser().ParseSIP(data)
	res, ok := msg.(*sip.Response)
	if err != nil || !ok {
		return
	}
	_ = outcome(sip.INVITE, res)
	d := &dialog{ended: make(chan struct{})}
	d.learn(res)
	d.raise(minSEOf(res))
	d.refreshed(res, time.Unix(0, 0))
	d.timerFields()
	c, _ := readContent(res, time.Unix(0, 0))
	if c.Offer != nil && relabel(c.Offer, c.Offer) == nil && !sameDescription(c.Offer, c.Offer) {
		panic("a description differs from itself")
	}
}

// Judge feeds a sequence and tells for each number whether it is taken, too early or stale.
func Judge(last uint32, numbers ...uint32) (out []string) {
	s := sequence{last}
	for _, n := range numbers {
		switch s.judge(n) {
		case stale:
			out = append(out, "stale")
			continue
		case ahead:
			out = append(out, "ahead")
		default:
			out = append(out, "next")
		}
		s.accept(n)
	}
	return out
}

// AnswerTimer decides about a session timer: the Session-Expires of the 2xx and whether it has Require: timer.
func AnswerTimer(interval time.Duration, by string, supported, weCan bool) (string, bool) {
	a := timerOffer{interval: interval, refresher: refresher(by), supported: supported}.answer(weCan)
	hs := a.headers()
	if len(hs) == 0 {
		return "", false
	}
	return hs[0].Value(), a.require
}

// TakeTokens asks a bucket of two tokens, one more each second, at these times.
func TakeTokens(at ...time.Duration) (out []bool) {
	b := bucket{rate: 1, size: 2, tokens: 2}
	for _, d := range at {
		out = append(out, b.take(time.Unix(1000, 0).Add(d)))
	}
	return out
}

// Next is next.
func (s *schedule) Next() (time.Duration, bool) { return s.next() }

// Turn sends addresses through a turnstile and tells who comes in; "-" and an address: one leaves.
func Turn(most, mostPer int, addrs ...string) (out []string) {
	t := turnstile{most: most, mostPer: mostPer}
	inside := map[string][]func(){}
	for _, a := range addrs {
		if who, leaves := strings.CutPrefix(a, "-"); leaves {
			inside[who][0]()
			inside[who] = inside[who][1:]
			continue
		}
		leave, ok := t.enter(netip.MustParseAddr(a), time.Time{})
		if !ok {
			out = append(out, "out")
			continue
		}
		inside[a] = append(inside[a], leave)
		out = append(out, "in")
	}
	return out
}

// Prove tells whether an Authorization field proves the password.
func Prove(user, password, realm, method, authorization string) bool {
	c, ok := parseCredentials(authorization)
	return ok && Digest{User: user, Password: siprec.NewSecret([]byte(password))}.prove(c, method, realm)
}

// Nonces is what checks nonces.
type Nonces struct{ *nonces }

func NewNonces() Nonces { return Nonces{newNonces()} }

func (n Nonces) Make(src string, now time.Time) string { return n.make(src, now) }
func (n Nonces) Spend(nonce, src string, count uint32, now time.Time) bool {
	return n.spend(nonce, src, count, now)
}

// Kept is how many nonces are remembered, and MaxNonces how many may be.
func (n Nonces) Kept() int { return len(n.used) }

const (
	MaxNonces = maxNonces
	NonceLife = nonceLife
)

// Screen gives a datagram to a new screen, and tells whether it passes it on, or answers it.
func Screen(data []byte) (passed bool, answer []byte) {
	sources := []Source{{Name: "one"}}
	c := newScreen(newParser(), time.Now, func(siprec.DialogID) bool { return false }, sources)
	passed, answer, _ = c.admit(data, netip.MustParseAddrPort("192.0.2.1:5060"), &sources[0])
	return passed, answer
}
