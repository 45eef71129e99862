package policy_test

import (
	"fmt"
	"time"

	"github.com/greffier/greffier/siprec"
)

// start is a Monday.
var start = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

var key = []byte("0123456789abcdef0123456789abcdef")

// A who is a participant of a test's call.
type who func(*siprec.Participant)

func caller(aor string, names ...string) who { return person(aor, true, names) }
func callee(aor string, names ...string) who { return person(aor, false, names) }

func person(aor string, calling bool, names []string) who {
	return func(p *siprec.Participant) {
		named(aor, names...)(p)
		p.Caller = &calling
	}
}

// named is a participant of whom the SRC does not say who called.
func named(aor string, names ...string) who {
	return func(p *siprec.Participant) {
		p.Names = []siprec.NameID{{AOR: aor}}
		for _, n := range names {
			p.Names[0].Name = n
		}
	}
}

// metadata is a call whose n-th participant sends the stream labelled n.
func metadata(people ...who) *siprec.Metadata {
	var d siprec.Document
	d.DataMode = siprec.Complete
	d.Sessions = []siprec.Session{{ID: "session"}}
	for i, w := range people {
		p := siprec.Participant{ID: siprec.ParticipantID(fmt.Sprintf("p%d", i+1))}
		w(&p)
		stream := siprec.StreamID(fmt.Sprintf("s%d", i+1))
		d.Participants = append(d.Participants, p)
		d.Streams = append(d.Streams, siprec.Stream{ID: stream, Session: "session", Label: siprec.Label(fmt.Sprint(i + 1))})
		d.ParticipantSessions = append(d.ParticipantSessions, siprec.ParticipantSession{Participant: p.ID, Session: "session"})
		d.ParticipantStreams = append(d.ParticipantStreams, siprec.ParticipantStream{Participant: p.ID, Send: []siprec.StreamID{stream}})
	}
	var m siprec.Metadata
	m.Apply(&d, start)
	return &m
}

// extensions is extension data of the recording, by name and value.
func extensions(pairs ...string) (list []siprec.Extension) {
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, siprec.Extension{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}
