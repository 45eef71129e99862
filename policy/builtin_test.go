package policy_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
)

func TestBuiltinRecordsNothing(t *testing.T) {
	p, err := policy.Builtin(policy.Options{SamplingKey: make([]byte, policy.MinSamplingKey)})
	if err != nil {
		t.Fatal(err)
	}
	d := p.Decide(policy.Facts{SRC: "sbc"}, time.Now())
	if d.Record || d.Reason != policy.Never || d.Detail == "" {
		t.Errorf("decision %+v", d)
	}
}
