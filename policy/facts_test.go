package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// vendors gives the metadata of real SRCs.
func vendors(t testing.TB) map[string]*siprec.Metadata {
	t.Helper()
	files, err := filepath.Glob("../testdata/siprec/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatal("no metadata to test with", err)
	}
	out := map[string]*siprec.Metadata{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := siprec.ParseMetadata(b)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		m := &siprec.Metadata{}
		m.Apply(d, start)
		out[filepath.Base(file)] = m
	}
	return out
}

// TestKeptFactsDecideAlike: what is kept of a call's facts is decided about as the call was, by every shipped policy.
func TestKeptFactsDecideAlike(t *testing.T) {
	all := vendors(t)
	all["inbound"], all["among"] = inbound, among
	for _, file := range policy.Examples() {
		p := shipped(t, file+".yaml")
		for name, m := range all {
			f := policy.Facts{SRC: "edge", Metadata: m, CallKey: name, Headers: map[string]string{"X-Queue": "q"}, Labels: []siprec.Label{"1", "2"}, Began: start}
			b, err := f.MarshalKept()
			if err != nil {
				t.Fatal(err)
			}
			kept, err := policy.UnmarshalFacts(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p.Decide(f, start), p.Decide(kept, start)); diff != "" {
				t.Errorf("%s, %s: decisions differ (-call +kept):\n%s", file, name, diff)
			}
		}
	}
}

// FuzzUnmarshalFacts: whatever was kept, reading it neither fails badly nor gives facts that cannot be decided about.
func FuzzUnmarshalFacts(f *testing.F) {
	b, err := policy.Facts{Metadata: inbound, CallKey: "k", Began: start}.MarshalKept()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"known":true,"people":[{}],"streams":[{}],"ext":[{"name":""}]}`))
	p, err := policy.Parse([]byte("rules: [{name: a, when: 'participants.exists(p, p.number == \"1\") || mixed', record: false}]"), policy.Options{Can: policy.Anything()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := policy.UnmarshalFacts(b)
		if err != nil {
			return
		}
		if d := p.Decide(facts, start); d.Record {
			t.Fatal(fmt.Sprint(d))
		}
	})
}
