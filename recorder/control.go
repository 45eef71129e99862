package recorder

import (
	"context"
	"errors"
	"time"

	"github.com/greffier/greffier/policy"
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

// Live lists the calls that go on, in the order of their ids.
func (r *Recorder) Live() []Live { return nil }

// Mark begins the recording of a call whose class begins on a mark, or ends it. The recording holds what lies between. ErrNotMarked
// when the class does not, ErrNotRecording when there is no such call. A mark that is set already is no error.
func (r *Recorder) Mark(ctx context.Context, id string, begin bool, actor string) error {
	return errors.ErrUnsupported
}

// Signal takes what somebody said about being recorded, and tells what follows; its Answer is to be told to them. The time of a
// signal without one is now. The error wraps ErrSignal when it cannot be taken, ErrNotRecording when there is no such call.
func (r *Recorder) Signal(ctx context.Context, id string, s policy.Signal, actor string) (policy.Verdict, error) {
	return policy.Verdict{}, errors.ErrUnsupported
}
