package siprec

import (
	"slices"
	"time"
)

// mark ends the presences and attendances that no longer hold and begins those that hold now.
func (m *Metadata) mark(at time.Time) {
	if at.IsZero() {
		at = time.Unix(0, 0).UTC() // a zero To means that it lasts
	}
	for _, p := range m.Presences {
		at = latest(at, p.From, p.To)
	}
	for _, a := range m.Attendances {
		at = latest(at, a.From, a.To)
	}
	m.Presences = mark(m, m.Presences, m.sending(), func(p *Presence) (from, to *time.Time) { return &p.From, &p.To }, at)
	m.Attendances = mark(m, m.Attendances, m.attending(), func(a *Attendance) (from, to *time.Time) { return &a.From, &a.To }, at)
}

func latest(at time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(at) {
			at = t
		}
	}
	return at
}

// mark gives a copy of the list in which what lasts and is not in now ends at the instant, and what is in now and not in the list
// begins. span gives the times of an element; those in now have none.
func mark[T comparable](m *Metadata, list, now []T, span func(*T) (from, to *time.Time), at time.Time) []T {
	list = slices.Clone(list)
	fresh := make(map[T]bool, len(now))
	for _, what := range now {
		fresh[what] = true
	}
	for i := range list {
		_, to := span(&list[i])
		if !to.IsZero() {
			continue
		}
		what := list[i]
		from, _ := span(&what)
		*from = time.Time{}
		if fresh[what] {
			fresh[what] = false
		} else {
			*to = at
		}
	}
	for _, what := range now {
		if !fresh[what] {
			continue
		}
		if len(list) >= MaxPresences {
			m.warn(WarnTooMany)
			return list
		}
		from, _ := span(&what)
		*from = at
		list = append(list, what)
	}
	return list
}

// sending lists who sends which label now, without times.
func (m *Metadata) sending() []Presence {
	var out []Presence
	for _, member := range m.Members {
		p := m.participant(member.Participant)
		if p == nil {
			continue
		}
		for _, id := range member.Send {
			label := m.label(id)
			if label == "" {
				m.warn(WarnDanglingStream)
				continue
			}
			out = addNew(out, Presence{Participant: p.ID, AOR: p.AOR(), Label: label})
		}
	}
	return out
}

// attending lists who is in which session now, without times.
func (m *Metadata) attending() []Attendance {
	var out []Attendance
	for _, member := range m.Members {
		if len(member.Sessions) == 0 {
			out = append(out, Attendance{Participant: member.Participant})
		}
		for _, id := range member.Sessions {
			out = append(out, Attendance{Participant: member.Participant, Session: id})
		}
	}
	return out
}
