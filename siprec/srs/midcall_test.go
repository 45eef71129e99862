package srs_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// version gives the version and the rest of an answer's o= line.
func version(t *testing.T, sdp string) (session, version string) {
	t.Helper()
	for line := range strings.Lines(sdp) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(line, "o=") {
			return f[1], f[2]
		}
	}
	t.Fatalf("no o= line in %q", sdp)
	return "", ""
}

// TestReinvite walks through the forms of re-INVITE: hold, resume, a new stream, metadata alone, nothing at all.
func TestReinvite(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		session, v0 := version(t, c.open(multipartType, both("sendonly", "sendonly")).body)

		again := func(contentType, body string) string {
			t.Helper()
			ok := c.expect(c.ask("INVITE", contentType, body), 200)
			c.ack("", "")
			if s, _ := version(t, ok.body); s != session {
				t.Errorf("session number %s, was %s", s, session)
			}
			if !strings.Contains(ok.header.Get("Contact"), ";+sip.srs") || ok.header.Get("Content-Type") != "application/sdp" {
				t.Errorf("answer %v", ok.header)
			}
			return ok.body
		}
		hold := again("application/sdp", offer("inactive", "sendonly"))
		_, v1 := version(t, hold)
		if strings.Count(hold, "a=inactive") != 1 || strings.Count(hold, "a=recvonly") != 1 || v1 == v0 {
			t.Errorf("hold answered with version %s after %s and %q", v1, v0, hold)
		}
		if u := take(t, "Update", rec.updates); u.Offer == nil || u.Metadata != nil || u.At.IsZero() {
			t.Errorf("update %+v", u)
		}
		if _, v := version(t, again("application/sdp", offer("inactive", "sendonly"))); v != v1 {
			t.Errorf("an equal answer has version %s, not %s", v, v1)
		}
		take(t, "Update", rec.updates)

		three := again(multipartType, both("sendonly", "sendonly", "sendonly"))
		if strings.Count(three, "m=audio") != 3 || !strings.Contains(three, "a=label:3") {
			t.Errorf("three streams answered with %q", three)
		}
		if u := take(t, "Update", rec.updates); u.Offer == nil || u.Metadata == nil {
			t.Errorf("update %+v", u)
		}

		if got := again(metadataType, metadata("alice", "bob", "carol")); got != three {
			t.Errorf("metadata alone answered with %q", got)
		}
		if u := take(t, "Update", rec.updates); u.Offer != nil || len(u.Metadata.Participants) != 3 {
			t.Errorf("update %+v", u)
		}
		if got := again("", ""); got != three {
			t.Errorf("nothing answered with %q", got)
		}
		c.expect(c.ask("INVITE", "text/plain", "hello"), 415)
		c.ack("", "")
		c.bye()
		if len(rec.updates) != 0 {
			t.Errorf("%d more updates", len(rec.updates))
		}
	})
}

// TestOfferlessReinvite answers with our description as an offer and takes the answer from the ACK.
func TestOfferlessReinvite(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec)
	c := r.dial("udp").caller()
	first := c.open(multipartType, both("sendonly", "sendonly"))
	ok := c.expect(c.ask("INVITE", "", ""), 200)
	if ok.body != first.body {
		t.Errorf("offer %q, not %q", ok.body, first.body)
	}
	seq := c.seq
	c.expect(c.ask("UPDATE", "application/sdp", offer("sendonly", "inactive")), 491)
	c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 200)
	take(t, "Update", rec.updates)
	after := c.seq
	c.seq = seq
	c.ack("application/sdp", offer("sendonly", "inactive"))
	c.seq = after
	if u := take(t, "Update", rec.updates); u.Offer == nil || u.Offer.Media[1].Direction != siprec.Inactive {
		t.Errorf("update %+v", u)
	}
	if got := c.expect(c.ask("UPDATE", "application/sdp", offer("sendonly", "sendonly")), 200); got.body != first.body {
		t.Errorf("answer %q, not %q", got.body, first.body)
	}
	c.bye()
}

// TestReinviteNeverAcked is what OpenSIPS does: two re-INVITEs back to back, the first of which it never acknowledges.
func TestReinviteNeverAcked(t *testing.T) {
	rec := newFake(t)
	r := startShort(t, rec, 5*time.Millisecond)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly", "sendonly"))
	first := c.ask("INVITE", multipartType, both("inactive", "sendonly"))
	second := c.ask("INVITE", multipartType, both("inactive", "inactive"))
	c.expect(first, 200)
	ok := c.expect(second, 200)
	if strings.Count(ok.body, "a=inactive") != 2 {
		t.Errorf("answer %q", ok.body)
	}
	c.ack("", "")
	deadline := time.Now().Add(600 * time.Millisecond) // 64*T1 is 320 ms
	for time.Now().Before(deadline) {
		if m, ok := c.read(time.Until(deadline)); ok && m.method() != "" {
			t.Fatalf("unexpected %q", m.start)
		}
	}
	c.bye()
	if e := take(t, "End", rec.ends); e.cause != siprec.EndBye {
		t.Errorf("ended %+v", e)
	}
}

func TestUpdateAndInfo(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly"))

		if ok := c.expect(c.ask("UPDATE", "application/sdp", offer("inactive")), 200); !strings.Contains(ok.body, "a=inactive") {
			t.Errorf("answer %q", ok.body)
		}
		if u := take(t, "Update", rec.updates); u.Offer == nil || u.Metadata != nil {
			t.Errorf("update %+v", u)
		}
		for _, method := range []string{"UPDATE", "INFO"} {
			if ok := c.expect(c.ask(method, "application/rs-metadata", metadata("alice")), 200); ok.body != "" {
				t.Errorf("answer %q", ok.body)
			}
			if u := take(t, "Update", rec.updates); u.Offer != nil || len(u.Metadata.Participants) != 1 {
				t.Errorf("update %+v", u)
			}
		}
		if ok := c.expect(c.ask("UPDATE", multipartType, both("sendonly")), 200); !strings.Contains(ok.body, "a=recvonly") {
			t.Errorf("answer %q", ok.body)
		}
		if u := take(t, "Update", rec.updates); u.Offer == nil || u.Metadata == nil {
			t.Errorf("update %+v", u)
		}
		c.expect(c.ask("UPDATE", "", ""), 200)
		c.expect(c.ask("INFO", "application/dtmf-relay", "Signal=1"), 200)
		c.expect(c.ask("OPTIONS", "", ""), 200)
		c.expect(c.ask("UPDATE", "text/plain", "hello"), 415)

		c.expect(c.ask("BYE", metadataType, metadata("alice", "bob")), 200)
		if u := take(t, "Update", rec.updates); len(u.Metadata.Participants) != 2 {
			t.Errorf("update %+v", u)
		}
		take(t, "End", rec.ends)
	})
}

func TestRefusedChangeLeavesTheSession(t *testing.T) {
	rec := newFake(t)
	rec.update = func(context.Context, siprec.DialogID, siprec.Change) (siprec.Answer, error) {
		return siprec.Answer{}, &siprec.Refusal{Kind: siprec.NoMedia, Reason: "nothing to record"}
	}
	r := start(t, rec)
	c := r.dial("tcp").caller()
	first := c.open(multipartType, both("sendonly"))
	c.expect(c.ask("INVITE", multipartType, both("inactive")), 488)
	c.ack("", "")
	c.expect(c.ask("UPDATE", multipartType, both("inactive")), 488)
	ok := c.expect(c.ask("INVITE", "", ""), 200)
	c.ack("", "")
	if ok.body != first.body {
		t.Errorf("description %q, was %q", ok.body, first.body)
	}
	c.bye()
}

func TestSequenceNumbers(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	c.seq = 9
	c.open(multipartType, both("sendonly"))
	c.seq = 14
	c.expect(c.ask("INFO", "", ""), 200) // a gap is no error
	c.seq = 11
	c.expect(c.ask("INFO", "", ""), 500)
	c.expect(c.ask("BYE", "", ""), 500)
	c.seq = 14
	c.expect(c.ask("INFO", "", ""), 500)
	c.bye()
}

// TestReorderedRequests sends a BYE before the re-INVITE that precedes it, as UDP may.
func TestReorderedRequests(t *testing.T) {
	rec := newFake(t)
	rec.reorder = patience
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	c.seq += 2
	c.send(c.compose("BYE", "", ""))
	c.seq--
	c.send(c.compose("INFO", metadataType, metadata("alice", "bob")))
	c.expect("2 INFO", 200)
	c.expect("3 BYE", 200)
	take(t, "Update", rec.updates)
	take(t, "End", rec.ends)
}

func TestOverlappingRequests(t *testing.T) {
	rec := newFake(t)
	entered, hold := make(chan struct{}, 10), make(chan struct{})
	rec.update = func(_ context.Context, _ siprec.DialogID, c siprec.Change) (siprec.Answer, error) {
		entered <- struct{}{}
		<-hold
		return answerTo(c.Offer, netip.Addr{}), nil
	}
	r := startShort(t, rec, 10*time.Millisecond)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	first := c.ask("INVITE", multipartType, both("inactive"))
	take(t, "call of Update", entered)
	second := c.ask("INVITE", multipartType, both("sendonly"))
	if got := c.expect(second, 500); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	c.ack("", "")
	r.refusal(500)
	// A BYE is answered although the Recorder is busy, and ends the session when it is done.
	c.expect(c.ask("BYE", "", ""), 200)
	if len(rec.ends) != 0 {
		t.Error("ended during Update")
	}
	close(hold)
	c.expect(first, 200)
	take(t, "End", rec.ends)
}

// TestSerialisedRequests lets a client send faster than the Recorder works: in order, all are served.
func TestSerialisedRequests(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		rec.reorder = patience
		r := start(t, rec)
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly"))
		const n = 20
		var burst strings.Builder
		for i := range n {
			c.seq++
			m := c.compose("INFO", metadataType, metadata(strings.Repeat("x", i+1)))
			if network == "udp" {
				c.send(m)
			}
			burst.WriteString(m)
		}
		if network == "tcp" {
			c.send(burst.String()) // many messages in one segment
		}
		var lengths []int
		for range n {
			u := take(t, "Update", rec.updates)
			lengths = append(lengths, len(u.Metadata.Participants[0].Name()))
		}
		want := make([]int, n)
		for i := range want {
			want[i] = i + 1
		}
		if diff := cmp.Diff(want, lengths); diff != "" {
			t.Error(diff)
		}
		answered := 0
		for answered < n {
			c.until("200", func(m message) bool { return m.status() == 200 })
			answered++
		}
		c.bye()
	})
}

func TestCancelledReinviteIsUndone(t *testing.T) {
	rec := newFake(t)
	entered := make(chan struct{}, 10)
	rec.update = func(ctx context.Context, _ siprec.DialogID, c siprec.Change) (siprec.Answer, error) {
		if c.Offer.Media[0].Direction == siprec.Inactive {
			entered <- struct{}{}
			<-ctx.Done()
		}
		return answerTo(c.Offer, netip.Addr{}), nil
	}
	r := start(t, rec)
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"))
	cseq := c.ask("INVITE", multipartType, both("inactive"))
	branch := c.branch
	take(t, "call of Update", entered)
	c.send(strings.Replace(c.compose("CANCEL", "", ""), c.branch, branch, 1))
	c.expect(cseq, 487)
	c.send(strings.Replace(c.compose("ACK", "", ""), c.branch, branch, 1))
	for i, want := range []siprec.Direction{siprec.Inactive, siprec.SendOnly} {
		if u := take(t, "Update", rec.updates); u.Offer.Media[0].Direction != want {
			t.Errorf("update %d is %s, want %s", i, u.Offer.Media[0].Direction, want)
		}
	}
	c.bye()
	if e := take(t, "End", rec.ends); e.cause != siprec.EndBye {
		t.Errorf("ended %+v", e)
	}
}

// A clock is moved by the test.
type clock struct{ ch chan time.Time }

func newClock() *clock {
	c := &clock{make(chan time.Time, 1)}
	c.ch <- time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return c
}

func (c *clock) now() time.Time {
	t := <-c.ch
	c.ch <- t
	return t
}

func (c *clock) add(d time.Duration) { c.ch <- (<-c.ch).Add(d) }

// TestSessionExpires: the BYE comes 32 s before the end of a long interval (RFC 4028 section 10).
func TestSessionExpires(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		clk := newClock()
		r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
		c := r.dial(network).caller()
		ok := c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 1800;refresher=uac", "Min-SE: 90")
		if se, req := ok.header.Get("Session-Expires"), ok.header.Get("Require"); se != "1800;refresher=uac" || req != "timer" {
			t.Errorf("Session-Expires %q, Require %q", se, req)
		}
		clk.add(1767 * time.Second)
		r.server.Sweep()
		ok = c.expect(c.ask("UPDATE", "", "", "Supported: timer", "x: 1800"), 200)
		if se := ok.header.Get("Session-Expires"); se != "1800;refresher=uac" {
			t.Errorf("Session-Expires %q", se)
		}
		clk.add(1767 * time.Second)
		r.server.Sweep()
		if len(rec.ends) != 0 {
			t.Fatal("ended although it was refreshed")
		}
		clk.add(time.Second)
		r.server.Sweep()
		c.reply(c.request("BYE"), "200 OK")
		if e := take(t, "End", rec.ends); e.cause != siprec.EndLost || !e.at.Equal(clk.now()) {
			t.Errorf("ended %+v", e)
		}
	})
}

// TestWeRefresh is for clients that leave the refreshing to us.
func TestWeRefresh(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	ok := c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas", "Allow: INVITE, UPDATE")
	if se := ok.header.Get("Session-Expires"); se != "200;refresher=uas" {
		t.Errorf("Session-Expires %q", se)
	}
	for range 3 {
		clk.add(100 * time.Second)
		r.server.Sweep()
		r.server.Sweep()
		m := c.request("UPDATE")
		if m.header.Get("Session-Expires") != "200;refresher=uac" || m.header.Get("Contact") == "" || m.body != "" {
			t.Errorf("UPDATE %v", m.header)
		}
		c.reply(m, "200 OK")
		waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	}
	clk.add(100 * time.Second)
	r.server.Sweep()
	c.reply(c.request("UPDATE"), "481 Gone")
	c.reply(c.request("BYE"), "481 Gone")
	if e := take(t, "End", rec.ends); e.cause != siprec.EndLost {
		t.Errorf("ended %+v", e)
	}
}

// TestTimerDeclined is for a client that wants us to refresh and takes neither UPDATE nor re-INVITE.
func TestTimerDeclined(t *testing.T) {
	r := start(t, newFake(t), func(c *srs.Config) {
		c.Sources = []srs.Source{{Name: "sbc", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, NoReinvite: true}}
	})
	c := r.dial("udp").caller()
	ok := c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas")
	if se := ok.header.Get("Session-Expires"); se != "" {
		t.Errorf("Session-Expires %q", se)
	}
	c.bye()
}

// waitFor waits for a condition that another goroutine brings about.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}
