package srs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/greffier/greffier/siprec"
)

// A content is the body of a request or of an answer.
type content interface {
	Body() []byte
	ContentType() *sip.ContentTypeHeader
}

// readBody takes a request's body apart. A description that cannot be read refuses the request; metadata that cannot be
// read never do: they are handed on raw, with a warning, because losing the recording is worse.
func readBody(in *inbound) (siprec.Change, *failure) { return readContent(in.req, in.at) }

func readContent(m content, at time.Time) (siprec.Change, *failure) {
	c := siprec.Change{At: at}
	raw := m.Body()
	if len(bytes.TrimSpace(raw)) == 0 {
		return c, nil
	}
	contentType := ""
	if h := m.ContentType(); h != nil {
		contentType = h.Value()
	}
	body, err := siprec.ParseBody(contentType, raw)
	if err != nil {
		return c, &failure{status: 400, kind: siprec.Malformed, reason: "the body cannot be read", err: err}
	}
	if body.Metadata != nil {
		c.Metadata = readMetadata(body.Metadata)
	}
	if body.SDP == nil {
		return c, nil
	}
	if c.Offer, err = siprec.ParseOffer(body.SDP); err != nil {
		return c, &failure{status: 400, kind: siprec.Malformed, reason: "the session description cannot be read", err: err}
	}
	if len(c.Offer.Media) == 0 {
		return c, &failure{status: 488, kind: siprec.NoMedia, reason: "the session description has no media"}
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
	if c.Offer == nil && c.Metadata == nil && len(c.Headers) == 0 {
		return nil
	}
	answer, err := s.recorder.Update(ctx, d.id, c)
	if err != nil {
		return failureOf(err)
	}
	switch {
	case c.Offer == nil:
		return nil
	case c.Answered: // an answer is not answered
		d.prev = c.Offer
		return nil
	}
	if err := d.describe(c.Offer, answer); err != nil {
		return internal("no answer to the offer could be made", err)
	}
	return nil
}

// describe writes our session description for an answer. The caller holds the dialog's turn.
func (d *dialog) describe(offer *siprec.Offer, answer siprec.Answer) error {
	sdp, orig, err := d.write(offer, answer)
	if err != nil {
		return err
	}
	d.sdp, d.orig, d.prev = sdp, orig, offer
	return nil
}

// write makes a session description of ours. Its version grows only when it says something else than the last
// one (RFC 3264 section 8), and no version is ever used for two. The caller holds the dialog's turn.
func (d *dialog) write(offer *siprec.Offer, answer siprec.Answer) ([]byte, siprec.Origin, error) {
	if !answer.Addr.IsValid() {
		answer.Addr = d.place.media
	}
	orig := d.orig
	sdp, err := answer.Marshal(offer, orig)
	if err == nil && d.sdp != nil && !bytes.Equal(sdp, d.sdp) {
		d.used++
		orig.Version = d.used
		sdp, err = answer.Marshal(offer, orig)
	}
	if err != nil {
		return nil, orig, fmt.Errorf("write session description: %w", err)
	}
	return sdp, orig, nil
}

// newSessionID makes the number in the o= line; 63 bits, so that every parser can hold it.
func newSessionID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) >> 1
}
