package srs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// An invitee is the client's final answer to a re-INVITE of ours. The transaction acknowledges a refusal by itself; a 2xx is
// acknowledged by confirm, and again each time that it comes (RFC 3261 section 13.2.2.4).
type invitee struct {
	*sip.Response
	confirm func() // nil for a refusal
}

// invite sends a re-INVITE and waits for its final answer, which the caller confirms. When only provisional answers come
// the INVITE is cancelled (section 9.1).
func (s *Server) invite(ctx context.Context, d *dialog, l letter) (invitee, error) {
	n := d.nextSeq()
	req := s.compose(d, n, l)
	tx, err := s.ua.TransactionLayer().Request(ctx, req)
	if err != nil {
		return invitee{}, silence(ctx, err)
	}
	var ack atomic.Pointer[sip.Request]
	tx.OnRetransmission(func(*sip.Response) {
		if a := ack.Load(); a != nil {
			s.post(d, a.Clone())
		}
	})
	limit := time.NewTimer(s.timing.answer)
	defer limit.Stop()
	proceeding, cancelled := false, false
	for {
		select {
		case res := <-tx.Responses():
			switch {
			case res.IsProvisional():
				proceeding = true
			case res.IsSuccess(): // the transaction stays, for 2xx that come again
				return invitee{res, func() {
					d.learn(res)
					a := s.compose(d, n, letter{method: sip.ACK})
					s.post(d, a.Clone()) // sending changes it
					ack.Store(a)
				}}, nil
			default:
				return invitee{Response: res}, nil
			}
		case <-tx.Done():
			return invitee{}, silence(ctx, tx.Err())
		case <-limit.C:
			if !proceeding || cancelled {
				tx.Terminate()
				return invitee{}, ErrSilent
			}
			cancelled = true
			s.cancelInvite(ctx, d, req)
			limit.Reset(s.timing.request)
		case <-ctx.Done(): // we are stopping
			tx.Terminate()
			return invitee{}, silence(ctx, ctx.Err())
		}
	}
}

// post sends an ACK, which has no transaction.
func (s *Server) post(d *dialog, ack *sip.Request) {
	if err := s.ua.TransportLayer().WriteMsg(ack); err != nil {
		s.log.Debug("ACK not sent", zap.String("call_id", d.id.CallID), zap.Error(err))
	}
}

// cancelInvite asks the client to give its final answer now; Via is the INVITE's.
func (s *Server) cancelInvite(ctx context.Context, d *dialog, invite *sip.Request) {
	req := sip.NewRequest(sip.CANCEL, *invite.Recipient.Clone())
	for _, name := range []string{"Via", "Max-Forwards", "From", "To", "Call-ID", "Route"} {
		sip.CopyHeaders(name, invite, req)
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.SetBody(nil)
	s.address(req, d, invite.Destination())
	ctx, cancel := context.WithTimeout(ctx, s.timing.request)
	defer cancel()
	if _, err := s.exchange(ctx, req); err != nil {
		s.log.Debug("CANCEL not answered", zap.String("call_id", d.id.CallID), zap.Error(err))
	}
}
