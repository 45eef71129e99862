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
	id        string
	src       string
	scope     siprec.SessionID
	named     bool // false: the metadata have named no CS yet
	renamed   bool // they just have
	intended  bool // it is witnessed that it will be recorded
	key       string
	decision  policy.Decision
	decided   decisionData
	rules     *policy.Policy         // that decided
	began     time.Time              // when the decision was first made: what conditions call now
	will      *policy.Consents       // of the parties; nil when the decision is not to record
	verdict   policy.Verdict         // that follows from it
	told      map[policy.Signal]bool // what the SRC has said of it, without the time
	marked    bool                   // between two marks
	consulted bool                   // the adviser has been asked
	displaced atomic.Bool            // another call has its place in the quota
	announced bool                   // the decision is in the audit log under its id
	indexed   bool                   // the catalog has a row of a call that is not recorded, and that has not ended
	channel   map[siprec.Label]int   // the channel of each label; it never changes
	started   time.Time              // position 0
	late      bool                   // it began after the INVITE: what was spoken before is not kept
	paused    atomic.Bool            // nothing is to be heard; others read it too
	pausedBy  string                 // the reason; "": it is not
	mutes     []mute                 // who wants it silent, the first one first
	muted     string                 // the reason for which we paused it; "": we did not
	warnings  []string               // for the next journal entry
	quieted   bool                   // a stream was silenced, and nobody was told yet
	warned    map[string]bool
	logs      *zap.Logger // where log says something
	keypad    *keypad     // hears the parties' keys; nil when no key means anything

	// What follows is zero when nothing of the call is received.
	legs
	sink    *callSink
	writer  *spool.Writer  // nil: nothing is kept, or it is held in memory
	pending []journalEntry // of what is held

	listening bool // its labels' sockets hear keys, and nothing is kept

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

// mayBeRecorded tells whether anything of the call is recorded, or may be once a fact, notice, consent or mark comes.
func (c *call) mayBeRecorded() bool { return c.decision.Record || c.decision.Reason == policy.Waiting }

// class is the call's class; the zero Class when it has none.
func (c *call) class() policy.Class {
	class, _ := c.rules.Class(c.decision.Class)
	return class
}

// note writes an entry into the call's journal. While nothing may be on the disk it waits in memory.
func (c *call) note(e journalEntry) error {
	if c.writer == nil {
		c.pending = append(c.pending, e)
		return nil
	}
	return e.append(c.writer)
}

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
func (r *Recorder) decideAbout(ctx context.Context, s *session, x *scope, labels []siprec.Label, ch siprec.Change) (*call, []audit.Event, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, nil, fmt.Errorf("make recording id: %w", err)
	}
	c := &call{
		id: id.String(), src: s.in.SRC, scope: x.id, named: x.named, channel: map[siprec.Label]int{}, logs: r.cfg.Log,
		legs: legs{index: map[siprec.Label]int{}}, warned: map[string]bool{}, rules: r.rules(), began: ch.At,
	}
	f := r.facts(s, c.facts(labels), ch)
	c.key = f.Metadata.CallKey(s.in.Dialog.CallID)
	f.CallKey = c.key
	offered := offeredData{
		SRC: c.src, CallHash: r.words.hash(c.key), Streams: len(x.labels), Recordable: len(labels), Metadata: ch.Metadata != nil,
		RecordingSession: s.id,
	}
	c.decide(r.claimed(ctx, c.id, c.rules.Decide(f, ch.At)), r.alarmOf(s))
	if !c.decision.Record && s.discards(labels) {
		c.decision.Detail = joinDetail(c.decision.Detail, detailDiscarded)
	}
	r.consult(s, c, f)
	said := r.learnWill(c, f, ch.At)
	r.keep(ctx, c, f, ch.At)
	c.decided, c.announced = r.decisionData(c, f.Metadata, s.id, ch.At), true
	events := append([]audit.Event{r.event(EventOffered, c.id, "", offered), r.event(EventDecision, c.id, "", c.decided)}, said...)
	if c.intended = c.wants() == keepRecording && len(labels) > 0; c.intended {
		events = append(events, r.event(EventStarted, c.id, audit.Intended, nil))
	}
	return c, events, nil
}

// facts are what tells the facts of the call from those of its session.
func (c *call) facts(labels []siprec.Label) callFacts {
	return callFacts{scope: c.scope, named: c.named, key: c.key, labels: labels, began: c.began}
}

// decide makes a decision that of the call. What its parties have said about another one counts for it too.
func (c *call) decide(d policy.Decision, alarm func()) {
	before := c.will
	c.decision, c.will = d, nil
	if !d.Record {
		return
	}
	class := c.class()
	c.will = policy.NewConsents(class, d.Consent, c.began)
	if before != nil {
		for _, p := range before.Parties() {
			c.will.Join(p.ID, p.Internal, p.Joined)
			if !p.Present {
				c.will.Leave(p.ID)
			}
		}
		for _, signal := range before.Signals() {
			_, _ = c.will.Apply(signal) // it was good before
		}
	}
	c.keypad = c.keypad.under(class, alarm)
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
			DirectoryDigest: c.decision.Directory, Sample: sampleText(c.decision), SampleScope: c.decision.Scope, Draw: c.decision.Draw,
			Threshold: c.decision.Threshold, Consent: c.decision.Consent, Quota: c.decision.Claim,
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
	d.Mandate = c.class().Mandate
	d.relatedData = r.words.related(c.decision.Record, meta, c.key)
	return d
}

// sampleText is the share that a decision drew for; "" when it drew for none.
func sampleText(d policy.Decision) string {
	if d.Draw == "" {
		return ""
	}
	return d.Sample.String()
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
		fate := journalEntry{At: r.cfg.Clock(), Fate: &fateEntry{Abandon: true}} // whatever keeps it from being discarded now
		errs = append(errs, fate.append(c.writer), c.writer.Close())
	}
	if c.sink != nil {
		c.sink.forget()
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
