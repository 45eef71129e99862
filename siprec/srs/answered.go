package srs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/greffier/greffier/siprec"
)

// takeAnswer reads the answer to an offer of ours, made in the 200 to INVITE n, out of the ACK. It counts only while no
// later INVITE was answered: a client that sends another one has left this one behind.
func (s *Server) takeAnswer(ctx context.Context, d *dialog, ack *sip.Request, n uint32) error {
	if ack == nil {
		d.settle(n)
		return nil
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.release()
	if !d.settle(n) || d.over() {
		return nil
	}
	return s.applyAnswer(ctx, d, ack, false)
}

// takeMetadata reads metadata out of a message whose description, if it has one, means nothing.
func (s *Server) takeMetadata(ctx context.Context, d *dialog, m content) {
	c, _ := readContent(m, s.now())
	if c.Metadata == nil || d.take(ctx) != nil {
		return
	}
	defer d.release()
	if d.over() {
		return
	}
	c.Offer = nil
	if f := s.update(ctx, d, c); f != nil {
		s.log.Warn("metadata not taken", zap.String("call_id", d.id.CallID), zap.Error(f.asError()))
	}
}

// applyAnswer hands the answer to an offer of ours to the Recorder, with the metadata beside it. When our offer repeated what
// was agreed before, so that mostly nothing changes, nothing is handed on then. The caller holds the dialog's turn.
func (s *Server) applyAnswer(ctx context.Context, d *dialog, m content, repeated bool) error {
	c, f := readContent(m, s.now())
	var err error
	switch {
	case f != nil:
		err = fmt.Errorf("read answer to our offer: %w", f.asError())
	case c.Offer == nil:
		err = errors.New("the client does not answer our offer")
	default:
		err = relabel(c.Offer, d.prev)
	}
	if c.Answered = err == nil; !c.Answered || repeated && sameDescription(c.Offer, d.prev) {
		c.Offer, c.Answered = nil, false
	}
	if f := s.update(ctx, d, c); f != nil {
		err = errors.Join(err, f.asError())
	}
	return err
}

// relabel gives the m-lines of an answer the labels of those that they answer. RFC 3264 section 6 matches them by position: a
// label that was left out, or made up, names no other stream. An answer that leaves the protection of the offer is none.
func relabel(answer, ours *siprec.Offer) error {
	if len(answer.Media) != len(ours.Media) {
		return fmt.Errorf("the client answers %d m-lines of %d", len(answer.Media), len(ours.Media))
	}
	for i, m := range answer.Media {
		o := ours.Media[i]
		if m.Port != 0 && (m.Type != o.Type || isSecure(m.Protocol) != isSecure(o.Protocol)) {
			return fmt.Errorf("the client answers m-line %d, %s %s, with %s %s", i+1, o.Type, o.Protocol, m.Type, m.Protocol)
		}
		answer.Media[i].Label = ours.Media[i].Label
	}
	return nil
}

// isSecure tells whether a transport profile protects media (RFC 3711, RFC 5764).
func isSecure(protocol string) bool { return strings.Contains(strings.ToUpper(protocol), "SAVP") }

// sameDescription tells whether two descriptions of the client's say the same, whatever their versions.
func sameDescription(a, b *siprec.Offer) bool {
	return a == b || slices.EqualFunc(a.Media, b.Media, sameMedia)
}

// asError is a failure as an error, for our log.
func (f *failure) asError() error {
	if f.err == nil {
		return errors.New(f.reason)
	}
	return fmt.Errorf("%s: %w", f.reason, f.err)
}
