package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// vendors gives the metadata that real SRCs send, alone or in the body of a request.
func vendors(t testing.TB) map[string]*siprec.Metadata {
	t.Helper()
	out := map[string]*siprec.Metadata{}
	for _, pattern := range []string{"*.xml", "*.body"} {
		files, err := filepath.Glob("../testdata/siprec/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatal("no metadata to test with", err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if pattern == "*.body" {
				b = metadataIn(t, file, b)
			}
			d, err := siprec.ParseMetadata(b)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			m := &siprec.Metadata{}
			m.Apply(d, start)
			out[filepath.Base(file)] = m
		}
	}
	return out
}

// metadataIn takes the metadata out of a request's body, whose first boundary says what the others are.
func metadataIn(t testing.TB, file string, b []byte) []byte {
	t.Helper()
	_, rest, _ := strings.Cut("\n"+string(b), "\n--")
	boundary, _, _ := strings.Cut(rest, "\n")
	body, err := siprec.ParseBody(fmt.Sprintf("multipart/mixed; boundary=%q", strings.TrimRight(boundary, "\r")), b)
	if err != nil || body.Metadata == nil {
		t.Fatalf("%s: there are no metadata in it: %v", file, err)
	}
	return body.Metadata
}

// knows is a directory in which the participants are users, each of groups that the shipped policies ask for.
func knows(t testing.TB, m *siprec.Metadata) *policy.Directory {
	t.Helper()
	var users strings.Builder
	users.WriteString("users:\n  - {id: nobody, numbers: [\"9\"]}\n")
	for i, p := range m.Present() {
		where := "addresses"
		if !strings.Contains(p.AOR(), "@") {
			where = "numbers"
		}
		if p.AOR() != "" {
			groups := []string{"advisers, desk", "operators, contracts"}[i%2]
			fmt.Fprintf(&users, "  - {id: u%d, %s: [%q], groups: [%s], acknowledged: [\"notice\"]}\n", i, where, p.AOR(), groups)
		}
	}
	d, err := policy.ParseDirectory([]byte(users.String()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, users.String())
	}
	return d
}

// TestKeptFactsDecideAlike: what is kept of a call's facts is decided about as the call was, by every shipped policy, with a directory and
// without; it tells the same agent, too.
func TestKeptFactsDecideAlike(t *testing.T) {
	all := vendors(t)
	all["inbound"], all["among"] = inbound, among
	rules := map[string]bool{}
	for _, file := range policy.Examples() {
		p := shipped(t, file+".yaml")
		for name, m := range all {
			for _, d := range []*policy.Directory{nil, knows(t, m)} {
				f := policy.Facts{SRC: "edge", Metadata: m, CallKey: name, Headers: map[string]string{"X-Queue": "q"}, Labels: []siprec.Label{"1", "2"}, Began: start}
				b, err := f.MarshalKept()
				if err != nil {
					t.Fatal(err)
				}
				kept, err := policy.UnmarshalFacts(b)
				if err != nil {
					t.Fatal(err)
				}
				f.Directory, kept.Directory = d, d
				before := p.Decide(f, start)
				rules[file+" "+before.Rule] = true
				if diff := cmp.Diff(before, p.Decide(kept, start)); diff != "" {
					t.Errorf("%s, %s, directory %t: decisions differ (-call +kept):\n%s", file, name, d != nil, diff)
				}
				agent, groups := p.Agent(f)
				if a, g := p.Agent(kept); a != agent || !cmp.Equal(g, groups) {
					t.Errorf("%s, %s, directory %t: the agent is %s of %v, and of what is kept %s of %v", file, name, d != nil, agent, groups, a, g)
				}
			}
		}
	}
	for _, rule := range []string{"default quality-sample", "mifid desks", "emergency operators", "contract-proof contracts", "training-qa advisers"} {
		if !rules[rule] {
			t.Errorf("no call was decided about by %s", rule)
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
