package recorder

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// A Made is a call as its spool tells of it when it is over.
type Made struct {
	ID       string
	Class    policy.Class
	At       time.Time // of the first sample
	Length   time.Duration
	Metadata []byte
	Warnings []string
	Doomed   DestroyReason // it is doomed before it is over; "" it is not
}

// MadeByte is the mu-law byte of a made call at a sample of a channel. It is never silence.
func MadeByte(sample, channel int) byte { return byte(0x10 + 0x20*channel + sample%7) }

// Make puts a call into the spool, as if it had just ended: whatever its class, whenever it was.
func (r *Recorder) Make(ctx context.Context, m Made) error {
	r.setLive(m.ID, true)
	defer r.setLive(m.ID, false)
	key, err := r.cfg.Keys.Create(ctx, m.ID)
	if err != nil {
		return err
	}
	d := Decision{Record: true, Class: m.Class.Name, Rule: "made", Reason: "rule", PolicyDigest: "none", At: m.At}
	begin := journalEntry{
		At: m.At, Begin: &beginEntry{ID: m.ID, CallID: "call-" + m.ID, SRC: "test", CallKey: "key-" + m.ID, Decision: d, Class: m.Class}, Metadata: m.Metadata,
		Streams: []streamEntry{{Label: "1", Channel: 0, Active: true}, {Label: "2", Channel: 1, Active: true}}, Warnings: m.Warnings,
	}
	err = r.witnessAll(ctx, r.event(EventDecision, m.ID, "", decisionData{Decision: d, SRC: "test", Parties: []partyHash{}}),
		r.event(EventStarted, m.ID, audit.Intended, nil), r.event(EventStarted, m.ID, audit.Done, nil))
	if err != nil {
		return err
	}
	w, err := r.cfg.Spool.Create(m.ID, key.SpoolKey())
	if err != nil {
		return err
	}
	err = errors.Join(r.cfg.Catalog.Put(ctx, r.words.progress(begin, 2)), begin.append(w))
	if m.Doomed != "" {
		err = errors.Join(err, r.cfg.Catalog.Doom(ctx, m.ID, string(m.Doomed)))
	}
	const part = 4000
	total := int(m.Length.Seconds() * media.Rate)
	for at := 0; at < total; at += part {
		b := media.Block{Start: int64(at), Samples: min(part, total-at), Rate: media.Rate, Channels: 2, Encoding: codec.PCMU}
		for i := range b.Samples {
			b.Data = append(b.Data, MadeByte(at+i, 0), MadeByte(at+i, 1))
		}
		err = errors.Join(err, w.Append(kindBlock, b.MarshalHead(nil), b.Data))
	}
	end := journalEntry{At: m.At.Add(m.Length), End: &endEntry{Cause: siprec.EndBye}}
	return errors.Join(err, end.append(w), w.Close(), r.witness(ctx, EventEnded, m.ID, "", endedData{Cause: string(siprec.EndBye), At: utcMS(end.At)}))
}

// DestroyStored is destroyStored.
func (r *Recorder) DestroyStored(ctx context.Context, id, reason string) error {
	return r.destroyStored(ctx, id, reason)
}

// DecodeAnalysis is decodeAnalysis.
var DecodeAnalysis = decodeAnalysis

// RedactGaps is redactGaps, of a span in time.
func RedactGaps(gaps []Gap, from, to time.Duration, p *media.Plan) []Gap {
	return redactGaps(gaps, spanOf(from, to, p), p)
}

// CopyRedacted is copyRedacted, of a span in time.
func CopyRedacted(dst io.Writer, src io.Reader, p *media.Plan, from, to time.Duration) error {
	return copyRedacted(dst, src, p, spanOf(from, to, p))
}
