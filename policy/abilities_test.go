package policy_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

// TestAbilities: a policy that asks for what a server cannot do does not load, and says which part; one that asks for less does.
func TestAbilities(t *testing.T) {
	doc := `
classes:
  plain: {purpose: q, legal_basis: b, retention: P6M, sample: 1%, consent: opt_out}
  asking: {purpose: q, legal_basis: a, retention: P6M, sample: 1%}
  keyed: {purpose: q, legal_basis: b, retention: P6M, sample: 1%, consent: {mode: opt_out, keys: {object: "9"}}}
  marked: {purpose: q, legal_basis: b, retention: P6M, sample: 1%, kind: evidence}
  few: {purpose: q, legal_basis: b, retention: P6M, sample: 1%, quota: {calls: 5}}
rules:
  - {name: late, class: plain, needs: callee.known}
  - {name: strict, class: plain, consent: opt_in_any}
`
	all := []string{"classes.asking.consent", "classes.keyed.consent", "classes.marked.start", "classes.few.quota", "rules.late.needs", "rules.strict.consent"}
	for _, test := range []struct {
		can  policy.Abilities
		want []string
	}{
		{policy.Abilities{}, all},
		{policy.Abilities{Consents: true, Marks: true}, []string{"classes.few.quota", "rules.late.needs"}},
		{policy.Abilities{Quotas: true, Waits: true}, []string{"classes.asking.consent", "classes.keyed.consent", "classes.marked.start", "rules.strict.consent"}},
		{policy.Anything(), nil},
	} {
		_, err := policy.Parse([]byte(doc), policy.Options{SamplingKey: key, Can: test.can})
		var e *policy.Error
		var got []string
		if errors.As(err, &e) {
			for _, p := range e.Problems {
				got = append(got, p.Path)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.can, diff)
		}
	}
	if _, err := policy.Builtin(policy.Options{}); err != nil {
		t.Error(err)
	}
}
