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
