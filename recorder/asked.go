package recorder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/siprec"
)

// unheeded tells that the SRC did not do what we asked for. The caller has the session's turn.
func (r *Recorder) unheeded(s *session, data askedData, err error) {
	var answer *AnswerError
	if errors.As(err, &answer) {
		data.Status = answer.Status
	}
	s.log().Warn("the SRC did not do what it was asked", zap.String("request", data.Request), zap.Strings("labels", data.Labels), zap.Error(err))
	if err := r.tellAskLocked(context.Background(), s, EventUnheeded, audit.Failed, data); err != nil {
		s.log().Error("witness", zap.Error(err))
	}
}

// tellAsk witnesses a request of ours for each recording that it concerns.
func (r *Recorder) tellAsk(ctx context.Context, s *session, typ string, outcome audit.Outcome, data askedData) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.over {
		return errOver
	}
	return r.tellAskLocked(ctx, s, typ, outcome, data)
}

func (r *Recorder) tellAskLocked(ctx context.Context, s *session, typ string, outcome audit.Outcome, data askedData) error {
	var events []audit.Event
	for _, c := range s.concerned(data.Labels) {
		events = append(events, r.event(typ, c.id, outcome, data))
	}
	if len(events) == 0 {
		events = append(events, r.event(typ, s.id, outcome, data))
	}
	r.cfg.Observe(Observation{Event: typ, Outcome: data.Request})
	return r.witnessAll(ctx, events...)
}

// concerned lists the calls whose labels these are; without labels all.
func (s *session) concerned(labels []string) []*call {
	if labels == nil {
		return s.list()
	}
	found := map[*call]bool{}
	for _, l := range labels {
		if c := s.owners[siprec.Label(l)]; c != nil {
			found[c] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b *call) int { return slices.Index(s.list(), a) - slices.Index(s.list(), b) })
}

func texts(lists ...[]siprec.Label) []string {
	var out []string
	for _, l := range slices.Concat(lists...) {
		out = append(out, string(l))
	}
	return out
}

// warn writes a warning into a recording's journal, once.
func (c *call) warn(text string, now time.Time) {
	c.warnings = append(c.warnings, text)
	if c.recording == nil {
		return
	}
	if list := c.takeWarnings(); list != nil {
		if err := c.note(journalEntry{At: now, Warnings: list}); err != nil {
			c.log().Error("write a warning", zap.Error(err))
		}
	}
}

// noteDiscarded says in the catalog that the SRC goes on to send what is not recorded. The audit log has it.
func (r *Recorder) noteDiscarded(c *call) {
	r.tellCatalog(context.Background(), c.id, func(d *debt) { d.detail = joinDetail(c.decision.Detail, "the SRC refused to stop sending") })
}
