package policy

import "time"

// Both evaluates a condition in CEL's interpreter and, where it was compiled, as it was compiled.
func Both(classes, condition string, f Facts, now time.Time) (quick, slow, fast bool, err error) {
	p, err := Parse([]byte(classes+"rules: [{name: a, class: orders, when: '"+condition+"'}]"), Options{SamplingKey: make([]byte, MinSamplingKey)})
	if err != nil {
		return false, false, false, err
	}
	call := p.newCall(f, now)
	slow, err = p.rules[0].condition.evaluate(call)
	if p.rules[0].condition.fast == nil || err != nil {
		return slow, slow, false, err
	}
	return p.rules[0].condition.fast(call, nil), slow, true, nil
}
