package recorder

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/policy"
)

// A keypad hears the keys that the parties of a call press. It remembers those that mean something until the session's turn comes, and
// no other: of a card's number it knows how many keys it was.
type keypad struct {
	mu      sync.Mutex // protects what follows
	alarm   func()     // has the session looked at
	pause   policy.PauseTerms
	consent policy.ConsentTerms
	run     int // keys of a run
	stream  int // that they were pressed on
	last    time.Time
	heard   []press
}

// A press is a key that means something.
type press struct {
	on     *legs
	at     time.Time
	stream int    // of the legs
	card   bool   // a run of keys looks like a card's number
	key    string // "" of such a run
}

// maxPresses bounds the keys that wait for the session's turn, a few milliseconds.
const maxPresses = 32

// under is the keypad of a call of a class; nil when its keys mean nothing.
func (k *keypad) under(class policy.Class, alarm func()) *keypad {
	p, t := class.Pause, class.Consent
	if p.Key == "" && p.ResumeKey == "" && p.CardDigits == 0 && t.Object == "" && t.Agree == "" {
		return nil
	}
	if k == nil {
		k = &keypad{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause, k.consent, k.alarm = p, t, alarm
	return k
}

// press takes a key, and tells whether the recording is to be silent from its beginning on. It is called while packets are received:
// what takes time is done with the session's turn.
func (k *keypad) press(on *legs, d media.Digit) (silence bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.run > 0 && (d.Stream != k.stream || d.At.Sub(k.last) >= policy.CardGap) {
		k.run = 0
	}
	if d.Key >= '0' && d.Key <= '9' {
		k.run++
	}
	k.stream, k.last = d.Stream, d.At
	key := string(d.Key)
	p := press{on: on, stream: d.Stream, at: d.At, key: key}
	_, answers := k.consent.Answer(key)
	switch {
	case k.pause.CardDigits > 0 && k.run >= k.pause.CardDigits:
		p.card, p.key, silence = true, "", true
	case key == k.pause.Key:
		silence = true
	case key == k.pause.ResumeKey, answers:
	default:
		return false
	}
	if len(k.heard) < maxPresses {
		k.heard = append(k.heard, p)
	}
	k.alarm()
	return silence
}

// ends tells whether a key may take back any of the wishes that nothing is heard.
func (k *keypad) ends(mutes []mute) bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(mutes, func(m mute) bool {
		return m.ends() && k.pause.ResumeKey != "" || m.cause == muteConsent && k.consent.Agree != ""
	})
}

// take gives what was pressed and nobody has dealt with.
func (k *keypad) take() []press {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.heard
	k.heard = nil
	return out
}

// digits is what listens to the keys on a call's legs; nil when none means anything.
func (c *call) digits(on *legs) func(media.Digit) bool {
	if c == nil || c.keypad == nil {
		return nil
	}
	k := c.keypad
	return func(d media.Digit) bool { return k.press(on, d) }
}

// pressed does what the keys mean that were pressed since the last time.
func (r *Recorder) pressed(ctx context.Context, s *session, c *call, now time.Time) error {
	var errs []error
	for _, p := range c.keypad.take() {
		pause := c.class().Pause
		switch kind, answers := c.class().Consent.Answer(p.key); {
		case p.card:
			c.warn(paymentSuspected, now)
			errs = append(errs, r.mute(ctx, s, c, mute{cause: muteCard, reason: string(policy.PausePayment), since: p.at}, ""))
		case p.key == pause.Key:
			errs = append(errs, r.mute(ctx, s, c, mute{cause: muteKey, reason: string(policy.PauseOther), since: p.at}, ""))
		case p.key == pause.ResumeKey:
			errs = append(errs, r.unmute(ctx, s, c, endedByAsking, "", muteKey, muteCard, muteAsked))
		case answers:
			errs = append(errs, r.answered(ctx, s, c, p, kind))
		}
	}
	return errors.Join(errs...)
}

// answered takes a key for the word of who pressed it: of the only sender of its stream, or, of an objection, of somebody.
func (r *Recorder) answered(ctx context.Context, s *session, c *call, p press, kind policy.SignalKind) error {
	if c.will == nil {
		return nil
	}
	signal := policy.Signal{Kind: kind, At: p.at, Source: policy.FromDTMF, Proof: "key " + p.key}
	for label := range p.on.index {
		if i := p.on.index[label]; i == p.stream {
			if who := s.metadata.Senders(label); len(who) == 1 {
				signal.Party = string(who[0].ID)
			}
		}
	}
	if signal.Party == "" && kind == policy.SignalConsented {
		return nil // nobody knows whose consent it is
	}
	event, err := r.takeSignal(c, signal)
	if err != nil {
		return err
	}
	return r.witnessAll(ctx, event)
}
