package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/greffier/greffier/policy"
)

// FuzzParse: whatever a document says, reading it ends, and a policy that loads decides.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"shipped/*.yaml", "../testdata/policies/*.yaml", "../testdata/policies/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no policies: %v", err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	facts := policy.Facts{SRC: "edge", Metadata: inbound, CallKey: "call"}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := policy.Parse(b, policy.Options{SamplingKey: key, Can: policy.Anything()})
		problems, _ := policy.Check(b)
		if (err == nil) != (len(problems) == 0) {
			t.Fatalf("Parse says %v, Check says %v", err, problems)
		}
		if err != nil {
			return
		}
		d := p.Decide(facts, start)
		if c, ok := p.Class(d.Class); d.Record && !ok || ok && !c.Until(start).After(start) {
			t.Errorf("class %q of decision %+v", d.Class, d)
		}
	})
}
