package srs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/greffier/greffier/siprec"
)

// readBody takes a request's body apart. A description that cannot be read refuses the request; metadata that cannot be
// read never do: they are handed on raw, with a warning, because losing the recording is worse.
func readBody(in *inbound) (siprec.Change, *failure) {
	c := siprec.Change{At: in.at}
	raw := in.req.Body()
	if len(bytes.TrimSpace(raw)) == 0 {
		return c, nil
	}
	contentType := ""
	if h := in.req.ContentType(); h != nil {
		contentType = h.Value()
	}
	body, err := siprec.ParseBody(contentType, raw)
	if err != nil {
		return c, &failure{status: 400, kind: siprec.Malformed, reason: "the body cannot be read", err: err}
	}
	if body.SDP != nil {
		if c.Offer, err = siprec.ParseOffer(body.SDP); err != nil {
			return c, &failure{status: 400, kind: siprec.Malformed, reason: "the session description cannot be read", err: err}
		}
	}
	if c.Offer != nil && len(c.Offer.Media) == 0 {
		return c, &failure{status: 488, kind: siprec.NoMedia, reason: "the session description has no media"}
	}
	if body.Metadata != nil {
		c.Metadata = readMetadata(body.Metadata)
	}
	return c, nil
}

func readMetadata(raw []byte) *siprec.Document {
	d, err := siprec.ParseMetadata(raw)
	if err == nil && d != nil {
		return d
	}
	return &siprec.Document{
		DataMode: siprec.Partial, // it changes nothing of what is known
		Warnings: []siprec.Warning{siprec.Warning(fmt.Sprintf("recording metadata cannot be read: %v", err))},
		Raw:      bytes.Clone(raw),
	}
}

// understood tells whether the body, if there is one, was of a kind that we can read.
func understood(in *inbound, c siprec.Change) bool {
	return c.Offer != nil || c.Metadata != nil || len(bytes.TrimSpace(in.req.Body())) == 0
}

// update hands a change to the Recorder and keeps its answer. The caller holds the dialog's turn.
func (s *Server) update(ctx context.Context, d *dialog, c siprec.Change) *failure {
	if c.Offer == nil && c.Metadata == nil {
		return nil
	}
	answer, err := s.recorder.Update(ctx, d.id, c)
	if err != nil {
		return failureOf(err)
	}
	if c.Offer == nil {
		return nil
	}
	if err := d.describe(c.Offer, answer); err != nil {
		return internal("no answer to the offer could be made", err)
	}
	return nil
}

// describe writes our session description for an answer. Its version grows only when it says something else than the last
// one (RFC 3264 section 8). The caller holds the dialog's turn.
func (d *dialog) describe(offer *siprec.Offer, answer siprec.Answer) error {
	if !answer.Addr.IsValid() {
		answer.Addr = d.place.media
	}
	sdp, err := answer.Marshal(offer, d.orig)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	if d.sdp != nil && !bytes.Equal(sdp, d.sdp) {
		d.orig.Version++
		if sdp, err = answer.Marshal(offer, d.orig); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	d.sdp, d.prev = sdp, offer
	return nil
}

// newSessionID makes the number in the o= line; 63 bits, so that every parser can hold it.
func newSessionID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) >> 1
}
