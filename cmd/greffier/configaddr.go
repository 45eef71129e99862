package main

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addresses are what SRCs are told, and where RTP is received.
type addresses struct {
	sip   []netip.AddrPort // of Contact; one of each family at most
	media []netip.Addr     // of the SDP, likewise
	bind  netip.Addr       // of RTP's sockets
}

// addresses reads sip.advertise, media.advertise and media.address.
func (c Config) addresses() (addresses, error) {
	var a addresses
	var err error
	if a.sip, err = perFamily(c.SIP.Advertise, netip.ParseAddrPort, netip.AddrPort.Addr); err != nil {
		return a, fmt.Errorf("sip.advertise: %w; write address:port", err)
	}
	self := func(a netip.Addr) netip.Addr { return a }
	bind, err := perFamily(c.Media.Address, netip.ParseAddr, self)
	if err != nil {
		return a, fmt.Errorf("media.address: %w; write an IPv4 or IPv6 address, or leave it out", err)
	}
	if a.media, err = perFamily(c.Media.Advertise, netip.ParseAddr, self); err != nil {
		return a, fmt.Errorf("media.advertise: %w; write an IPv4 or IPv6 address, or leave it out", err)
	}
	if a.media == nil {
		a.media = bind
	}
	// Behind a NAT media.address is the NAT's, as long as media.advertise does not say so.
	ours := c.Media.Advertise != "" || c.SIP.Advertise == ""
	a.bind = c.SIP.bindAddr()
	switch {
	case len(bind) == 1 && ours:
		a.bind = bind[0]
	case len(bind) == 2:
		a.bind = netip.IPv6Unspecified() // takes IPv4 too
	}
	return a, nil
}

// perFamily reads a list with at most one address of each family.
func perFamily[T any](list string, parse func(string) (T, error), addr func(T) netip.Addr) ([]T, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var out []T
	has := map[bool]bool{}
	for item := range strings.SplitSeq(list, ",") {
		x, err := parse(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		a := addr(x)
		if a.IsUnspecified() {
			return nil, fmt.Errorf("%s cannot be sent to", a)
		}
		if has[a.Is4()] {
			return nil, fmt.Errorf("%q has two addresses of a family", list)
		}
		has[a.Is4()] = true
		out = append(out, x)
	}
	return out, nil
}

// bindAddr is where RTP is received when nothing is said of it: any address; with loopback listeners only it is loopback.
func (s SIPConfig) bindAddr() netip.Addr {
	any4, first := true, netip.Addr{}
	for _, l := range s.Listen {
		_, hostport, _ := strings.Cut(l, "://")
		ap, err := netip.ParseAddrPort(hostport)
		if err != nil {
			continue // package srs says what is wrong with it
		}
		if !first.IsValid() {
			first = ap.Addr()
		}
		any4 = any4 && ap.Addr().Is4()
		if ap.Addr() != first || !ap.Addr().IsLoopback() {
			first = netip.IPv4Unspecified()
		}
	}
	if first.IsLoopback() {
		return first
	}
	if any4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified() // takes IPv4 too
}
