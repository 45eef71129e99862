package policy

import (
	"time"

	"github.com/greffier/greffier/siprec"
)

// Internal tells whether a participant is one of ours: the directory knows them, or the policy's `internal` does.
func (p *Policy) Internal(who siprec.Participant, d *Directory) bool {
	return d.find(who, p.country) != nil || p.insiders.contain(who)
}

// A ConsentParty is somebody whose will is followed.
type ConsentParty struct {
	ID       string
	Internal bool
	Present  bool
	Joined   time.Time
	State    ConsentState
}

// Parties lists everybody who was ever in the call, in the order in which they came.
func (k *Consents) Parties() []ConsentParty {
	out := make([]ConsentParty, len(k.parties))
	for i, p := range k.parties {
		out[i] = ConsentParty{ID: p.id, Internal: p.internal, Present: p.present, Joined: p.joined, State: p.state}
	}
	return out
}
