package srs

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// What we tell every client that we can do.
const (
	allowed   = "INVITE, ACK, CANCEL, BYE, UPDATE, INFO, OPTIONS"
	supported = "siprec, timer"
	accepted  = "application/sdp, application/rs-metadata, application/rs-metadata+xml, multipart/mixed"
	product   = "Greffier"
)

// capabilities are the header fields of a 200 to INVITE and OPTIONS.
func capabilities() []sip.Header {
	return []sip.Header{
		sip.NewHeader("Allow", allowed),
		sip.NewHeader("Supported", supported),
		sip.NewHeader("Accept", accepted),
		sip.NewHeader("Server", product),
	}
}

// abilities are the header fields of an INVITE and OPTIONS of ours.
func abilities() []sip.Header {
	return []sip.Header{
		sip.NewHeader("Allow", allowed),
		sip.NewHeader("Supported", supported),
		sip.NewHeader("Accept", accepted),
		sip.NewHeader("User-Agent", product),
	}
}

// A place is where a request reached us.
type place struct {
	transport string         // "udp", "tcp" or "tls"
	sips      bool           // the client asked for a SIPS URI
	bound     netip.AddrPort // the listener's, or the connection's, own address
	local     netip.AddrPort // the same with a concrete address
	contact   netip.AddrPort // what Contact and Via say
	media     netip.Addr     // what the session description should say
}

// contactHeader is our Contact (RFC 7866 section 6.2: the SRS marks it with +sip.srs).
func (p place) contactHeader() sip.Header {
	if p.sips { // RFC 5630 section 3.1.4: without transport=tls
		return sip.NewHeader("Contact", fmt.Sprintf("<sips:greffier@%s>;+sip.srs", p.contact))
	}
	return sip.NewHeader("Contact", fmt.Sprintf("<sip:greffier@%s;transport=%s>;+sip.srs", p.contact, p.transport))
}

// response builds an answer to the request. Via, From, To, Call-ID, CSeq and Record-Route are copied by sipgo.
func (in *inbound) response(status int, reason string, body []byte, headers ...sip.Header) *sip.Response {
	res := sip.NewResponseFromRequest(in.req, status, reason, body)
	res.SipVersion = "SIP/2.0"
	if to := res.To(); to != nil && in.tag != "" && !isInDialog(in.req) && status > 100 {
		to.Params.Add("tag", in.tag)
	}
	for _, h := range headers {
		res.AppendHeader(h)
	}
	if len(body) > 0 {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	return res
}

// uriHost gives the address in a URI's host, which may be a name.
func uriHost(u sip.Uri) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(u.Host, "[]"))
	return a.Unmap(), err == nil
}
