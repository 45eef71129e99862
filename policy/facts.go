package policy

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/greffier/greffier/siprec"
)

// MaxKeptFacts bounds the kept form of a call's facts, in bytes. What is larger is not kept.
const MaxKeptFacts = 64 << 10

// keptFacts are the facts of a call as they are kept for Simulate: what conditions can ask for, and no raw metadata.
type keptFacts struct {
	SRC      string            `json:"src,omitempty"`
	Tenant   string            `json:"tenant,omitempty"`
	Trunk    string            `json:"trunk,omitempty"`
	Key      string            `json:"key,omitempty"`
	Began    time.Time         `json:"began"`
	Headers  map[string]string `json:"headers,omitempty"`
	Labels   []siprec.Label    `json:"labels"`
	Known    bool              `json:"known"` // there were metadata
	Group    siprec.GroupID    `json:"group,omitempty"`
	CallIDs  []string          `json:"call_ids,omitempty"`
	People   []keptPerson      `json:"people,omitempty"`
	Streams  []keptStream      `json:"streams,omitempty"`
	Extended []keptValue       `json:"ext,omitempty"`
}

type keptPerson struct {
	Names  []siprec.NameID `json:"names,omitempty"`
	Caller *bool           `json:"caller,omitempty"`
}

type keptStream struct {
	Label siprec.Label `json:"label,omitempty"`
	Mixed bool         `json:"mixed,omitempty"`
}

type keptValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MarshalKept gives the facts in the form in which they are kept, to be decided about again later. The directory and the standing list
// are not in it: they are those of the time of the simulation.
func (f Facts) MarshalKept() ([]byte, error) {
	k := keptFacts{SRC: f.SRC, Tenant: f.Tenant, Trunk: f.Trunk, Key: f.CallKey, Began: f.Began, Headers: f.Headers, Labels: f.Labels}
	if m := f.Metadata; m != nil {
		k.Known, k.CallIDs = true, m.CallIDs()
		for _, s := range m.Sessions {
			if k.Group == "" {
				k.Group = s.Group
			}
		}
		for _, p := range m.Present() {
			k.People = append(k.People, keptPerson{p.Names, p.Caller})
		}
		for _, s := range m.Streams {
			k.Streams = append(k.Streams, keptStream{s.Label, m.Mixed(s.Label)})
		}
		for _, e := range m.Extensions {
			k.Extended = append(k.Extended, keptValue{e.Name, e.Value})
		}
	}
	b, err := json.Marshal(k)
	if err != nil {
		return nil, fmt.Errorf("keep facts: %w", err)
	}
	if len(b) > MaxKeptFacts {
		return nil, fmt.Errorf("keep facts: %d bytes are more than %d", len(b), MaxKeptFacts)
	}
	return b, nil
}

// UnmarshalFacts reads facts as MarshalKept gives them.
func UnmarshalFacts(b []byte) (Facts, error) {
	var k keptFacts
	if len(b) > MaxKeptFacts {
		return Facts{}, fmt.Errorf("read kept facts: %d bytes are more than %d", len(b), MaxKeptFacts)
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return Facts{}, fmt.Errorf("read kept facts: %w", err)
	}
	f := Facts{SRC: k.SRC, Tenant: k.Tenant, Trunk: k.Trunk, CallKey: k.Key, Began: k.Began, Headers: k.Headers, Labels: k.Labels}
	if !k.Known {
		return f, nil
	}
	const session = "session"
	d := siprec.Document{DataMode: siprec.Complete, Sessions: []siprec.Session{{ID: session, Group: k.Group, SIPSessionIDs: k.CallIDs}}}
	for i, p := range k.People {
		id := siprec.ParticipantID(fmt.Sprint(i))
		d.Participants = append(d.Participants, siprec.Participant{ID: id, Names: p.Names, Caller: p.Caller})
		d.ParticipantSessions = append(d.ParticipantSessions, siprec.ParticipantSession{Participant: id, Session: session})
	}
	for i, s := range k.Streams {
		d.Streams = append(d.Streams, siprec.Stream{ID: siprec.StreamID(fmt.Sprint(i)), Session: session, Label: s.Label, Mixed: s.Mixed})
	}
	for _, e := range k.Extended {
		d.Extensions = append(d.Extensions, siprec.Extension{Name: e.Name, Value: e.Value})
	}
	f.Metadata = &siprec.Metadata{}
	f.Metadata.Apply(&d, k.Began)
	return f, nil
}

// Agent names the internal participant that quotas and agents' days count for, as the directory knows them, else by their address; "" when
// there is none. Groups are the directory's. They are for reports about decisions.
func (p *Policy) Agent(f Facts) (agent string, groups []string) {
	c := p.newCall(f, f.Began)
	for _, party := range c.parties {
		if party.internal && party.identity() == c.agent() {
			if party.user != nil {
				return party.user.ID, party.user.Groups
			}
			return party.address(), nil
		}
	}
	return "", nil
}
