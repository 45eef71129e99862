package recorder

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// A LiveState says what is happening to a call that goes on.
type LiveState string

// The states of calls that go on.
const (
	LiveRecording   LiveState = "recording"    // what is said is kept
	LiveHeld        LiveState = "held"         // in memory only, until notice or consent comes
	LivePaused      LiveState = "paused"       // recorded, and nothing is heard now
	LiveWaiting     LiveState = "waiting"      // nothing is kept until a fact, notice, consent or mark comes
	LiveNotRecorded LiveState = "not_recorded" // nothing is kept
)

// A Live is a call that goes on, as somebody sees it who may act on it. It names the parties: it is for those who have a right to know.
type Live struct {
	ID               string      `json:"id"` // of the recording, also where there is none
	RecordingSession string      `json:"recording_session"`
	SRC              string      `json:"src"`
	Tenant           string      `json:"tenant,omitempty"`
	State            LiveState   `json:"state"`
	Class            string      `json:"class,omitempty"`
	Rule             string      `json:"rule,omitempty"`
	Reason           string      `json:"reason"`           // of the decision
	Paused           string      `json:"paused,omitempty"` // why
	StartedAt        time.Time   `json:"started_at"`
	CallIDs          []string    `json:"call_ids"` // every identifier of the call that is known
	Parties          []LiveParty `json:"parties"`
}

// A LiveParty is somebody in a call that goes on.
type LiveParty struct {
	ID       string              `json:"id"` // as a policy.Signal names them
	AOR      string              `json:"aor,omitempty"`
	Name     string              `json:"name,omitempty"`
	Number   string              `json:"number,omitempty"`
	Internal bool                `json:"internal"`
	Consent  policy.ConsentState `json:"consent,omitempty"` // of a call whose class follows it
}

// Errors of those who act on a call that goes on.
var (
	// ErrNotMarked: the call's class does not begin on a mark.
	ErrNotMarked = errors.New("the call's class does not begin on a mark")
	// ErrSignal: the signal cannot be taken as it is; the text says why.
	ErrSignal = errors.New("the signal cannot be taken")
)

// Live lists the calls that go on, in the order of their ids, which is that in which they began.
func (r *Recorder) Live() []Live {
	out := []Live{}
	for _, s := range r.all() {
		out = append(out, r.liveOf(s)...)
	}
	slices.SortFunc(out, func(a, b Live) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func (r *Recorder) liveOf(s *session) (out []Live) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, c := range s.list() {
		meta := s.metadata.Of(c.scope)
		l := Live{
			ID: c.id, RecordingSession: s.id, SRC: c.src, Tenant: r.cfg.Profiles[c.src].Tenant, State: c.state(), Class: c.decision.Class,
			Rule: c.decision.Rule, Reason: string(c.effective().Reason), Paused: c.pausedBy, StartedAt: utcMS(c.began),
			CallIDs: joined([]string{s.in.Dialog.CallID}, meta.CallIDs()), Parties: []LiveParty{},
		}
		for _, p := range meta.Present() {
			party := LiveParty{ID: string(p.ID), AOR: p.AOR(), Name: p.Name(), Number: siprec.Number(p.AOR()), Internal: c.rules.Internal(p, r.directory())}
			if c.will != nil {
				party.Consent = c.will.State(string(p.ID))
			}
			l.Parties = append(l.Parties, party)
		}
		out = append(out, l)
	}
	return out
}

// state says what is happening to the call.
func (c *call) state() LiveState {
	switch {
	case c.recording != nil && (c.muted != "" || c.pausedBy != ""):
		return LivePaused
	case c.recording != nil && c.sink.holds():
		return LiveHeld
	case c.recording != nil:
		return LiveRecording
	case c.effective().Reason == policy.Waiting, c.decision.Record && c.unmarked():
		return LiveWaiting
	}
	return LiveNotRecorded
}
