package srs

import (
	"context"
	"net"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// A letter is what a request of ours says besides the header fields of its dialog.
type letter struct {
	method  sip.RequestMethod
	headers []sip.Header
	kind    string // Content-Type of the body; "" when there is none
	body    []byte
}

// send sends a request other than INVITE in the dialog and gives its final answer. The error is ErrSilent when none came
// before the context's deadline, or within 64*T1.
func (s *Server) send(ctx context.Context, d *dialog, l letter) (*sip.Response, error) {
	return s.exchange(ctx, s.compose(d, d.nextSeq(), l))
}

func (s *Server) exchange(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := s.ua.TransactionLayer().Request(ctx, req)
	if err != nil {
		return nil, silence(ctx, err)
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, silence(ctx, tx.Err())
		case <-ctx.Done(): // sipgo itself waits for Timer F
			return nil, silence(ctx, ctx.Err())
		}
	}
}

// nextSeq gives the sequence number of our next request.
func (d *dialog) nextSeq() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.localSeq++
	return d.localSeq
}

// compose builds a request in the dialog (RFC 3261 section 12.2.1.1).
func (s *Server) compose(d *dialog, n uint32, l letter) *sip.Request {
	d.mu.Lock()
	target := *d.target.Clone()
	d.mu.Unlock()

	target.Headers = nil // not allowed in a Request-URI
	recipient, routes := target, d.routes
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") { // a strict router (section 12.2.1.1)
		recipient = routes[0]
		routes = append(append([]sip.Uri{}, routes[1:]...), target)
	}
	req := sip.NewRequest(l.method, recipient)
	via := &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: sip.NetworkToUpper(d.place.transport),
		Host: d.place.contact.Addr().String(), Port: int(d.place.contact.Port()),
	}
	via.Params.Add("branch", sip.GenerateBranch())
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(sip.HeaderClone(&d.local))
	req.AppendHeader(sip.HeaderClone(&d.remote))
	callID := sip.CallIDHeader(d.id.CallID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: n, MethodName: l.method})
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	for _, h := range l.headers {
		req.AppendHeader(h)
	}
	if l.kind != "" {
		req.AppendHeader(sip.NewHeader("Content-Type", l.kind))
	}
	req.SetBody(l.body)
	first := recipient
	if len(d.routes) > 0 {
		first = d.routes[0]
	}
	s.address(req, d, s.nextHop(d, first).String())
	return req
}

// address says where a request goes, and from which socket.
func (s *Server) address(req *sip.Request, d *dialog, to string) {
	req.SetTransport(sip.NetworkToUpper(d.place.transport))
	if d.place.transport == "udp" { // from the listener's socket, so that it passes the client's firewall
		a := d.place.bound
		req.Laddr = sip.Addr{IP: net.IP(a.Addr().AsSlice()), Port: int(a.Port())}
	}
	req.SetDestination(to)
}

// nextHop gives the address that a request of ours goes to: the URI's, when that is an address of a known source; else
// where the client's last request came from, which a name or a private address behind a NAT never beats. Over TCP and TLS an open
// connection is used first.
func (s *Server) nextHop(d *dialog, uri sip.Uri) netip.AddrPort {
	d.mu.Lock()
	peer := d.peer
	d.mu.Unlock()
	if t := d.place.transport; t != "udp" {
		if c := s.ua.TransportLayer().Pool(t).Get(peer.String()); c != nil {
			_, _ = c.TryClose() // gives the reference back
			return peer
		}
	}
	a, ok := uriHost(uri)
	if !ok || !s.sources.lists(a) || uri.Port > 65535 || uri.Port < 0 {
		return peer
	}
	port := uri.Port
	if port == 0 {
		port = sip.DefaultPort(d.place.transport)
	}
	return netip.AddrPortFrom(a, uint16(port))
}
