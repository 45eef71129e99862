package srs_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// loopbackWith is the loopback addresses as one source.
func loopbackWith(src srs.Source) func(*srs.Config) {
	src.Name, src.Prefixes = "sbc", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	return func(c *srs.Config) { c.Sources = []srs.Source{src} }
}

// frozen is a clock that stands still.
func frozen(c *srs.Config) {
	now := time.Now()
	c.Clock = func() time.Time { return now }
}

// TestSourceRate refuses a source's INVITEs above its rate and serves everything else that it sends.
func TestSourceRate(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec, loopbackWith(srs.Source{MaxRate: 0.4}), frozen) // a burst of two
		p := r.dial(network)
		first, second, third := p.caller(), p.caller(), p.caller()
		first.open(multipartType, both("sendonly"))
		second.open(multipartType, both("sendonly"))
		got := third.expect(third.ask("INVITE", multipartType, both("sendonly")), 503)
		third.ack("", "")
		if got.header.Get("Retry-After") != "5" || !strings.Contains(got.header.Get("Warning"), "more requests than its profile allows") {
			t.Errorf("answer %v", got.header)
		}
		first.expect(first.ask("INVITE", multipartType, both("inactive")), 200)
		first.ack("", "")
		first.expect(first.ask("UPDATE", metadataType, metadata("alice")), 200)
		third.expect(third.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
		first.bye()
		second.bye()
		r.server.Sweep()
		if ref := r.refusal(503); ref.Cause != srs.CauseSourceRate || ref.SRC != "sbc" || ref.Kind != siprec.Unavailable {
			t.Errorf("report %+v", ref)
		}
	})
}

// TestRepeatedINVITE says the same to every copy of an INVITE, and counts them once.
func TestRepeatedINVITE(t *testing.T) {
	rec := newFake(t)
	hold := make(chan struct{})
	rec.begin = func(_ context.Context, in siprec.Invitation) (siprec.Answer, error) {
		<-hold
		return answerTo(in.Offer, in.Local), nil
	}
	r := start(t, rec, loopbackWith(srs.Source{MaxRate: 0.2}), frozen) // a burst of one
	taken, refused := r.dial("udp").caller(), r.dial("udp").caller()
	taken.seq, refused.seq = 1, 1
	a := taken.compose("INVITE", multipartType, both("sendonly"))
	taken.send(a)
	taken.until("100", func(m message) bool { return m.status() == 100 })
	b := refused.compose("INVITE", multipartType, both("sendonly"))
	for range 3 {
		refused.send(b)
		refused.expect("1 INVITE", 503)
		taken.send(a)
	}
	close(hold)
	ok := taken.expect("1 INVITE", 200)
	taken.toTag = ok.toTag()
	taken.ack("", "")
	taken.bye()
}

// TestSourceSessions refuses a source's sessions above its number, in OPTIONS too, while another source goes on.
func TestSourceSessions(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) {
		c.Sources = []srs.Source{
			{Name: "small", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, MaxSessions: 1},
			{Name: "large", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
		}
	})
	p := dial(t, r.listener("udp"), "127.0.0.2")
	first, second := p.caller(), p.caller()
	first.open(multipartType, both("sendonly"))
	for _, method := range []string{"OPTIONS", "INVITE"} {
		second.expect(second.ask(method, multipartType, both("sendonly"), "To: <sip:x@y>"), 503)
		if ref := r.refusal(503); ref.Cause != srs.CauseSourceSessions || ref.SRC != "small" {
			t.Errorf("report %+v", ref)
		}
	}
	second.ack("", "")
	other := r.dial("udp").caller()
	other.open(multipartType, both("sendonly"))
	other.bye()
	first.bye()
	take(t, "End", rec.ends)
	take(t, "End", rec.ends)
	second.open(multipartType, both("sendonly"))
	second.bye()
}

// TestOptionsTellsTheTruth answers OPTIONS with what an INVITE would get, and serves dialogs whatever that is.
func TestOptionsTellsTheTruth(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) { c.MaxDialogs = 1 })
	p := r.dial("udp")
	c, other := p.caller(), p.caller()
	ask := func(status int, cause string) {
		t.Helper()
		got := other.expect(other.ask("OPTIONS", "", "", "To: <sip:x@y>"), status)
		if status == 200 {
			return
		}
		if got.header.Get("Retry-After") == "" || !strings.HasPrefix(got.header.Get("Warning"), `399 greffier "`) {
			t.Errorf("answer %v", got.header)
		}
		if ref := r.refusal(status); ref.Cause != cause {
			t.Errorf("report %+v, want cause %s", ref, cause)
		}
	}
	ask(200, "")
	empty := r.server.Fill()
	ask(503, srs.CauseHalfOpen)
	empty()
	c.open(multipartType, both("sendonly"))
	ask(503, srs.CauseSessions)
	drained := make(chan error, 1)
	go func() { drained <- r.server.Drain(t.Context()) }()
	waitFor(t, "draining", func() bool {
		other.expect(other.ask("OPTIONS", "", "", "To: <sip:x@y>"), 503)
		return r.refusal(503).Cause == srs.CauseDraining
	})
	c.expect(c.ask("INVITE", multipartType, both("inactive")), 200)
	c.ack("", "")
	c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 200)
	c.expect(c.ask("OPTIONS", "", ""), 200)
	c.bye()
	if err := take(t, "end of Drain", drained); err != nil {
		t.Error(err)
	}
}

// TestGarbageOverUDP counts what a known source sends that is no SIP, and answers what can be answered.
func TestGarbageOverUDP(t *testing.T) {
	r := start(t, newFake(t))
	p := r.dial("udp")
	for i := range 100 {
		p.send(fmt.Sprintf("garbage %d\r\n\r\n", i))
	}
	c := p.caller()
	c.seq = 1
	p.send(c.compose("INVITE", multipartType, both("sendonly"), "Content-Length: 9000"))
	if got := c.expect("1 INVITE", 400); !strings.Contains(got.header.Get("Warning"), "could not be read") {
		t.Errorf("answer %v", got.header)
	}
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 200)
	r.server.Sweep()
	if ref := r.refusal(400); ref.Cause != srs.CauseGarbage || ref.Count != 101 || ref.SRC != "loopback" {
		t.Errorf("report %+v", ref)
	}
	if n := r.logs.FilterMessage("sip request refused").Len(); n != 1 {
		t.Errorf("%d log lines", n)
	}
}

// TestRefusalsAreSummedUp reports the first refusals of a flood one by one and the others as a number.
func TestRefusalsAreSummedUp(t *testing.T) {
	r := start(t, newFake(t), frozen)
	p := r.dial("tcp")
	const sent = 500
	for range sent {
		c := p.caller()
		c.expect(c.ask("BYE", "", "", "To: <sip:x@y>;tag=gone"), 481)
	}
	single := len(r.refused)
	if single < 20 || single > 200 {
		t.Errorf("%d were reported one by one", single)
	}
	for range single {
		r.refusal(481)
	}
	r.server.Sweep()
	if ref := r.refusal(481); ref.Count != sent-single {
		t.Errorf("the others are %d, want %d", ref.Count, sent-single)
	}
}

// TestFloodInADialog lets through what one client may ask within dialogs, drops what is above without a word, and serves what
// comes later.
func TestFloodInADialog(t *testing.T) {
	rec := newFake(t)
	clock := make(chan time.Time, 1)
	now := time.Now()
	clock <- now
	r := start(t, rec, func(c *srs.Config) { c.Clock = func() time.Time { at := <-clock; clock <- at; return at } })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	answered := 0
	for range 60 {
		for range 100 {
			c.send(c.compose("OPTIONS", "", "", "CSeq: 1 OPTIONS")) // stale: answered at once
		}
		for {
			if _, ok := c.read(20 * time.Millisecond); !ok {
				break
			}
			answered++
		}
	}
	if answered < 4500 || answered > 5000 {
		t.Errorf("%d of 6000 were answered, want 5000 at most", answered)
	}
	<-clock
	clock <- now.Add(time.Second)
	c.bye()
}
