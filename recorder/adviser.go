package recorder

import (
	"context"

	"github.com/greffier/greffier/policy"
)

// An Adviser knows what parties have said about being recorded before the call: a customer system. It is asked once about each call whose
// class wants notice or consent. Signals name parties as the question does; without any nothing is known, which is no error.
type Adviser interface {
	Advise(ctx context.Context, q Question) ([]policy.Signal, error)
}

// A Question is what an Adviser is told of a call. It names the parties.
type Question struct {
	Recording, Class string
	Parties          []QuestionParty
}

// A QuestionParty is somebody in the call.
type QuestionParty struct {
	ID, Number, AOR string // ID as signals name the party; Number may be empty
	Internal        bool
}
