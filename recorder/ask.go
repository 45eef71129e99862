package recorder

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/greffier/greffier/siprec"
)

// A Wire makes requests of ours inside a recording session's dialog. Neither method may be called from inside Begin, Update or
// End; a change that answers our offer comes back as an Update with Change.Answered before Reoffer returns.
//
// An error that has a status of the SRC's answer is, or wraps, an *AnswerError.
type Wire interface {
	// Reoffer tells the SRC by a re-INVITE what we receive from now on.
	Reoffer(ctx context.Context, dialog siprec.DialogID, a siprec.Answer) error
	// RequestSnapshot asks the SRC for its complete metadata (RFC 7866 section 8.2). They come as an Update.
	RequestSnapshot(ctx context.Context, dialog siprec.DialogID, reason string) error
}

// An AnswerError is an SRC's refusal of a request of ours.
type AnswerError struct {
	Status int
	Err    error
}

func (e *AnswerError) Error() string { return e.Err.Error() }
func (e *AnswerError) Unwrap() error { return e.Err }

// ErrChanged is a Wire's word that the SRC changed its description before ours was sent: what we want may be another thing now.
var ErrChanged = errors.New("the SRC's description has changed meanwhile")

var (
	errNoWire = errors.New("there is no way to ask the SRC")
	errOver   = errors.New("the session has ended")
)

// What asking may take.
const (
	maxAsks    = 16               // at the same time
	askTimeout = 40 * time.Second // longer than a SIP transaction
	// calmTime is how long we wait before we ask for less: the SRC may be about to say itself what follows, and until then what it
	// sends is discarded.
	calmTime = 2 * time.Second
)

// refusedChange is the warning of a recording whose SRC did not make a change that we asked for.
const refusedChange = "src-refused-change"

// asks are the sessions of which something may be to be asked, and from when on. What it is they say themselves when their turn
// comes: so the latest wish wins.
type asks struct {
	wake chan struct{} // capacity 1

	mu   sync.Mutex // protects what follows
	wire Wire
	due  map[*session]time.Time
}

func newAsks() asks { return asks{wake: make(chan struct{}, 1), due: map[*session]time.Time{}} }

// Connect gives the recorder the way to the SRCs. It is called before the first session.
func (r *Recorder) Connect(w Wire) {
	r.asks.mu.Lock()
	defer r.asks.mu.Unlock()
	r.asks.wire = w
}

// reconsider has a session looked at, if there is anything to ask. The caller has its turn.
func (r *Recorder) reconsider(s *session) {
	at, ok := r.wish(s)
	if !ok {
		return
	}
	r.asks.mu.Lock()
	if before, there := r.asks.due[s]; !there || at.Before(before) {
		r.asks.due[s] = at
	}
	r.asks.mu.Unlock()
	select {
	case r.asks.wake <- struct{}{}:
	default:
	}
}

// wish tells whether there is anything to ask, and from when on. The caller has the session's turn.
func (r *Recorder) wish(s *session) (at time.Time, ok bool) {
	if s.over {
		return at, false
	}
	now := r.cfg.Clock()
	if !s.refused && s.asked == nil {
		listen, silence := s.differing(s.answer())
		switch {
		case len(listen) > 0:
			return now, true
		case len(silence) > 0:
			at, ok = now.Add(calmTime), true
		}
	}
	if due, doubt := s.doubts.due(); doubt && (!ok || due.Before(at)) {
		at, ok = due, true
	}
	return at, ok
}

// Ask makes our requests to SRCs until ctx ends, one at a time for each session; then it waits for those in hand.
func (r *Recorder) Ask(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	busy, done := map[*session]bool{}, make(chan *session, maxAsks)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-done:
			delete(busy, s)
		case <-r.asks.wake:
		case <-timer.C:
		}
		due, wait := r.takeDue(busy)
		for _, s := range due {
			busy[s] = true
			wg.Go(func() {
				r.askNow(ctx, s)
				done <- s // never full: no more are busy
			})
		}
		timer.Reset(wait)
	}
}

// askRest is how often the sessions that wait are looked at when nothing calls for it.
const askRest = time.Minute

// takeDue takes as many sessions as may be asked now, and tells when to look again.
func (r *Recorder) takeDue(busy map[*session]bool) (due []*session, wait time.Duration) {
	r.asks.mu.Lock()
	defer r.asks.mu.Unlock()
	now := r.cfg.Clock()
	wait = askRest
	for s, at := range r.asks.due {
		switch left := at.Sub(now); {
		case busy[s]:
		case left > 0:
			wait = min(wait, left)
		case len(busy)+len(due) < maxAsks:
			due = append(due, s)
			delete(r.asks.due, s)
		}
	}
	return due, wait
}

// askNow asks what a session wants now.
func (r *Recorder) askNow(ctx context.Context, s *session) {
	r.asks.mu.Lock()
	wire := r.asks.wire
	r.asks.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()

	s.turn.Lock()
	at, ok := r.wish(s)
	if !ok || at.After(r.cfg.Clock().Add(calmTime)) {
		if ok {
			r.reconsider(s)
		}
		s.turn.Unlock()
		return
	}
	want := s.answer()
	listen, silence := s.differing(want)
	if s.refused {
		listen, silence = nil, nil
	}
	doubt := siprec.Doubt("")
	if len(listen)+len(silence) > 0 {
		s.asked = &want
	} else {
		doubt = s.doubts.ask(r.cfg.Clock())
	}
	s.turn.Unlock()

	switch {
	case len(listen)+len(silence) > 0:
		r.reoffer(ctx, wire, s, want, listen, silence)
	case doubt != "":
		r.requestSnapshot(ctx, wire, s, doubt)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	r.reconsider(s)
}

// reoffer asks for another description, and takes what becomes of it.
func (r *Recorder) reoffer(ctx context.Context, wire Wire, s *session, want siprec.Answer, listen, silence []siprec.Label) {
	data := askedData{Request: "reinvite", RecordingSession: s.id, Labels: texts(listen, silence), Wanted: string(siprec.Inactive)}
	if len(listen) > 0 {
		data.Wanted = string(siprec.RecvOnly)
	}
	err := r.tellAsk(ctx, s, EventAsked, "", data)
	if err == nil {
		err = errNoWire
		if wire != nil {
			err = wire.Reoffer(ctx, s.in.Dialog, want)
		}
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if err == nil {
		if s.asked != nil { // it was not answered by a description
			s.local, s.asked = effective(want, s.offer), nil
		}
		return
	}
	s.asked = nil
	stillListen, stillSilence := s.differing(s.answer())
	if s.over || len(stillListen)+len(stillSilence) == 0 || ctx.Err() == context.Canceled || errors.Is(err, ErrChanged) {
		return // another change has come, and brought it, or is asked about anew
	}
	s.refused = true
	r.unheeded(s, data, err)
	for _, c := range s.concerned(texts(listen, silence)) {
		c.warn(refusedChange, r.cfg.Clock())
		if c.recording == nil && !c.decision.Record {
			r.noteDiscarded(c)
		}
	}
}

// requestSnapshot asks for the complete metadata.
func (r *Recorder) requestSnapshot(ctx context.Context, wire Wire, s *session, doubt siprec.Doubt) {
	data := askedData{Request: "snapshot", RecordingSession: s.id, Reason: string(doubt)}
	s.turn.Lock()
	for _, c := range s.list() {
		c.warn(snapshotRequested, r.cfg.Clock())
	}
	s.turn.Unlock()
	err := r.tellAsk(ctx, s, EventAsked, "", data)
	if err == nil {
		err = errNoWire
		if wire != nil {
			err = wire.RequestSnapshot(ctx, s.in.Dialog, string(doubt))
		}
	}
	if err != nil && ctx.Err() != context.Canceled {
		s.turn.Lock()
		defer s.turn.Unlock()
		if !s.over {
			r.unheeded(s, data, err)
		}
	}
}
