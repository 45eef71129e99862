package policy

import (
	"cmp"
	"fmt"
	"slices"
)

// A Claim is a call's claim to one of the places of a quota. The zero Claim claims nothing.
//
// Which calls of a week keep their places cannot be said before the week is over without favouring Mondays, or mornings. So the
// places go to the calls with the lowest draws: a call that draws lower than one that has a place takes it over, and the recording
// that had it is destroyed, which its quarantine must allow. Whenever one looks, those that have places are a random choice among
// all calls so far, each as likely as the other.
type Claim struct {
	Key   string `json:"key"`   // 32 hexadecimal digits, the same for all calls of an agent in the quota's time; names nobody
	Calls int    `json:"calls"` // places
	Draw  string `json:"draw"`  // 16 hexadecimal digits
}

// claim adds the claim of a call that would be recorded.
func (p *Policy) claim(d *Decision, class *Class, c *call, before *Decision) {
	if before != nil && before.Class == class.Name && (before.Claim != (Claim{}) || before.Reason == QuotaOver) {
		d.Claim = before.Claim // settled already
		if before.Reason == QuotaOver {
			d.Record, d.Reason = false, QuotaOver
		}
		return
	}
	agent, call := c.agent(), c.callKey()
	if agent == "" || call == "" {
		d.Record, d.Reason, d.Detail = false, QuotaOver, "no agent, or no call, is known to count for"
		return
	}
	d.Claim = Claim{
		Key:   hexKeyed(p.key, "greffier quota v1", class.Name, agent, c.period(class.Quota.Every)),
		Calls: class.Quota.Calls,
		Draw:  hexKeyed(p.key, "greffier quota draw v1", class.Name, call)[:16],
	}
}

// period names the time in which the quota counts.
func (c *call) period(every Every) string {
	switch every {
	case EveryDay:
		return c.local.Format("2006-01-02")
	case EveryMonth:
		return c.local.Format("2006-01")
	default:
		year, week := c.local.ISOWeek()
		return fmt.Sprintf("%d-W%02d", year, week)
	}
}

// Refuse turns a decision to record into one that does not, because the claim got no place.
func (d Decision) Refuse() Decision {
	d.Record, d.Reason, d.Consent = false, QuotaOver, ""
	return d
}

// Places are the places of one quota that are taken: what all nodes share, one Places for each Claim.Key. Whoever stores them
// keeps Settle's steps in one transaction.
type Places []Place

// A Place is taken by a call.
type Place struct {
	Call string `json:"call"` // the recording
	Draw string `json:"draw"`
}

// Settle gives the places after a call's claim: whether it has one, and who lost theirs to it. A call that asks again gets the
// same answer and displaces nobody. The places are in order of their draws.
func (ps Places) Settle(call string, c Claim) (after Places, has bool, displaced []Place) {
	if slices.ContainsFunc(ps, func(p Place) bool { return p.Call == call }) {
		return ps, true, nil
	}
	after = append(slices.Clone(ps), Place{Call: call, Draw: c.Draw})
	slices.SortFunc(after, func(a, b Place) int { return cmp.Or(cmp.Compare(a.Draw, b.Draw), cmp.Compare(a.Call, b.Call)) })
	if len(after) <= c.Calls {
		return after, true, nil
	}
	after, displaced = after[:c.Calls:c.Calls], after[c.Calls:]
	if i := slices.IndexFunc(displaced, func(p Place) bool { return p.Call == call }); i >= 0 {
		return after, false, slices.Delete(displaced, i, i+1)
	}
	return after, true, displaced
}
