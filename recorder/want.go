package recorder

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// A keeping says what is to become of a call's sound.
type keeping int

const (
	keepNothing   keeping = iota // the SRC is asked not to send it
	keepListening                // it comes for the keys that are pressed, and nothing is kept
	keepHolding                  // in memory, until it is known whether it may be kept
	keepRecording                // in the spool
)

// reasonInterrupted is the reason of a call of which it was not known yet whether it may be kept when the program was cut off.
const reasonInterrupted policy.Reason = "interrupted"

// reasonNotMarked is the reason of a call that was to begin on a mark, and had none.
const reasonNotMarked policy.Reason = "not_marked"

// wants tells what is to become of the call's sound now, by the decision, the marks, and the parties' will.
func (c *call) wants() keeping {
	switch {
	case !c.decision.Record || c.unmarked():
		return keepNothing
	case c.verdict.Action == policy.KeepAudio:
		return keepRecording
	case c.verdict.Action == policy.HoldAudio:
		return keepHolding
	case c.verdict.Action == policy.NoAudio && c.verdict.Reason == policy.WhyMeanwhile && c.class().Consent.Agree != "":
		return keepListening
	}
	return keepNothing
}

// unmarked tells whether the call waits for a mark.
func (c *call) unmarked() bool { return !c.marked && c.class().Start == policy.OnMark }

// forNow tells whether what the parties' will says against recording may change before the call is over: then a recording that goes on
// is silent meanwhile, and does not end.
func forNow(v policy.Verdict) bool {
	return v.Reason == policy.WhyMeanwhile || v.Action == policy.DestroyAudio && !v.Since.IsZero()
}

// effective is the decision as it stands with the marks and the parties' will: what of a call is told that is not recorded.
func (c *call) effective() policy.Decision {
	d := c.decision
	switch {
	case c.wants() == keepRecording, !d.Record:
		return d
	case c.unmarked():
		d.Reason = reasonNotMarked
	case c.verdict.Reason == policy.WhyMeanwhile:
		d.Reason = policy.Waiting
	default:
		d.Reason = policy.Reason(c.verdict.Reason)
	}
	d.Record = false
	return d
}

// claimed settles a decision's claim to a place of a quota.
func (r *Recorder) claimed(ctx context.Context, id string, d policy.Decision) policy.Decision {
	if !d.Record || d.Claim == (policy.Claim{}) {
		return d
	}
	has, displaced, err := r.settleClaim(ctx, id, d.Claim)
	if err != nil {
		r.cfg.Log.Error("a quota could not be counted: the call is not recorded", zap.Error(err))
		d = d.Refuse()
		d.Detail = joinDetail(d.Detail, "the quota could not be counted")
		return d
	}
	r.displace(displaced)
	if !has {
		return d.Refuse()
	}
	return d
}

// settleClaim asks the catalog, for no longer than a call can wait. Whoever else has counted is not known here: one that cannot be asked means no.
func (r *Recorder) settleClaim(ctx context.Context, id string, c policy.Claim) (has bool, displaced []string, err error) {
	if r.CatalogAway() {
		return false, nil, catalog.ErrUnavailable
	}
	ctx, cancel := context.WithTimeout(ctx, catalogPatience)
	defer cancel()
	has, displaced, err = r.cfg.Catalog.Settle(ctx, c.Key, c.Calls, c.Draw, id)
	if isCatalogAway(err) {
		r.catalogIs(err)
	}
	return has, displaced, err
}

// displace ends recordings in progress that lost their places; those that are finished are Run's, which finds them doomed in the catalog.
func (r *Recorder) displace(ids []string) {
	if len(ids) == 0 {
		return
	}
	now := r.cfg.Clock()
	for _, s := range r.all() {
		for _, c := range s.list() {
			if slices.Contains(ids, c.id) {
				c.displaced.Store(true)
				r.alarm(s, now)
			}
		}
	}
	r.wakeUp()
}

// decisionChanged tells whether a decision says another thing than before.
func decisionChanged(before, now policy.Decision) bool {
	return before.Record != now.Record || before.Class != now.Class || before.Rule != now.Rule || before.Reason != now.Reason
}

// until is when the call is to be looked at again, if nothing happens before; zero: never.
func (c *call) until() (next time.Time) {
	if c.decision.Reason == policy.Waiting {
		next = earlier(next, c.decision.WaitUntil)
	}
	if c.will != nil {
		next = earlier(next, c.verdict.Until)
	}
	return earlier(next, c.nextOfPauses())
}
