package srs_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/greffier/greffier/siprec/srs"
)

// TestDialogBehindAPassword: a dialog of a client that proves its password is not touched from the address of a client that has
// none, or the password guards nothing against who reads along and writes that address.
func TestDialogBehindAPassword(t *testing.T) {
	rec := newFake(t)
	secret := secretSource()
	secret.Name, secret.Prefixes = "secret", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	open := srs.Source{Name: "open", Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	r := start(t, rec, func(c *srs.Config) { c.Sources = []srs.Source{secret, open} })
	c := r.dial("udp").caller()
	k := &knower{password: "correct horse", algorithm: "SHA-256"}
	k.hears(t, c.expect(c.ask("INVITE", multipartType, both("sendonly")), 401))
	c.ack("", "")
	c.open(multipartType, both("sendonly"), k.field(t, "INVITE"))

	other := *c
	other.peer = dial(t, r.listener("udp"), "127.0.0.2")
	m := other.expect(other.ask("INVITE", multipartType, both("inactive")), 481)
	if got := m.header.Get("Warning"); !strings.Contains(got, "dialog") {
		t.Errorf("Warning %q", got)
	}
	other.expect(other.ask("BYE", "", ""), 481)
	c.expect(c.ask("BYE", "", "", k.field(t, "BYE")), 200)
	take(t, "End", rec.ends)
	if len(rec.updates) != 0 {
		t.Error("the session was changed from another address")
	}
}
