package srs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// ErrNoDialog is returned for a dialog that is not, or no longer, open.
var ErrNoDialog = errors.New("there is no such dialog")

// Hangup ends a recording session from our side: the Recorder's End is called with the cause, then a BYE is sent whose
// Reason header field (RFC 3326) carries the reason. The error tells that the client did not confirm; the session has ended
// nevertheless, except when the error is ErrNoDialog or the context ended before the dialog's turn came. It must not be
// called from inside Begin, Update or End of the same dialog.
func (s *Server) Hangup(ctx context.Context, id siprec.DialogID, cause siprec.EndCause, reason string) error {
	d := s.dialogs.find(id)
	if d == nil {
		return ErrNoDialog
	}
	if !s.gate.enter() {
		return ErrNoDialog
	}
	defer s.gate.leave()
	return s.hangup(ctx, d, cause, reason)
}

func (s *Server) hangup(ctx context.Context, d *dialog, cause siprec.EndCause, reason string) error {
	at := s.now()
	if cause != siprec.EndLost {
		d.awaitConfirmed(ctx, ackGrace)
	}
	if err := d.take(ctx); err != nil {
		return fmt.Errorf("hang up: %w", err)
	}
	first := s.finishAt(d, cause, at)
	d.release()
	if !first {
		return ErrNoDialog
	}
	status, err := s.send(ctx, d, sip.BYE, sip.NewHeader("Reason", reasonOf(cause, reason)))
	if err != nil {
		return fmt.Errorf("send BYE: %w", err)
	}
	if status >= 300 && status != 481 {
		return fmt.Errorf("BYE was answered with %d", status)
	}
	return nil
}

// reasonOf gives a Reason value: a SIP status for our troubles, Q.850 "normal clearing" for an operator's will.
func reasonOf(cause siprec.EndCause, text string) string {
	protocol := "SIP;cause=500"
	switch cause {
	case siprec.EndDrained:
		protocol = "SIP;cause=503"
	case siprec.EndLost:
		protocol = "SIP;cause=408"
	case siprec.EndOperator:
		protocol = "Q.850;cause=16"
	}
	return protocol + ";text=" + quoted(text)
}

// finish ends a dialog now. The caller holds its turn.
func (s *Server) finish(d *dialog, cause siprec.EndCause) { s.finishAt(d, cause, s.now()) }

// finishAt ends a dialog and tells the Recorder, once; it reports whether this was the time. The caller holds the turn.
func (s *Server) finishAt(d *dialog, cause siprec.EndCause, at time.Time) bool {
	if !d.markEnded() {
		return false
	}
	defer s.dialogs.remove(d)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic while ending a session", zap.String("call_id", d.id.CallID),
				zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
		}
	}()
	s.log.Info("recording session ended", zap.String("call_id", d.id.CallID), zap.String("src", d.src.Name),
		zap.String("cause", string(cause)))
	s.recorder.End(d.id, cause, at)
	return true
}

// send sends a request in the dialog and gives the final status of its answer.
func (s *Server) send(ctx context.Context, d *dialog, method sip.RequestMethod, headers ...sip.Header) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	tx, err := s.ua.TransactionLayer().Request(ctx, s.request(d, method, headers...))
	if err != nil {
		return 0, err
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res.StatusCode, nil
			}
		case <-tx.Done():
			return 0, tx.Err()
		case <-ctx.Done(): // sipgo itself waits for Timer B or F
			return 0, ctx.Err()
		}
	}
}

// request builds a request in the dialog (RFC 3261 section 12.2.1.1).
func (s *Server) request(d *dialog, method sip.RequestMethod, headers ...sip.Header) *sip.Request {
	d.mu.Lock()
	d.localSeq++
	n, target := d.localSeq, *d.target.Clone()
	d.mu.Unlock()

	target.Headers = nil // not allowed in a Request-URI
	recipient, routes := target, d.routes
	if len(routes) > 0 && !routes[0].UriParams.Has("lr") { // a strict router (section 12.2.1.1)
		recipient = routes[0]
		routes = append(append([]sip.Uri{}, routes[1:]...), target)
	}
	req := sip.NewRequest(method, recipient)
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
	req.AppendHeader(&sip.CSeqHeader{SeqNo: n, MethodName: method})
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	for _, h := range headers {
		req.AppendHeader(h)
	}
	req.SetBody(nil)
	req.SetTransport(sip.NetworkToUpper(d.place.transport))
	if d.place.transport == "udp" { // from the listener's socket, so that it passes the client's firewall
		a := d.place.bound
		req.Laddr = sip.Addr{IP: net.IP(a.Addr().AsSlice()), Port: int(a.Port())}
	}
	first := recipient
	if len(d.routes) > 0 {
		first = d.routes[0]
	}
	req.SetDestination(s.nextHop(d, first).String())
	return req
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
