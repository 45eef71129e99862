package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// A call is one communication session (CS) inside a recording session, from the decision about it to its end: one recording, or
// none. What it holds is changed by whoever has its session's turn.
type call struct {
	id       string
	src      string
	scope    siprec.SessionID
	named    bool // false: the metadata have named no CS yet
	renamed  bool // they just have
	intended bool // it is witnessed that it will be recorded
	key      string
	decision policy.Decision
	decided  decisionData
	channel  map[siprec.Label]int // the channel of each label; it never changes
	started  time.Time            // position 0
	paused   atomic.Bool          // nothing is to be heard; others read it too
	pausedBy string               // the reason; "": it is not
	muted    string               // the reason for which we paused it; "": we did not
	warnings []string             // for the next journal entry
	quieted  bool                 // a stream was silenced, and nobody was told yet
	warned   map[string]bool
	logs     *zap.Logger // where log says something

	// What follows is zero when the call is not recorded.
	legs
	writer *spool.Writer

	watched atomic.Pointer[[]watchedStream] // streams by the receiver's index, as Watch sees them

	telling sync.Mutex // held by Watch while it tells of this call
	over    bool       // by telling: the call has ended
	watches []streamWatch
}

// legs are the receiving ends of labels on one media.Recording.
type legs struct {
	recording *media.Recording
	streams   []media.Stream       // by the receiver's index: in the order in which the labels came
	index     map[siprec.Label]int // index in streams
}

func (c *call) isRecorded() bool { return c.decision.Record }

// log is a log of this call. It is made when it is wanted: a call has little to say, and goes on for long.
func (c *call) log() *zap.Logger {
	return c.logs.WithLazy(zap.String("recording_id", c.id), zap.String("src", c.src))
}

// takeWarnings gives the warnings that are in no journal entry yet.
func (c *call) takeWarnings() (out []string) {
	for _, w := range c.warnings {
		if !c.warned[w] {
			c.warned[w] = true
			out = append(out, w)
		}
	}
	c.warnings = nil
	return out
}

// detailDiscarded says in a decision that what the SRC sends all the same is discarded when it arrives.
const detailDiscarded = "discarded on arrival"

// decideAbout decides about one CS, and gives the events that tell of it.
func (r *Recorder) decideAbout(s *session, x *scope, labels []siprec.Label, ch siprec.Change) (*call, []audit.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, fmt.Errorf("make recording id: %w", err)
	}
	c := &call{
		id: id.String(), src: s.in.SRC, scope: x.id, named: x.named, channel: map[siprec.Label]int{}, logs: r.cfg.Log,
		legs: legs{index: map[siprec.Label]int{}}, warned: map[string]bool{},
	}
	meta := s.metadata.Of(x.id)
	if s.decided && x.named { // what was said of the recording session while it carried another CS says nothing of this one
		meta.Extensions = slices.DeleteFunc(slices.Clone(meta.Extensions), func(e siprec.Extension) bool {
			now := ch.Metadata != nil && slices.Contains(ch.Metadata.Extensions, e)
			return e.Parent == "" && !now && !slices.Contains(s.said[x.id], e)
		})
	}
	c.key = meta.CallKey(s.in.Dialog.CallID)
	offered := offeredData{
		SRC: c.src, CallHash: r.words.hash(c.key), Streams: len(x.labels), Recordable: len(labels), Metadata: ch.Metadata != nil,
		RecordingSession: s.id,
	}
	c.decision = r.cfg.Policy.Decide(policy.Facts{
		SRC: c.src, Metadata: &meta, CallKey: c.key, Headers: s.in.Headers, Labels: labels,
	}, ch.At)
	if !c.decision.Record && s.discards(labels) {
		c.decision.Detail = joinDetail(c.decision.Detail, detailDiscarded)
	}
	c.decided = r.decisionData(c, &meta, s.id, ch.At)
	events := []audit.Event{r.event(EventOffered, c.id, "", offered), r.event(EventDecision, c.id, "", c.decided)}
	if c.intended = c.decision.Record && len(labels) > 0; c.intended {
		events = append(events, r.event(EventStarted, c.id, audit.Intended, nil))
	}
	return c, events, nil
}

// discards tells whether sound of the labels may still come that nobody records: because the SRC is told to send it, or was.
func (s *session) discards(labels []siprec.Label) bool {
	return s.in.Decline == siprec.DeclineAccept || slices.ContainsFunc(labels, func(l siprec.Label) bool {
		i := slices.Index(s.labels, l)
		return i >= 0 && i < len(s.local.Media) && s.local.Media[i].Direction == siprec.RecvOnly
	})
}

func joinDetail(detail, more string) string {
	if detail == "" {
		return more
	}
	return detail + "; " + more
}

func (r *Recorder) decisionData(c *call, meta *siprec.Metadata, session string, at time.Time) decisionData {
	d := decisionData{
		Decision: Decision{
			Record: c.decision.Record, Class: c.decision.Class, Rule: c.decision.Rule, Reason: string(c.decision.Reason),
			Detail: c.decision.Detail, PolicyDigest: c.decision.Digest, At: utcMS(at),
		},
		SRC: c.src, Tenant: r.cfg.Profiles[c.src].Tenant, CallHash: r.words.hash(c.key), Parties: []partyHash{}, RecordingSession: session,
	}
	for _, p := range meta.Present() {
		if aor := p.AOR(); aor != "" {
			h := partyHash{AOR: r.words.hash(aor)}
			if number := siprec.Number(aor); number != "" {
				h.Number = r.words.hash(number)
			}
			d.Parties = append(d.Parties, h)
		}
	}
	if class, ok := r.cfg.Policy.Class(c.decision.Class); ok {
		d.Mandate = class.Mandate
	}
	d.relatedData = r.words.related(c.decision.Record, meta, c.key)
	return d
}

// open makes the key, the spool and the ports of a call that is recorded, in this order, and takes them back if one fails. That it
// is intended has been witnessed.
func (r *Recorder) open(ctx context.Context, s *session, c *call, ch siprec.Change, begins bool) (err error) {
	r.setLive(c.id, true) // before anything of it can be found: Run leaves it alone
	var indexing sync.WaitGroup
	defer func() {
		indexing.Wait() // what End and abandon change must be there
		if err == nil {
			return
		}
		err = errors.Join(err, r.abandon(ctx, c))
		var refusal *siprec.Refusal
		switch {
		case errors.As(err, &refusal):
		case errors.Is(err, spool.ErrFull):
			err = &siprec.Refusal{Kind: siprec.Unavailable, Cause: "disk", Reason: "the spool's disk is full", Err: err}
		default:
			err = &siprec.Refusal{Kind: siprec.Internal, Reason: "the recording could not be opened", Err: err}
		}
	}()
	if !c.intended { // its streams came after the decision
		if err := r.witness(ctx, EventStarted, c.id, audit.Intended, nil); err != nil {
			return err
		}
	}
	class, ok := r.cfg.Policy.Class(c.decision.Class)
	if !ok {
		return fmt.Errorf("decide: class %q does not exist", c.decision.Class)
	}
	secret, err := r.cfg.Keys.Create(ctx, c.id)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	if c.writer, err = r.cfg.Spool.Create(c.id, secret.SpoolKey()); err != nil {
		return fmt.Errorf("make spool: %w", err)
	}
	s.assign(c, r.cfg.Policy, class)
	begin := &beginEntry{
		ID: c.id, CallID: s.in.Dialog.CallID, SRC: c.src, CallKey: c.key, Headers: s.in.Headers, Decision: c.decided.Decision, Class: class,
		RecordingSession: s.id,
	}
	begin.scopeEntry = *s.scopeOf(c)
	first := journalEntry{At: r.cfg.Clock(), Streams: s.entries(c), Begin: begin, Warnings: c.takeWarnings()}
	r.about(s.in, s.offerOf(c), &first)
	if !begins {
		begin.Before = s.documents
	} else if ch.Metadata != nil {
		first.Metadata = ch.Metadata.Raw
	}
	if activeStreams(c.streams) == 0 { // some SRCs begin so, and send with a later re-INVITE
		first.Pause = &pauseEntry{Reason: holdReason}
		c.pausedBy = holdReason
		c.paused.Store(true)
	}
	row := r.words.progress(first, len(c.channel))
	indexing.Go(func() { // beside the rest, and not before the spool is there: by that a restart finds what is not to stay
		if err := r.cfg.Catalog.Put(ctx, row); err != nil {
			c.log().Error("catalog", zap.Error(err)) // it is an index: the recording goes on, and is indexed again when it is stored
		}
	})
	// Position 0 is now, as near to the answer as can be: nothing is sent to us before it.
	first.At = r.cfg.Clock()
	c.started = first.At
	if err := errors.Join(first.append(c.writer), c.writer.Sync()); err != nil { // on the disk, before the SRC is told yes
		return err
	}
	c.recording, err = r.openMedia(s, c, first.At)
	if errors.Is(err, media.ErrNoPorts) {
		return &siprec.Refusal{Kind: siprec.Unavailable, Cause: "ports", Reason: "no RTP port is free", Err: err}
	}
	if err != nil {
		return fmt.Errorf("open media: %w", err)
	}
	if err := r.witness(ctx, EventStarted, c.id, audit.Done, nil); err != nil {
		return err
	}
	c.publish(r.cfg.Clock())
	return nil
}

// scopeOf names the CS of a call for its journal.
func (s *session) scopeOf(c *call) *scopeEntry {
	e := &scopeEntry{CommunicationSession: c.scope}
	for _, x := range s.metadata.Sessions {
		if x.ID == c.scope && c.named {
			e.Group = x.Group
		}
	}
	return e
}

// abandon takes back what open has made of a recording that nobody was told of.
func (r *Recorder) abandon(ctx context.Context, c *call) error {
	var errs []error
	if c.recording != nil {
		_, err := c.recording.Close(r.cfg.Clock())
		errs = append(errs, err)
	}
	if c.writer != nil {
		errs = append(errs, c.writer.Close())
	}
	errs = append(errs, r.discard(ctx, c.id))
	r.setLive(c.id, false)
	return errors.Join(errs...)
}

// setLive says whether a call still works on its spool file.
func (r *Recorder) setLive(id string, live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if live {
		r.live[id] = true
	} else {
		delete(r.live, id)
	}
}
