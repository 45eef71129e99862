package policy

import "time"

// Both evaluates the condition of the policy's first rule in CEL's interpreter and, where it was compiled, as it was compiled.
func Both(p *Policy, f Facts, now time.Time) (quick, slow, compiled bool, err error) {
	call, condition := p.newCall(f, now), p.rules[0].condition
	slow, err = condition.evaluate(call)
	if condition.fast == nil || err != nil {
		return slow, slow, false, err
	}
	return condition.fast(call, nil), slow, true, nil
}
