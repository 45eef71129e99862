package recorder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/siprec"
)

// A session is one recording session (RFC 7866): a dialog with an SRC, and what it carries. It owns the metadata, the SRC's last
// description, what was agreed about each m-line, and a call for each communication session (CS) that goes on and was decided
// about. docs/decisions/0014 has the rules.
type session struct {
	id     string            // links its recordings, and says nothing of the dialog
	in     siprec.Invitation // as it began, without offer and metadata
	logs   *zap.Logger
	codecs codec.Set

	fingerprint media.Fingerprint // of our certificate

	calls atomic.Pointer[[]*call] // that go on; changed by whoever has the turn, read by anyone
	heard atomic.Int64            // when the SRC was last known to be there, in nanoseconds of Unix time

	turn sync.Mutex // held by whoever changes the session; protects what follows

	over      bool
	decided   bool // about some CS
	metadata  siprec.Metadata
	scopes    siprec.Scopes
	documents []carried                               // since the last complete one, for recordings that begin later
	said      map[siprec.SessionID][]siprec.Extension // of the recording session, when each CS that goes on began

	offer       *siprec.Offer                // the SRC's description
	labels      []siprec.Label               // of its m-lines
	willing     map[siprec.Label]bool        // whether the SRC sends, or would if we let it
	protections map[siprec.Label]*protection // of each m-line
	local       siprec.Answer                // ours, as it holds on the wire
	owners      map[siprec.Label]*call       // whose sound each label is; nil: nobody's
	parked      []*parking                   // sockets that no recording uses

	asked   *siprec.Answer // on its way to the SRC in a re-INVITE of ours
	refused bool           // the SRC refused our last wish: asked again when something changes
	doubts  doubts
}

func (r *Recorder) newSession(in siprec.Invitation) (*session, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("make session id: %w", err)
	}
	s := &session{
		id: id.String(), in: in, logs: r.cfg.Log, codecs: r.cfg.Codecs, fingerprint: r.cfg.Receiver.Fingerprint(),
		willing: map[siprec.Label]bool{}, protections: map[siprec.Label]*protection{}, owners: map[siprec.Label]*call{},
	}
	s.in.Offer, s.in.Metadata = nil, nil
	s.calls.Store(&[]*call{})
	s.touch(in.At)
	return s, nil
}

// log is a log of this session.
func (s *session) log() *zap.Logger {
	return s.logs.With(zap.String("recording_session", s.id), zap.String("src", s.in.SRC))
}

// list gives the calls that go on.
func (s *session) list() []*call { return *s.calls.Load() }

func (s *session) add(c *call) {
	list := append(slices.Clone(s.list()), c)
	s.calls.Store(&list)
}

func (s *session) remove(c *call) {
	list := slices.DeleteFunc(slices.Clone(s.list()), func(x *call) bool { return x == c })
	s.calls.Store(&list)
}

// touch notes that the SRC is there.
func (s *session) touch(at time.Time) { s.heard.Store(at.UnixNano()) }

// learn takes a document into the state.
func (s *session) learn(d *siprec.Document, at time.Time) {
	s.doubts.raise(s.metadata.Doubts(d), d)
	if s.scopes.Known() {
		s.metadata.MakeRoom(d, s.scopes.Active())
	}
	s.metadata.Apply(d, at)
	before := s.scopes.Active()
	s.scopes.Apply(d)
	s.hearsay(before, d)
	if d.DataMode != siprec.Partial && len(d.Sessions) > 0 {
		s.documents = nil
	}
	s.documents = append(s.documents, carried{At: at, Metadata: d.Raw})
	size := 0
	for i, x := range slices.Backward(s.documents) {
		if size += len(x.Metadata); size > carriedBytes || len(s.documents)-i > carriedDocuments {
			s.documents = slices.Clone(s.documents[i+1:])
			break
		}
	}
}

// hearsay notes what a document that begins CSs says of the recording session.
func (s *session) hearsay(before []siprec.SessionID, d *siprec.Document) {
	active := s.scopes.Active()
	maps.DeleteFunc(s.said, func(id siprec.SessionID, _ []siprec.Extension) bool { return !slices.Contains(active, id) })
	if len(d.Extensions) == 0 {
		return
	}
	var said []siprec.Extension
	for _, id := range active {
		if slices.Contains(before, id) {
			continue
		}
		if said == nil {
			said = slices.DeleteFunc(slices.Clone(d.Extensions), func(e siprec.Extension) bool { return e.Parent != "" })
		}
		if s.said == nil {
			s.said = map[siprec.SessionID][]siprec.Extension{}
		}
		s.said[id] = said
	}
}

// What of earlier metadata a recording is given that begins inside a session. It goes into one record of its spool file, in base64.
const (
	carriedBytes     = 512 << 10
	carriedDocuments = 64
)

// take makes a description of the SRC's the one that holds. Where we had said that we listen, the direction is the SRC's will;
// where we had not, one that does not send says nothing: it may only repeat us.
func (s *session) take(o *siprec.Offer, answered bool) {
	word := s.local
	if answered && s.asked != nil {
		word, s.asked = *s.asked, nil
	}
	said := map[siprec.Label]siprec.Direction{}
	for i, l := range s.labels {
		if i < len(word.Media) {
			said[l] = word.Media[i].Direction
		}
	}
	labels := labelsOf(o)
	if answered { // an answer's lines are the offer's, whether it repeats the labels or not (RFC 3264 section 6)
		copy(labels, s.labels)
	}
	s.offer, s.labels = o, labels
	for i, m := range o.Media {
		sends := m.Port != 0 && m.Direction.Sends()
		direction, old := said[labels[i]]
		if sends || !old || direction == siprec.RecvOnly {
			s.willing[labels[i]] = sends
		}
	}
	if answered {
		s.local = effective(word, o)
	}
}

// Begin implements srs.Recorder: it decides about what an offered session carries and, where the answer is yes, opens everything
// that keeps its sound.
func (r *Recorder) Begin(ctx context.Context, in siprec.Invitation) (siprec.Answer, error) {
	ctx = context.WithoutCancel(ctx) // a call that is cancelled meanwhile is ended by End, and every deed has its witness
	in.Offer = r.offer(in.SRC, in.Offer)
	if len(offeredLabels(r.cfg.Codecs, in.Offer)) == 0 {
		return siprec.Answer{}, &siprec.Refusal{Kind: siprec.NoMedia, Reason: "no audio stream in a format that can be recorded; offer PCMU, PCMA, G722, opus or L16, over RTP or over SRTP with keys"}
	}
	if err := r.Ready(); err != nil {
		return siprec.Answer{}, err
	}
	s, err := r.newSession(in)
	if err != nil {
		return siprec.Answer{}, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if in.Metadata != nil {
		s.learn(in.Metadata, in.At)
	}
	r.warned(in, &s.metadata)
	s.take(in.Offer, false)
	err = r.settle(ctx, s, siprec.Change{Offer: in.Offer, Metadata: in.Metadata, At: in.At}, true)
	cause := siprec.EndFailed
	if err == nil && in.Decline == siprec.DeclineRefuse && !slices.ContainsFunc(s.list(), (*call).mayBeRecorded) {
		cause = siprec.EndDeclined
		err = &siprec.Refusal{Kind: siprec.Declined, Reason: "the policy does not record this call"}
	}
	if err != nil {
		return siprec.Answer{}, errors.Join(err, r.undo(ctx, s, cause, in.At))
	}
	answer := s.answer()
	s.local = effective(answer, in.Offer)
	r.mu.Lock()
	r.sessions[in.Dialog] = s
	r.mu.Unlock()
	r.reconsider(s)
	return answer, nil
}

// undo takes back what a session has opened that the SRC is not told of, and ends what was decided.
func (r *Recorder) undo(ctx context.Context, s *session, cause siprec.EndCause, at time.Time) error {
	var errs []error
	for _, c := range s.list() {
		if c.recording != nil && c.writer == nil {
			errs = append(errs, r.forgetHeld(ctx, c, string(siprec.EndDeclined), at))
		}
		if c.recording != nil {
			ended := endedData{Cause: string(siprec.EndDeclined), At: utcMS(at)} // that of a recording of which nobody was told
			errs = append(errs, r.witness(ctx, EventEnded, c.id, "", ended), r.abandon(ctx, c))
		} else {
			r.endCall(c, cause, at)
		}
	}
	s.end(r)
	return errors.Join(errs...)
}

// end closes the sockets that no recording uses.
func (s *session) end(r *Recorder) {
	s.over = true
	s.calls.Store(&[]*call{})
	for _, p := range s.parked {
		r.release(s, p)
	}
	s.parked = nil
}

// Update implements srs.Recorder: new metadata, new streams, hold and resumption.
func (r *Recorder) Update(ctx context.Context, dialog siprec.DialogID, ch siprec.Change) (siprec.Answer, error) {
	s := r.session(dialog)
	if s == nil {
		return siprec.Answer{}, fmt.Errorf("update: no such session")
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return siprec.Answer{}, fmt.Errorf("update: the session has ended")
	}
	s.touch(ch.At)
	ch.Offer = r.offer(s.in.SRC, ch.Offer)
	if ch.Metadata != nil {
		s.learn(ch.Metadata, ch.At)
	}
	if ch.Last { // what the last words end, End ends
		return s.local, r.noteAll(ctx, s, ch)
	}
	if news := s.takeHeaders(ch.Headers); ch.Offer == nil && ch.Metadata == nil && !news {
		return s.local, nil
	}
	s.refused = s.refused && ch.Answered
	offer, labels, keys := s.offer, s.labels, s.keepProtections()
	if ch.Offer != nil {
		s.take(ch.Offer, ch.Answered)
	}
	if err := r.settle(ctx, s, ch, false); err != nil {
		s.offer, s.labels, s.protections = offer, labels, keys
		r.restore(s)
		r.reconsider(s)
		return siprec.Answer{}, err
	}
	answer := s.answer()
	if ch.Offer != nil && !ch.Answered {
		s.local = effective(answer, ch.Offer)
		r.hold(s)
		s.forget()
	}
	r.reconsider(s)
	return answer, nil
}

// forget drops what is remembered of labels that the description in force does not have: a session may live for weeks.
func (s *session) forget() {
	gone := func(l siprec.Label) bool { return !slices.Contains(s.labels, l) }
	maps.DeleteFunc(s.willing, func(l siprec.Label, _ bool) bool { return gone(l) })
	maps.DeleteFunc(s.protections, func(l siprec.Label, _ *protection) bool { return gone(l) })
}

func (r *Recorder) session(dialog siprec.DialogID) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[dialog]
}

// all gives the sessions that have not ended.
func (r *Recorder) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		out = append(out, s)
	}
	return out
}

// End implements srs.Recorder: the timelines are closed and the recordings are left to Run.
func (r *Recorder) End(dialog siprec.DialogID, cause siprec.EndCause, at time.Time) {
	r.mu.Lock()
	s := r.sessions[dialog]
	delete(r.sessions, dialog)
	r.mu.Unlock()
	if s == nil {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, c := range s.list() {
		r.endCall(c, cause, at)
	}
	s.end(r)
}
