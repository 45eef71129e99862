package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// A CDR is what a telephone system says of a call that has ended.
type CDR struct {
	CallID      string    // an identifier of the call, as Query.CallID of the catalog finds it
	Identifiers []string  // others, of this call alone: that of a group or a trunk would find other calls' recordings
	Ended       time.Time // never zero
	// Caller and Callee are numbers or addresses of record; either may be empty.
	Caller, Callee string
	// Class names the class that had to record the call. Empty: the one that the policy in force gives for a call between the two at that
	// time. Rules that ask for more than that, as for header fields, do not see it in a CDR: name the class then.
	Class string
}

// ErrCDR says that a CDR cannot be taken; the text says why, and names nobody.
var ErrCDR = errors.New("the CDR cannot be taken")

// maxCDRIdentifiers bounds the identifiers of a CDR.
const maxCDRIdentifiers = 32

// What is observed of EventAbsent beside the states of what was found instead.
const (
	reasonNoRecording = "no_recording"
	reasonNotOpened   = "not_opened" // the event says what kept it from being opened
)

// absentData is the data of EventAbsent.
type absentData struct {
	Class    string    `json:"class"`
	CallHash string    `json:"call_hash,omitempty"` // of what the CDR calls the call
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Reason   string    `json:"reason"`
}

// Expect takes a CDR. When the call belongs to a class with a missing_alarm, and after that time no recording of it is there, Alarm tells
// so. A call of another class is none of this: it may go unrecorded. A call that is told of twice is expected once.
func (r *Recorder) Expect(ctx context.Context, c CDR) error {
	ids := c.identifiers()
	switch {
	case len(ids) == 0:
		return fmt.Errorf("%w: it has no identifier of the call", ErrCDR)
	case len(ids) > maxCDRIdentifiers:
		return fmt.Errorf("%w: it has more than %d identifiers", ErrCDR, maxCDRIdentifiers)
	case c.Ended.IsZero():
		return fmt.Errorf("%w: it does not say when the call ended", ErrCDR)
	}
	class, obliged, err := r.obligation(c)
	if err != nil || !obliged {
		return err
	}
	return r.cfg.Catalog.Expect(ctx, catalog.Expected{
		CallHash: r.words.hash(ids[0]), Class: class.Name, EndedAt: utcMS(c.Ended), Deadline: utcMS(class.MissingAlarm.After(c.Ended)), IDs: r.words.searched(ids, class),
	})
}

// identifiers lists what the CDR calls the call, each once.
func (c CDR) identifiers() (ids []string) {
	for _, id := range append([]string{c.CallID}, c.Identifiers...) {
		if id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// obligation finds the class that had to record the call, if one had.
func (r *Recorder) obligation(c CDR) (class policy.Class, obliged bool, err error) {
	p := r.rules()
	if c.Class == "" {
		f := policy.Facts{Metadata: c.metadata(), Directory: r.directory(), Began: c.Ended}
		d := p.Decide(f, c.Ended)
		class, _ = p.Class(d.Class)
		lacking := d.Reason == policy.Waiting || d.Reason == policy.FactsMissing // a CDR has few facts: the call may have had them
		return class, (d.Record || lacking) && !class.MissingAlarm.IsZero(), nil
	}
	class, known := p.Class(c.Class)
	switch {
	case !known:
		return class, false, fmt.Errorf("%w: the policy in force has no such class", ErrCDR)
	case class.MissingAlarm.IsZero():
		return class, false, fmt.Errorf("%w: class %s has no missing_alarm; give it one in the policy", ErrCDR, class.Name)
	}
	return class, true, nil
}

// metadata is what a CDR says, in the words of a recording session.
func (c CDR) metadata() *siprec.Metadata {
	m := &siprec.Metadata{}
	for i, aor := range []string{c.Caller, c.Callee} {
		if aor == "" {
			continue
		}
		id, calls := siprec.ParticipantID(fmt.Sprint(i)), i == 0
		m.Participants = append(m.Participants, siprec.Participant{ID: id, Names: []siprec.NameID{{AOR: aor}}, Caller: &calls})
		m.Members = append(m.Members, siprec.Member{Participant: id})
	}
	return m
}

// searched lists what a call's recording is looked for by: its identifiers, where the class lets the catalog keep them, and the links
// that they make.
func (w *words) searched(ids []string, class policy.Class) (out []string) {
	add := func(id string) {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for _, id := range ids {
		if class.Keeps(policy.FieldCallIDs) {
			add(id)
		}
		session := siprec.Metadata{Sessions: []siprec.Session{{SIPSessionIDs: []string{id}}}}
		for _, part := range append(siprec.SessionIDHalves(id), session.CallKey(id)) {
			add(w.hash(part))
		}
	}
	return out
}

// How Alarm looks for recordings.
const (
	alarmInterval = 5 * time.Second
	alarmPage     = 100 // calls at a time
)

// Alarm tells of calls that had to be recorded and have no recording, until ctx ends. What was expected before a restart still is. A call is
// told of once; after a crash in between, again.
func (r *Recorder) Alarm(ctx context.Context) error {
	tick := time.NewTicker(alarmInterval)
	defer tick.Stop()
	for {
		if err := r.tellAbsent(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("look for recordings that are expected", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tellAbsent looks for the recordings of all calls that are due.
func (r *Recorder) tellAbsent(ctx context.Context) error {
	for {
		due, err := r.cfg.Catalog.DueExpected(ctx, r.cfg.Clock(), alarmPage)
		if err != nil || len(due) == 0 {
			return err
		}
		for _, x := range due {
			if err := r.lookFor(ctx, x); err != nil {
				return err
			}
		}
	}
}

// lookFor looks for the recording of a call, and tells when there is none.
func (r *Recorder) lookFor(ctx context.Context, x catalog.Expected) error {
	rows, err := r.cfg.Catalog.RecordingsOf(ctx, x)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rows, isRecorded) {
		return r.cfg.Catalog.Found(ctx, x.CallHash)
	}
	id, data := "", absentData{Class: x.Class, CallHash: x.CallHash, EndedAt: x.EndedAt, Reason: reasonNoRecording}
	if len(rows) > 0 { // the newest says the most
		id, data.Reason = rows[0].ID, string(rows[0].State)
	}
	if err := r.absent(ctx, id, data.Reason, data); err != nil {
		return err
	}
	return r.cfg.Catalog.Told(ctx, x.CallHash)
}

// isRecorded tells whether a row is of a call whose sound is there, or was for as long as its class says.
func isRecorded(row catalog.Recording) bool {
	switch row.State {
	case catalog.StateRecording, catalog.StateFinishing, catalog.StateStored, catalog.StateLocked, catalog.StateExpired:
		return true
	}
	return false
}

// missed tells at once that a call could not be recorded that its class had to record. why names nobody.
func (r *Recorder) missed(ctx context.Context, id string, class policy.Class, why string) error {
	return r.absent(context.WithoutCancel(ctx), id, reasonNotOpened, absentData{Class: class.Name, Reason: why})
}

// absent makes it known that a recording is missing: in the program's log and the metrics first, which somebody may be watching.
func (r *Recorder) absent(ctx context.Context, id, outcome string, data absentData) error {
	r.cfg.Observe(Observation{Event: EventAbsent, Class: data.Class, Outcome: outcome})
	r.cfg.Log.Error("a call that had to be recorded has no recording", zap.String("recording_id", id), zap.String("class", data.Class),
		zap.String("reason", data.Reason), zap.String("call_hash", data.CallHash), zap.Time("ended_at", data.EndedAt))
	return r.witness(ctx, EventAbsent, id, "", data)
}
