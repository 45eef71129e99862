package recorder

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// Bounds of Follow.
const (
	maxReviews   = 16          // sessions that are looked at at the same time
	maxQuestions = 64          // that are put at the same time; calls beyond that are decided about by what is known
	followRest   = time.Minute // how long it rests when nothing is to come
)

// alarms are the sessions that are to be looked at, and when; and the questions that are to be put.
type alarms struct {
	wake chan struct{} // capacity 1

	mu        sync.Mutex // protects what follows
	due       map[*session]time.Time
	questions []question
}

// A question is one to the adviser about a call.
type question struct {
	s  *session
	id string
	q  Question
}

func newAlarms() alarms {
	return alarms{wake: make(chan struct{}, 1), due: map[*session]time.Time{}}
}

// alarm has a session looked at, at an instant. It may be called by anyone, and takes no turn.
func (r *Recorder) alarm(s *session, at time.Time) {
	a := &r.alarms
	a.mu.Lock()
	if before, there := a.due[s]; !there || at.Before(before) {
		a.due[s] = at
	}
	a.mu.Unlock()
	a.stir()
}

// alarmOf has a session looked at now.
func (r *Recorder) alarmOf(s *session) func() {
	return func() { r.alarm(s, r.cfg.Clock()) }
}

func (a *alarms) stir() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// remind sets the alarm of a session for the next thing that is due in it. Its turn is the caller's.
func (r *Recorder) remind(s *session) {
	next := time.Time{}
	for _, c := range s.list() {
		next = earlier(next, c.until())
	}
	if !next.IsZero() {
		r.alarm(s, next)
	}
}

// consult puts the question to the adviser, once for each call, what is known of its parties' will.
func (r *Recorder) consult(s *session, c *call, f policy.Facts) {
	if r.cfg.Adviser == nil || c.consulted || c.decision.Consent == "" || c.decision.Consent == policy.NoneMandated || f.Metadata == nil {
		return
	}
	c.consulted = true
	q := Question{Recording: c.id, Class: c.decision.Class}
	for _, p := range f.Metadata.Present() {
		q.Parties = append(q.Parties, QuestionParty{
			ID: string(p.ID), Number: siprec.Number(p.AOR()), AOR: p.AOR(), Internal: c.rules.Internal(p, f.Directory),
		})
	}
	a := &r.alarms
	a.mu.Lock()
	a.questions = append(a.questions, question{s, c.id, q})
	a.mu.Unlock()
	a.stir()
}

// Follow looks after calls that wait for something until ctx ends: facts, notice, consent, the end of a pause; and puts questions to the
// adviser. It waits for what it has begun.
func (r *Recorder) Follow(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	reviews, questions := make(chan struct{}, maxReviews), make(chan struct{}, maxQuestions)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.alarms.wake:
		case <-timer.C:
		}
		due, asked, wait := r.takeAlarms()
		for _, s := range due {
			select {
			case reviews <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			wg.Go(func() {
				defer func() { <-reviews }()
				r.reviewSession(s)
			})
		}
		for _, q := range asked {
			select {
			case questions <- struct{}{}:
				wg.Go(func() {
					defer func() { <-questions }()
					r.advise(ctx, q)
				})
			default:
				q.s.log().Warn("too many questions to the customer system wait: this one is not put", zap.String("recording_id", q.id))
			}
		}
		timer.Reset(wait)
	}
}

// takeAlarms takes what is due, and tells when to look again.
func (r *Recorder) takeAlarms() (due []*session, asked []question, wait time.Duration) {
	a := &r.alarms
	a.mu.Lock()
	defer a.mu.Unlock()
	now := r.cfg.Clock()
	wait = followRest
	for s, at := range a.due {
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		due = append(due, s)
		delete(a.due, s)
	}
	asked, a.questions = a.questions, nil
	return due, asked, wait
}

// reviewSession looks at a session because time has passed, or somebody has said something outside of its signalling.
func (r *Recorder) reviewSession(s *session) {
	ctx := context.Background() // what is begun is brought to an end, and witnessed
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return
	}
	ch := siprec.Change{At: r.cfg.Clock()}
	if err := r.settle(ctx, s, ch, false); err != nil {
		s.log().Error("look at a session again", zap.Error(err))
	}
	r.reconsider(s)
}

// settleFrom brings a session up to what has just been said of it, outside of its signalling. The caller has its turn.
func (r *Recorder) settleFrom(ctx context.Context, s *session, ch siprec.Change) error {
	err := r.settle(ctx, s, ch, false)
	r.reconsider(s)
	return err
}

// advise puts a question, and takes the answer for what it is: signals about the parties. The answer may be there before the session that
// it is about has begun: it waits for its turn.
func (r *Recorder) advise(ctx context.Context, q question) {
	signals, err := r.cfg.Adviser.Advise(ctx, q.q)
	if err != nil {
		q.s.log().Warn("the customer system gave no answer about consent", zap.String("recording_id", q.id), zap.Error(err))
		return
	}
	for _, signal := range signals {
		err := r.onCall(q.s, q.id, func(s *session, c *call) error {
			_, err := r.signal(context.WithoutCancel(ctx), s, c, signal, "")
			return err
		})
		if err != nil {
			q.s.log().Warn("the customer system's answer about consent cannot be taken", zap.String("recording_id", q.id), zap.Error(err))
		}
	}
}
