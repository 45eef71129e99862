package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec"
)

// story is what the audit log tells of one recording.
type story struct {
	decided, record bool
	started         bool // the SRC may have been told that we record
	cancelled       bool // and took its call back before it was
	stored, locked  bool
	undone          bool
	gone            bool       // expired, or destroyed for a reason
	made            bool       // of another recording, by a redaction
	objects         objectData // as last stored
}

// stories replays the audit log. named are the ids that it has ever named: recordings, and documents about them.
func (a *Archive) stories(ctx context.Context) (out map[string]story, named map[string]bool, err error) {
	out, named = map[string]story{}, map[string]bool{}
	for e, err := range audit.Read(a.AuditDir) {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return out, named, err
		}
		named[e.Subject] = true
		s := out[e.Subject]
		err := errors.Join(s.tell(e), nameOthers(named, e))
		if s.decided {
			out[e.Subject] = s
		}
		if err := errors.Join(err, succeed(out, e)); err != nil {
			return out, named, fmt.Errorf("entry %d: %w", e.Seq, err)
		}
	}
	return out, named, nil
}

// nameOthers notes the ids that an entry about a recording names beside it: of what a redaction makes of it, and of a document.
func nameOthers(named map[string]bool, e audit.Entry) error {
	if e.Type != EventRedacted && e.Type != EventAnalysisWritten {
		return nil
	}
	var d struct {
		Recording string `json:"recording"`
		Document  string `json:"document"`
	}
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	named[d.Recording], named[d.Document] = true, true
	return nil
}

// tell adds one entry to a recording's story.
func (s *story) tell(e audit.Entry) error {
	switch done := e.Outcome == audit.Done; {
	case e.Type == EventDecision:
		var d decisionData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		s.decided, s.record = true, d.Record
	case e.Type == EventEnded:
		var d endedData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		s.cancelled = d.Cause == string(siprec.EndCancel) || d.Cause == string(siprec.EndDeclined)
	case e.Type == EventStored && done:
		s.stored, s.objects = true, objectData{}
		return json.Unmarshal(e.Data, &s.objects)
	case e.Type == EventStarted && done:
		s.started = true
	case e.Type == EventLocked && done:
		s.locked = true
	case e.Type == EventAbandoned && done:
		s.undone = true
	case e.Type == EventExpired || e.Type == EventDestroyed || e.Type == EventShredded:
		s.gone = s.gone || done || e.Outcome == audit.Intended // the key may be gone, and a crash have come before the other event
	}
	return nil
}

// succeed gives a recording that was made of another, by a redaction, what the log tells of the other.
func succeed(stories map[string]story, e audit.Entry) error {
	if e.Type != EventRedacted || e.Outcome != audit.Intended {
		return nil
	}
	var d redactedData
	if err := json.Unmarshal(e.Data, &d); err != nil {
		return err
	}
	if old := stories[e.Subject]; old.decided {
		stories[d.Recording] = story{decided: true, record: old.record, started: old.started, made: true}
	}
	return nil
}
