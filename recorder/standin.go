package recorder

import (
	"context"
	"time"

	"github.com/greffier/greffier/policy"
)

type Adviser interface {
	Advise(ctx context.Context, q Question) ([]policy.Signal, error)
}
type Question struct {
	Recording, Class string
	Parties          []QuestionParty
}
type QuestionParty struct {
	ID, Number, AOR string
	Internal        bool
}

func (r *Recorder) missed(ctx context.Context, id string, class policy.Class, why string) error {
	return nil
}
func (r *Recorder) keep(ctx context.Context, c *call, f policy.Facts, at time.Time) {}
