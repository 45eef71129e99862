package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// consentData is the data of EventConsent. The party and the proof are keyed hashes: the sidecar has what they stand for.
type consentData struct {
	Party  string               `json:"party,omitempty"` // absent: everybody
	Kind   policy.SignalKind    `json:"kind"`
	Source policy.SignalSource  `json:"source"`
	Proof  string               `json:"proof,omitempty"`
	At     time.Time            `json:"at"`
	State  policy.ConsentState  `json:"state,omitempty"` // of the party, after it
	Action policy.Action        `json:"action"`          // what follows for the call
	Reason policy.VerdictReason `json:"reason"`
	Answer string               `json:"answer,omitempty"` // to one who objected in vain
}

// learnWill takes in who is in the call, and what the SRC says of their will. It gives the events that tell of it, which are to be
// witnessed once what follows from it is done.
func (r *Recorder) learnWill(c *call, f policy.Facts, at time.Time) []audit.Event {
	if c.will == nil {
		c.verdict = policy.Verdict{}
		return nil
	}
	present := map[string]bool{}
	if f.Metadata != nil {
		for _, p := range f.Metadata.Present() {
			present[string(p.ID)] = true
			c.will.Join(string(p.ID), c.rules.Internal(p, f.Directory), at)
		}
	}
	for _, p := range c.will.Parties() {
		if !present[p.ID] {
			c.will.Leave(p.ID)
		}
	}
	var events []audit.Event
	for _, signal := range c.rules.Signals(f, at) {
		said := signal
		said.At = time.Time{}
		if c.told[said] {
			continue
		}
		if c.told == nil {
			c.told = map[policy.Signal]bool{}
		}
		c.told[said] = true
		if e, err := r.takeSignal(c, signal); err != nil {
			c.log().Warn("what the SRC says of notice or consent cannot be taken", zap.Error(err))
		} else {
			events = append(events, e)
		}
	}
	r.learnVerdict(c, at)
	return events
}

// learnVerdict brings what follows from the parties' will up to now.
func (r *Recorder) learnVerdict(c *call, now time.Time) {
	c.verdict = policy.Verdict{}
	if c.will != nil {
		c.verdict = c.will.Verdict(now)
	}
}

// takeSignal takes one signal of a call, and gives the event that tells of it.
func (r *Recorder) takeSignal(c *call, signal policy.Signal) (audit.Event, error) {
	if _, err := c.will.Apply(signal); err != nil {
		return audit.Event{}, fmt.Errorf("%w: %w", ErrSignal, err)
	}
	if c.writer != nil {
		if err := c.note(journalEntry{At: signal.At, Signal: &signal}); err != nil {
			return audit.Event{}, err
		}
	}
	r.learnVerdict(c, r.cfg.Clock())
	d := consentData{
		Kind: signal.Kind, Source: signal.Source, At: utcMS(signal.At), Action: c.verdict.Action, Reason: c.verdict.Reason, Answer: c.verdict.Answer,
	}
	if signal.Party != "" {
		d.Party, d.State = r.words.hash(signal.Party), c.will.State(signal.Party)
	}
	if signal.Proof != "" {
		d.Proof = r.words.hash(signal.Proof)
	}
	return r.event(EventConsent, c.id, "", d), nil
}

// noteWill writes what the parties have said so far into the journal of a recording that begins.
func (c *call) noteWill() error {
	if c.will == nil {
		return nil
	}
	for _, signal := range c.will.Signals() {
		if err := c.note(journalEntry{At: signal.At, Signal: &signal}); err != nil {
			return err
		}
	}
	return nil
}

// Signal takes what somebody said about being recorded, and tells what follows; its Answer is to be told to them. The time of a
// signal without one is now. The error wraps ErrSignal when it cannot be taken, ErrNotRecording when there is no such call.
func (r *Recorder) Signal(ctx context.Context, id string, signal policy.Signal, actor string) (v policy.Verdict, err error) {
	err = r.onRecording(id, func(s *session, c *call) error {
		v, err = r.signal(ctx, s, c, signal, actor)
		return err
	})
	return v, err
}

// signal takes a signal, and does what follows from it. The caller has the session's turn.
func (r *Recorder) signal(ctx context.Context, s *session, c *call, signal policy.Signal, actor string) (policy.Verdict, error) {
	if c.will == nil {
		return policy.Verdict{}, fmt.Errorf("%w: the call waits for facts, and nothing of it is recorded", ErrSignal)
	}
	if signal.At.IsZero() {
		signal.At = r.cfg.Clock()
	}
	event, err := r.takeSignal(c, signal)
	if err != nil {
		return policy.Verdict{}, err
	}
	event.Actor = actor
	v := c.verdict
	ch := siprec.Change{At: r.cfg.Clock()}
	return v, errors.Join(r.heed(ctx, s, c, []audit.Event{event}, ch), r.settleFrom(ctx, s, ch))
}

// Mark begins the recording of a call whose class begins on a mark, or ends it. The recording holds what lies between. ErrNotMarked
// when the class does not, ErrNotRecording when there is no such call. A mark that is set already is no error.
func (r *Recorder) Mark(ctx context.Context, id string, begin bool, actor string) error {
	return r.onRecording(id, func(s *session, c *call) error {
		if c.class().Start != policy.OnMark {
			return fmt.Errorf("%w: %s", ErrNotMarked, id)
		}
		if c.marked == begin {
			return nil
		}
		ch := siprec.Change{At: r.cfg.Clock()}
		if begin { // witnessed before the deed; the end is a silence, and comes first
			if err := r.witnessBy(ctx, EventMarked, c.id, actor, markedData{Mark: "start"}); err != nil {
				return err
			}
			c.marked = true
			return r.settleFrom(ctx, s, ch)
		}
		c.marked = false
		return errors.Join(r.heed(ctx, s, c, nil, ch), r.witnessBy(ctx, EventMarked, c.id, actor, markedData{Mark: "end"}), r.settleFrom(ctx, s, ch))
	})
}
