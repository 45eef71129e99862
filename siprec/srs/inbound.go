package srs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// An inbound is one request of a known source, in the hands of one goroutine.
type inbound struct {
	req      *sip.Request // read only: the transaction layer reads it too; its body goes when an INVITE is answered
	tx       *sip.ServerTx
	src      *Source
	from     netip.AddrPort
	place    place
	at       time.Time
	tag      string // ours, for an answer outside of a dialog
	answered bool   // a final response was handed to the transaction

	offerless bool // an INVITE that opens a dialog and leaves the offer to us
}

func (in *inbound) callID() string {
	if h := in.req.CallID(); h != nil {
		return h.Value()[:min(len(h.Value()), maxIdentifier)]
	}
	return ""
}

// handler wraps what is done for a method: sipgo calls it on a goroutine of its own, and does not recover.
func (s *Server) handler(do func(context.Context, *inbound)) sipgo.RequestHandler {
	return func(req *sip.Request, stx sip.ServerTransaction) {
		tx, ok := stx.(*sip.ServerTx)
		if !ok || !s.gate.enter() {
			return
		}
		defer s.gate.leave()
		in, ok := s.receive(req, tx)
		if !ok {
			return
		}
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic while handling a request", zap.String("method", string(req.Method)),
					zap.String("call_id", in.callID()), zap.String("panic", fmt.Sprint(p)), zap.Stack("stack"))
				s.refuse(in, internal("internal error", errors.New("panic")))
			}
		}()
		if f := s.tooFast(in); f != nil {
			s.refuse(in, f)
			return
		}
		if f := validate(req); f != nil {
			s.refuse(in, f)
			return
		}
		if f := s.authenticate(in); f != nil {
			s.ask(in, f)
			return
		}
		do(s.base, in)
	}
}

// receive finds out who sent a request and where it arrived.
func (s *Server) receive(req *sip.Request, tx *sip.ServerTx) (*inbound, bool) {
	from, err := netip.ParseAddrPort(req.Source())
	if err != nil {
		return nil, false
	}
	from = unmapped(from)
	src := s.sourceOf(req, tx, from)
	if src == nil { // the listeners let nobody else through
		return nil, false
	}
	in := &inbound{req: req, tx: tx, src: src, from: from, at: s.now(), tag: rand.Text()}
	in.place, err = s.locate(tx, from, sip.NetworkToLower(req.Transport()))
	if err != nil {
		s.log.Error("own address not found", zap.Stringer("peer", from), zap.Error(err))
		return nil, false
	}
	in.place.sips = in.place.transport == "tls" && asksForSIPS(req)
	return in, true
}

// locate finds the address of ours that the peer talks to.
func (s *Server) locate(tx *sip.ServerTx, peer netip.AddrPort, transport string) (place, error) {
	p := place{}
	switch a := tx.Connection().LocalAddr().(type) {
	case *net.UDPAddr:
		p.transport, p.bound = "udp", a.AddrPort()
	case *net.TCPAddr:
		p.transport, p.bound = transport, a.AddrPort()
	default:
		return p, fmt.Errorf("unknown kind of address %T", a)
	}
	p.bound = unmapped(p.bound)
	p.local = p.bound
	if p.local.Addr().IsUnspecified() {
		a, err := routeTo(peer)
		if err != nil {
			return p, err
		}
		p.local = netip.AddrPortFrom(a, p.bound.Port())
	}
	p.contact, p.media = p.local, p.local.Addr()
	if adv, ok := ofFamily(s.cfg.Advertise, netip.AddrPort.Addr, peer.Addr()); ok {
		p.contact, p.media = adv, adv.Addr()
		if adv.Port() == 0 || p.transport == "tls" { // its port is that of UDP and TCP
			p.contact = netip.AddrPortFrom(adv.Addr(), p.local.Port())
		}
	}
	if a, ok := ofFamily(s.cfg.MediaAddr, func(a netip.Addr) netip.Addr { return a }, peer.Addr()); ok {
		p.media = a
	}
	return p, nil
}

// ofFamily picks what a peer can reach: the first of its own family, or else the first.
func ofFamily[T any](all []T, addr func(T) netip.Addr, peer netip.Addr) (one T, ok bool) {
	for _, x := range all {
		if addr(x).Is4() == peer.Is4() {
			return x, true
		}
	}
	if len(all) > 0 {
		return all[0], true
	}
	return one, false
}

// routeTo tells which address of ours the kernel would talk to the peer from; connecting a UDP socket sends nothing.
func routeTo(peer netip.AddrPort) (netip.Addr, error) {
	c, err := net.Dial("udp", peer.String())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("look up route: %w", err)
	}
	defer func() { _ = c.Close() }()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// respond sends a final answer that is not a refusal.
func (s *Server) respond(in *inbound, status int, reason string, body []byte, headers ...sip.Header) {
	in.answered = true
	if err := in.tx.Respond(in.response(status, reason, body, headers...)); err != nil {
		s.log.Debug("answer not sent", zap.String("call_id", in.callID()), zap.Int("status", status), zap.Error(err))
	}
}

// ready tells why a new session of the source could not be taken now, or nil. What is asked costs nothing that is kept: a
// session that is refused has had no port, no key and no file. Sessions in progress are never asked about.
func (s *Server) ready(src *Source) *failure {
	if s.draining.Load() {
		return busy(CauseDraining, "the recording server is stopping")
	}
	if f := s.dialogs.room(src); f != nil {
		return f
	}
	if len(s.halfOpen) == cap(s.halfOpen) {
		return tooManyHalfOpen()
	}
	if s.cfg.Ready == nil {
		return nil
	}
	err := s.cfg.Ready()
	if err == nil {
		return nil
	}
	if f := failureOf(err); f.kind != siprec.Internal {
		return f
	}
	f := unavailable("the recording server is not ready")
	f.err = err
	return f
}

func tooManyHalfOpen() *failure {
	return busy(CauseHalfOpen, "too many INVITEs are being answered")
}

// tooFast refuses a request outside of the open dialogs that is above its source's rate, before anything else is done with it:
// passwords are not tried faster. Over UDP the screen has asked already.
func (s *Server) tooFast(in *inbound) *failure {
	q := s.screen.quotas[in.src]
	switch {
	case in.place.transport == "udp", in.req.IsAck(), isInDialog(in.req) && s.dialogs.has(dialogID(in.req)):
		return nil
	case in.req.IsInvite() && q.invite(in.at), !in.req.IsInvite() && q.other(in.at):
		return nil
	}
	f := busy(CauseSourceRate, tooFastReason)
	f.retryAfter = rateRetryAfter
	return f
}

// A cancellation notices the CANCEL of an INVITE. sipgo answers both with 200 and 487 by itself.
type cancellation struct {
	seen atomic.Bool
	stop context.CancelFunc
}

// watchCancel gives a context that ends when the INVITE is cancelled; false when it already is.
func watchCancel(ctx context.Context, tx *sip.ServerTx) (context.Context, *cancellation, bool) {
	ctx, stop := context.WithTimeout(ctx, beginTimeout)
	c := &cancellation{stop: stop}
	ok := tx.OnCancel(func(*sip.Request) { // runs under the transaction's lock: no call back into it
		c.seen.Store(true)
		stop()
	})
	return ctx, c, ok
}

// answerInvite hands a 2xx to an INVITE's transaction. False means that the INVITE was cancelled at the last moment.
func (s *Server) answerInvite(in *inbound, res *sip.Response) bool {
	in.answered = true
	err := in.tx.Respond(res)
	if errors.Is(err, sip.ErrTransactionCanceled) {
		// The client has the 487 by now, but our 2xx has become the answer that the transaction would repeat.
		_ = in.tx.Respond(in.response(sip.StatusRequestTerminated, "Request Terminated", nil))
		return false
	}
	if err != nil {
		s.log.Debug("answer not sent", zap.String("call_id", in.callID()), zap.Error(err))
	}
	return true
}
