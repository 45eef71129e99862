package srs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestWeRefreshByReinvite is for a client that leaves the refreshing to us and takes no UPDATE.
func TestWeRefreshByReinvite(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		clk := newClock()
		r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
		c := r.dial(network).caller()
		ok := c.open(multipartType, both("sendonly", "sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas", "Min-SE: 120", "Allow: INVITE, BYE")
		if se := ok.header.Get("Session-Expires"); se != "200;refresher=uas" {
			t.Fatalf("Session-Expires %q", se)
		}
		for i := range 2 {
			clk.add(100 * time.Second)
			r.server.Sweep()
			r.server.Sweep()
			m := c.request("INVITE")
			if m.body != ok.body {
				t.Errorf("description %q, was %q", m.body, ok.body)
			}
			for name, want := range map[string]string{"Session-Expires": "200;refresher=uac", "Min-Se": "120", "Supported": "siprec, timer"} {
				if got := m.header.Get(name); got != want {
					t.Errorf("%s %q, want %q", name, got, want)
				}
			}
			directions := []string{"sendonly", "sendonly"}
			if i == 1 { // the client uses the occasion
				directions[1] = "inactive"
			}
			c.replyWith(m, "200 OK", "application/sdp", offer(directions...), "Require: timer", "Session-Expires: 200;refresher=uac")
			c.request("ACK")
			waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
		}
		if u := take(t, "Update", rec.updates); !u.Answered || u.Offer.Media[1].Direction != siprec.Inactive {
			t.Errorf("update %+v", u)
		}
		if len(rec.updates) != 0 {
			t.Error("an answer without news was handed on")
		}
		clk.add(100 * time.Second)
		r.server.Sweep()
		c.reply(c.request("INVITE"), "481 Gone")
		c.reply(c.request("BYE"), "481 Gone")
		if e := take(t, "End", rec.ends); e.cause != siprec.EndLost {
			t.Errorf("ended %+v", e)
		}
	})
}

// TestShortInterval: a 422 raises the interval of our refresh, and what it said is said from then on.
func TestShortInterval(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas", "Allow: INVITE, UPDATE")
	clk.add(100 * time.Second)
	r.server.Sweep()
	c.replyWith(c.request("UPDATE"), "422 Too Small", "", "", "Min-SE: 600")
	m := c.request("UPDATE")
	if m.header.Get("Session-Expires") != "600;refresher=uac" || m.header.Get("Min-Se") != "600" || m.cseq() != "2 UPDATE" {
		t.Errorf("UPDATE %v", m.header)
	}
	c.replyWith(m, "200 OK", "", "", "Session-Expires: 600;refresher=uac", "Require: timer")
	waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	clk.add(299 * time.Second)
	r.server.Sweep()
	if r.server.Refreshing() {
		t.Error("refreshed before half of the new interval")
	}
	clk.add(time.Second)
	r.server.Sweep()
	if m := c.request("UPDATE"); m.header.Get("Session-Expires") != "600;refresher=uac" || m.header.Get("Min-Se") != "600" {
		t.Errorf("UPDATE %v", m.header)
	} else {
		c.replyWith(m, "200 OK", metadataType, metadata("alice"))
	}
	if u := take(t, "Update", rec.updates); u.Offer != nil || u.Metadata == nil {
		t.Errorf("update %+v", u)
	}
	waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	c.bye()
}

// TestRefusedUpdateIsReinvited: a client that says it takes UPDATE and does not is refreshed by re-INVITE.
func TestRefusedUpdateIsReinvited(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas", "Allow: INVITE, UPDATE")
	clk.add(100 * time.Second)
	r.server.Sweep()
	c.reply(c.request("UPDATE"), "405 Method Not Allowed")
	waitFor(t, "the refusal to be noted", func() bool { return !r.server.Refreshing() })
	r.server.Sweep()
	if r.server.Refreshing() {
		t.Error("tried again at once")
	}
	clk.add(5 * time.Second)
	r.server.Sweep()
	c.accept(c.request("INVITE"), "sendonly")
	waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	c.bye()
}

// TestNeverRefreshed: when no refresh of ours succeeds, a third of a short interval before its end the session is given up.
func TestNeverRefreshed(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 90;refresher=uas")
	for d := 45 * time.Second; d < 60*time.Second; d += 5 * time.Second {
		if d == 45*time.Second {
			clk.add(d)
		} else {
			clk.add(5 * time.Second)
		}
		r.server.Sweep()
		c.reply(c.request("INVITE"), "500 No")
		c.request("ACK")
		waitFor(t, "the refusal to be noted", func() bool { return !r.server.Refreshing() })
	}
	if len(rec.ends) != 0 {
		t.Fatal("ended too early")
	}
	clk.add(5 * time.Second) // 60 s of 90
	r.server.Sweep()
	bye := c.request("BYE")
	c.reply(bye, "200 OK")
	if e := take(t, "End", rec.ends); e.cause != siprec.EndLost {
		t.Errorf("ended %+v", e)
	}
	if got := bye.header.Get("Reason"); !strings.HasPrefix(got, `SIP;cause=408;text="`) {
		t.Errorf("Reason %q", got)
	}
}

// TestTimerOfOurRequests: our re-INVITE repeats the session timer, and its 2xx decides what becomes of it.
func TestTimerOfOurRequests(t *testing.T) {
	for name, x := range map[string]struct {
		answer []string
		next   time.Duration // when the client is silent after it
		live   bool
	}{
		"repeated":   {[]string{"Require: timer", "Session-Expires: 1800;refresher=uas"}, 1769 * time.Second, false},
		"turned off": {nil, 5000 * time.Second, true},
		"absurd":     {[]string{"Session-Expires: 3;refresher=uas"}, 59 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := newFake(t)
			clk := newClock()
			r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
			c := r.dial("udp").caller()
			c.open(multipartType, both("sendonly", "sendonly"), "Supported: timer", "Session-Expires: 1800")
			clk.add(1000 * time.Second)
			done := r.reoffer(t.Context(), c, siprec.Inactive, siprec.Inactive)
			m := c.request("INVITE")
			if se := m.header.Get("Session-Expires"); se != "1800;refresher=uas" { // seen from our transaction, the client is the UAS
				t.Errorf("Session-Expires %q", se)
			}
			c.replyWith(m, "200 OK", "application/sdp", offer("inactive", "inactive"), x.answer...)
			if err := take(t, "result", done); err != nil {
				t.Fatal(err)
			}
			clk.add(x.next)
			r.server.Sweep()
			if x.live {
				c.expect(c.ask("INFO", "", ""), 200)
				c.bye()
				return
			}
			c.reply(c.request("BYE"), "200 OK")
			take(t, "End", rec.ends)
		})
	}
}
