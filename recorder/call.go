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
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/storage/spool"
)

// A call is one recording session from its answer to its end. Its methods are called for one request at a time.
type call struct {
	id       string
	src      string
	any      bool // media may come from addresses that were not offered
	local    siprec.Answer
	decision policy.Decision
	metadata siprec.Metadata
	channel  map[siprec.Label]int // the channel of each label; it never changes
	labels   []siprec.Label       // by m-line of the last offer
	streams  []media.Stream       // by the receiver's index: in the order in which the labels came
	index    map[siprec.Label]int // index in streams
	started  time.Time            // position 0
	paused   atomic.Bool          // every stream is inactive; others read it too
	logs     *zap.Logger          // where log says something

	codecs      codec.Set
	protections map[siprec.Label]*protection
	fingerprint media.Fingerprint // of our certificate

	// nil when the call is not recorded.
	recording *media.Recording
	writer    *spool.Writer

	watched atomic.Pointer[[]watchedStream] // streams by the receiver's index, as Watch sees them

	telling sync.Mutex // held by Watch while it tells of this call
	over    bool       // by telling: the call has ended
	watches []streamWatch
}

// log is a log of this call. It is made when it is wanted: a call has little to say, and goes on for long.
func (c *call) log() *zap.Logger {
	return c.logs.WithLazy(zap.String("recording_id", c.id), zap.String("src", c.src))
}

// Begin implements srs.Recorder: it decides about an offered session and, when the answer is yes, opens everything that
// keeps its sound.
func (r *Recorder) Begin(ctx context.Context, in siprec.Invitation) (siprec.Answer, error) {
	ctx = context.WithoutCancel(ctx) // a call that is cancelled meanwhile is ended by End, and every deed has its witness
	in.Offer = r.offer(in.SRC, in.Offer)
	labels := offeredLabels(r.cfg.Codecs, in.Offer)
	if len(labels) == 0 {
		return siprec.Answer{}, &siprec.Refusal{Kind: siprec.NoMedia, Reason: "no audio stream in a format that can be recorded; offer PCMU, PCMA, G722, opus or L16, over RTP or over SRTP with keys"}
	}
	if err := r.Ready(); err != nil {
		return siprec.Answer{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return siprec.Answer{}, fmt.Errorf("make recording id: %w", err)
	}
	c := &call{
		id: id.String(), src: in.SRC, any: in.AnySource,
		channel: map[siprec.Label]int{}, index: map[siprec.Label]int{}, codecs: r.cfg.Codecs,
		protections: map[siprec.Label]*protection{}, fingerprint: r.cfg.Receiver.Fingerprint(),
		logs: r.cfg.Log,
	}
	if in.Metadata != nil {
		c.metadata.Apply(in.Metadata, in.At)
	}
	r.warned(in, &c.metadata)
	key := c.metadata.CallKey(in.Dialog.CallID)
	offered := offeredData{
		SRC: in.SRC, CallHash: r.words.hash(key), Streams: len(in.Offer.Media), Recordable: len(labels), Metadata: in.Metadata != nil,
	}
	events := []audit.Event{r.event(EventOffered, c.id, "", offered)}
	c.decision = r.cfg.Policy.Decide(policy.Facts{
		SRC: in.SRC, Metadata: &c.metadata, CallKey: key, Headers: in.Headers, Labels: labels,
	}, in.At)
	decided := r.decisionData(c, key, in.At)
	events = append(events, r.event(EventDecision, c.id, "", decided))
	if c.decision.Record {
		events = append(events, r.event(EventStarted, c.id, audit.Intended, nil))
	}
	// In one commit, of which the SRC waits for the end: a decision is no deed, and what it leads to begins after this.
	if err := r.witnessAll(ctx, events...); err != nil {
		return siprec.Answer{}, err
	}
	r.cfg.Observe(Observation{Event: EventDecision, Class: c.decision.Class, Outcome: string(c.decision.Reason)})
	c.log().Info("decided", zap.Bool("record", c.decision.Record), zap.String("rule", c.decision.Rule), zap.String("reason", string(c.decision.Reason)))

	answer := c.declined(in.Offer, in.Local)
	if c.decision.Record {
		if answer, err = r.open(ctx, c, in, key); err != nil {
			return siprec.Answer{}, err
		}
	} else if err := r.cfg.Catalog.Put(ctx, unrecorded(c.id, decided)); err != nil {
		c.log().Error("catalog", zap.Error(err)) // the audit log has it, and a rebuild brings it back
	}
	c.local = answer
	r.mu.Lock()
	r.calls[in.Dialog] = c
	r.mu.Unlock()
	return answer, nil
}

func (r *Recorder) decisionData(c *call, key string, at time.Time) decisionData {
	d := decisionData{
		Decision: Decision{
			Record: c.decision.Record, Class: c.decision.Class, Rule: c.decision.Rule, Reason: string(c.decision.Reason),
			Detail: c.decision.Detail, PolicyDigest: c.decision.Digest, At: utcMS(at),
		},
		SRC: c.src, Tenant: r.cfg.Profiles[c.src].Tenant, CallHash: r.words.hash(key), Parties: []partyHash{},
	}
	for _, p := range c.metadata.Present() {
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
	return d
}

// open makes the key, the spool and the ports of a call that is recorded, in this order, and takes them back if one fails. That it
// is intended has been witnessed.
func (r *Recorder) open(ctx context.Context, c *call, in siprec.Invitation, key string) (answer siprec.Answer, err error) {
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
			err = &siprec.Refusal{Kind: siprec.Unavailable, Reason: "the spool's disk is full", Err: err}
		default:
			err = &siprec.Refusal{Kind: siprec.Internal, Reason: "the recording could not be opened", Err: err}
		}
	}()
	class, ok := r.cfg.Policy.Class(c.decision.Class)
	if !ok {
		return answer, fmt.Errorf("decide: class %q does not exist", c.decision.Class)
	}
	secret, err := r.cfg.Keys.Create(ctx, c.id)
	if err != nil {
		return answer, fmt.Errorf("make key: %w", err)
	}
	if c.writer, err = r.cfg.Spool.Create(c.id, secret.SpoolKey()); err != nil {
		return answer, fmt.Errorf("make spool: %w", err)
	}
	c.assign(r.cfg.Policy, class, in.Offer)
	first := journalEntry{At: r.cfg.Clock(), Streams: c.entries(in.Offer), Begin: &beginEntry{
		ID: c.id, CallID: in.Dialog.CallID, SRC: in.SRC, CallKey: key, Headers: in.Headers,
		Decision: r.decisionData(c, key, in.At).Decision, Class: class,
	}}
	r.about(in, &first)
	if in.Metadata != nil {
		first.Metadata = in.Metadata.Raw
	}
	if activeStreams(c.streams) == 0 { // some SRCs begin so, and send with a later re-INVITE
		first.Pause = &pauseEntry{Reason: holdReason}
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
		return answer, err
	}
	c.recording, err = r.cfg.Receiver.Open(media.Open{
		Start: first.At, Channels: len(c.channel), Streams: c.streams, Sink: &spoolSink{w: c.writer},
	})
	if errors.Is(err, media.ErrNoPorts) {
		return answer, &siprec.Refusal{Kind: siprec.Unavailable, Reason: "no RTP port is free", Err: err}
	}
	if err != nil {
		return answer, fmt.Errorf("open media: %w", err)
	}
	if err := r.witness(ctx, EventStarted, c.id, audit.Done, nil); err != nil {
		return answer, err
	}
	c.publish(r.cfg.Clock())
	return c.answer(in.Offer, in), nil
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

// silentSince is when the last packet of any stream came, or when the recording began. It is false for a session of which
// nothing is expected: one on hold, or not recorded.
func (c *call) silentSince() (time.Time, bool) {
	if c.recording == nil || c.paused.Load() {
		return time.Time{}, false
	}
	last := c.started
	for _, s := range c.recording.Progress(nil) {
		if s.LastArrival.After(last) {
			last = s.LastArrival
		}
	}
	return last, true
}

// Update implements srs.Recorder: new metadata, new streams, hold and resumption.
func (r *Recorder) Update(ctx context.Context, dialog siprec.DialogID, ch siprec.Change) (siprec.Answer, error) {
	c := r.call(dialog)
	if c == nil {
		return siprec.Answer{}, fmt.Errorf("update: no such session")
	}
	ch.Offer = r.offer(c.src, ch.Offer)
	if ch.Metadata != nil {
		c.metadata.Apply(ch.Metadata, ch.At)
	}
	if c.recording == nil {
		if ch.Offer == nil {
			return c.local, nil
		}
		c.local = c.declined(ch.Offer, c.local.Addr)
		return c.local, nil
	}
	entry := journalEntry{At: ch.At}
	if ch.Metadata != nil {
		entry.Metadata = ch.Metadata.Raw
	}
	if ch.Offer == nil {
		if ch.Metadata == nil {
			return c.local, nil
		}
		if err := r.witness(ctx, EventChanged, c.id, "", changedData{Metadata: true}); err != nil {
			return siprec.Answer{}, err
		}
		return c.local, entry.append(c.writer)
	}
	class, _ := r.cfg.Policy.Class(c.decision.Class)
	before, keys := slices.Clone(c.streams), c.keepProtections()
	c.assign(r.cfg.Policy, class, ch.Offer)
	entry.Streams, entry.Lines = c.entries(ch.Offer), lines(ch.Offer)
	if err := r.changeStreams(ctx, c, before, entry, ch.Metadata != nil); err != nil {
		c.protections = keys
		return siprec.Answer{}, err
	}
	c.local = c.answer(ch.Offer, siprec.Invitation{Local: c.local.Addr})
	return c.local, nil
}

func (r *Recorder) call(dialog siprec.DialogID) *call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[dialog]
}

// End implements srs.Recorder: the timeline is closed and the recording is left to Run.
func (r *Recorder) End(dialog siprec.DialogID, cause siprec.EndCause, at time.Time) {
	r.mu.Lock()
	c := r.calls[dialog]
	delete(r.calls, dialog)
	r.mu.Unlock()
	if c == nil {
		return
	}
	c.telling.Lock()
	c.over = true
	c.telling.Unlock()
	ctx := context.Background() // a deed that must be witnessed however the request ended
	if err := r.witness(ctx, EventEnded, c.id, "", endedData{Cause: string(cause), At: utcMS(at)}); err != nil {
		c.log().Error("end", zap.Error(err))
	}
	c.log().Info("ended", zap.String("cause", string(cause)))
	if c.recording == nil {
		if err := endRow(ctx, r.cfg.Catalog, c.id, at); err != nil {
			c.log().Error("catalog", zap.Error(err))
		}
		return
	}
	if cause == siprec.EndCancel { // the SRC never had our yes
		if err := r.abandon(ctx, c); err != nil {
			c.log().Error("abandon", zap.Error(err))
		}
		return
	}
	end := journalEntry{At: at, End: &endEntry{Cause: cause}}
	summary, err := c.recording.Close(at)
	if err != nil {
		c.log().Error("close media", zap.Error(err))
		end.Warnings = append(end.Warnings, "media-error")
	}
	if summary.Unsaved > 0 {
		end.Warnings = append(end.Warnings, "audio-unsaved")
	}
	if slices.ContainsFunc(summary.Streams, func(s media.StreamStats) bool { return s.Undecodable > 0 }) {
		end.Warnings = append(end.Warnings, "audio-undecodable")
	}
	end.End.Stats = summary.Streams
	r.count(summary.Streams)
	if err := errors.Join(end.append(c.writer), c.writer.Close()); err != nil {
		c.log().Error("close spool", zap.Error(err)) // what it holds is finished all the same
	}
	if err := r.cfg.Catalog.SetState(ctx, c.id, catalog.StateFinishing); err != nil {
		c.log().Error("catalog", zap.Error(err))
	}
	r.mu.Lock()
	delete(r.live, c.id)
	r.ended = append(r.ended, c.id)
	r.mu.Unlock()
	r.wakeUp()
}
