package recorder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

// CheckSession finds what must never be in a session, whatever came.
func (r *Recorder) CheckSession(dialog siprec.DialogID) error {
	s := r.session(dialog)
	if s == nil {
		return nil
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	holders, ports := map[siprec.Label]int{}, map[int]siprec.Label{}
	count := func(l *legs, labels map[siprec.Label]int) error {
		all := l.recording.Ports()
		for label, i := range labels {
			holders[label]++
			if other, twice := ports[all[i]]; twice || all[i] == 0 {
				return fmt.Errorf("labels %q and %q have port %d", label, other, all[i])
			}
			ports[all[i]] = label
		}
		return nil
	}
	for _, c := range s.list() {
		if c.recording == nil {
			if c.decision.Record && c.over {
				return fmt.Errorf("call %s is over and there", c.id)
			}
			continue
		}
		if !c.decision.Record {
			return fmt.Errorf("call %s is recorded against the decision", c.id)
		}
		if err := count(&c.legs, c.index); err != nil {
			return err
		}
		for i, x := range c.streams {
			label, has := siprec.Label(""), false
			for l, at := range c.index {
				if at == i {
					label, has = l, true
				}
			}
			lawful := has && s.owners[label] == c && s.willing[label] && s.usable(label)
			if x.Active && !lawful {
				return fmt.Errorf("call %s hears stream %d, label %q, which is not its own or not to be heard", c.id, i, label)
			}
			if !x.Active && lawful {
				return fmt.Errorf("call %s does not hear label %q", c.id, label)
			}
		}
		for _, l := range s.labels {
			if _, has := c.index[l]; s.owners[l] == c && s.usable(l) && !has {
				return fmt.Errorf("call %s has no stream for its label %q", c.id, l)
			}
		}
	}
	for _, p := range s.parked {
		all := p.recording.Ports()
		for l, i := range p.index {
			if s.holder(l, false) != nil && !s.sendsTo(l, all[i]) {
				return fmt.Errorf("label %q is parked at port %d without need", l, all[i])
			}
			if s.holder(l, false) == nil {
				holders[l]++
			}
			if other, twice := ports[all[i]]; twice || all[i] == 0 {
				return fmt.Errorf("labels %q and %q have port %d", l, other, all[i])
			}
			ports[all[i]] = l
		}
		for i, x := range p.streams {
			if x.Active {
				return fmt.Errorf("parked stream %d is active", i)
			}
		}
	}
	for l, n := range holders {
		if n > 1 {
			return fmt.Errorf("label %q has sockets in %d places", l, n)
		}
	}
	want := s.answer()
	for i, x := range want.Media {
		c := s.owners[s.labels[i]]
		recorded := c != nil && c.recording != nil
		if x.Direction == siprec.RecvOnly && !recorded && s.in.Decline != siprec.DeclineAccept {
			return fmt.Errorf("label %q is to be sent, and nobody records it", s.labels[i])
		}
	}
	return nil
}

// A SessionState lets a test give a session metadata without settling them, as if much had come before.
type SessionState struct{ s *session }

// SessionState gives that of a dialog.
func (r *Recorder) SessionState(dialog siprec.DialogID) SessionState {
	return SessionState{r.session(dialog)}
}

// Learn takes a document.
func (x SessionState) Learn(d *siprec.Document, at time.Time) {
	x.s.turn.Lock()
	defer x.s.turn.Unlock()
	x.s.learn(d, at)
}

// Awaited lists the labels of which the watch expects packets, of all recordings of a session.
func (r *Recorder) Awaited(dialog siprec.DialogID) string {
	var out []string
	for _, c := range r.session(dialog).list() {
		for _, s := range *c.watched.Load() {
			if s.active {
				out = append(out, string(s.label))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// Labels counts the labels of which the session remembers anything.
func (x SessionState) Labels() int { return max(len(x.s.willing), len(x.s.protections)) }

// TellAbsent looks once for the recordings that are expected.
func (r *Recorder) TellAbsent(ctx context.Context) error { return r.tellAbsent(ctx) }
