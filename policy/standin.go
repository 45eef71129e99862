package policy

import "time"

type PauseTerms struct {
	Key, ResumeKey string
	CardDigits     int
	InBand         bool
	AtMost, After  Period
}

const CardGap = 5 * time.Second

type PauseReason string

const (
	PausePayment PauseReason = "payment"
	PauseHealth  PauseReason = "health"
	PausePrivate PauseReason = "private"
	PauseOther   PauseReason = "other"
)

func (p *Policy) Signals(f Facts, at time.Time) []Signal           { return nil }
func (p *Policy) Paused(f Facts, at time.Time) (PauseReason, bool) { return "", false }
