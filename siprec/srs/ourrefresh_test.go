package srs_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/srs"
)

// TestRefresherLeftOut: a 2xx to our refresh whose Session-Expires names no refresher leaves it as we asked, or nobody refreshes,
// and a session of which audio comes is ended.
func TestRefresherLeftOut(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 200;refresher=uas", "Allow: INVITE, UPDATE")
	clk.add(100 * time.Second)
	r.server.Sweep()
	c.replyWith(c.request("UPDATE"), "200 OK", "", "", "Session-Expires: 200")
	waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	clk.add(100 * time.Second)
	r.server.Sweep()
	if !r.server.Refreshing() {
		t.Error("we do not refresh any more")
	} else {
		c.reply(c.request("UPDATE"), "200 OK")
		waitFor(t, "the timer to restart", func() bool { return !r.server.Refreshing() })
	}
	c.bye()
}

// TestRefreshedWithoutDescription: a 2xx to our refresh refreshes the session (RFC 4028 section 7.2), though its body is not
// what it should be; the next one is due at half of the interval, not at once.
func TestRefreshedWithoutDescription(t *testing.T) {
	rec := newFake(t)
	clk := newClock()
	r := start(t, rec, func(c *srs.Config) { c.Clock = clk.now })
	c := r.dial("udp").caller()
	c.open(multipartType, both("sendonly"), "Supported: timer", "Session-Expires: 1800;refresher=uas", "Allow: INVITE, BYE")
	clk.add(900 * time.Second)
	r.server.Sweep()
	c.replyWith(c.request("INVITE"), "200 OK", "", "", "Session-Expires: 1800;refresher=uac")
	c.request("ACK")
	waitFor(t, "the answer to be refused", func() bool {
		return r.logs.FilterMessage("session not refreshed").Len()+r.logs.FilterMessage("answer to our refresh not taken").Len() > 0
	})
	clk.add(10 * time.Second)
	r.server.Sweep()
	if r.server.Refreshing() {
		t.Error("refreshed again ten seconds after a 200")
		c.replyWith(c.request("INVITE"), "200 OK", "application/sdp", offer("sendonly"))
		c.request("ACK")
	}
	c.bye()
}

// TestShortIntervalOfAClientWithoutTimers: a proxy asked for it, and the client knows nothing of a 422, which would cost the
// recording: only a client that supports timers may be refused (RFC 4028 section 9).
func TestShortIntervalOfAClientWithoutTimers(t *testing.T) {
	r := start(t, newFake(t))
	c := r.dial("udp").caller()
	ok := c.open(multipartType, both("sendonly"), "Session-Expires: 60")
	if se := ok.header.Get("Session-Expires"); se != "" {
		t.Errorf("Session-Expires %q, which is shorter than any may be", se)
	}
	c.bye()
}
