package srs_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec/srs"
)

// TestFamilies listens on IPv4 and IPv6, and gives each client the advertised address of its own family.
func TestFamilies(t *testing.T) {
	rec := newFake(t)
	r := start(t, rec, func(c *srs.Config) {
		c.Listen = []string{"udp://127.0.0.1:0", "udp://[::1]:0", "tcp://[::]:0"}
		c.Sources = []srs.Source{{Name: "here", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
		c.Advertise = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:5070"), netip.MustParseAddrPort("[2001:db8::7]:5070")}
		c.MediaAddr = []netip.Addr{netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("2001:db8::8")}
	})
	_, port := hostPort(r.listener("tcp"))
	for _, x := range []struct{ listener, contact, media, family string }{
		{r.server.Addrs()[0], "192.0.2.7:5070", "192.0.2.8", "IP4"},
		{r.server.Addrs()[1], "[2001:db8::7]:5070", "2001:db8::8", "IP6"},
		{"tcp://" + net.JoinHostPort("127.0.0.1", port), "192.0.2.7:5070", "192.0.2.8", "IP4"},
		{"tcp://" + net.JoinHostPort("::1", port), "[2001:db8::7]:5070", "2001:db8::8", "IP6"},
	} {
		c := dial(t, x.listener, "").caller()
		ok := c.open(multipartType, both("sendonly"))
		if got := ok.header.Get("Contact"); !strings.HasPrefix(got, "<sip:greffier@"+x.contact+";") {
			t.Errorf("%s: Contact %q", x.listener, got)
		}
		if in := take(t, "Begin", rec.begins); in.Local.String() != x.media {
			t.Errorf("%s: local %s", x.listener, in.Local)
		}
		if !strings.Contains(ok.body, "IN "+x.family+" "+x.media) {
			t.Errorf("%s: description %q", x.listener, ok.body)
		}
		c.bye()
	}
}
