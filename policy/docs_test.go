package policy_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// The pages that teach the language, in both languages.
var policyPages = []string{"../docs/policy.md", "../docs/policy.fr.md"}

// What the first line of a snippet says when it is no whole policy.
const (
	partOfClass  = "# part of a class"
	partOfPolicy = "# part of a policy"
	ofUsers      = "# directory of users"
	ofCases      = "# cases"
)

// leastClass is what a snippet's keys are put into.
var leastClass = []string{
	"purpose: Quality", "legal_basis: legitimate_interests", "balance_test: T", "works_council: {none: T}", "retention: P6M", "sample: 2%",
}

func page(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var fenced = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// snippets lists the YAML blocks of a page.
func snippets(t *testing.T, file string) (out []string) {
	t.Helper()
	text := page(t, file)
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 || strings.Count(text, "```yaml") != len(out) {
		t.Fatalf("%s has %d blocks of YAML, of which %d could be read", file, strings.Count(text, "```yaml"), len(out))
	}
	return out
}

// snippetOf finds the first block of a kind.
func snippetOf(t *testing.T, file, kind string) string {
	t.Helper()
	all := snippets(t, file)
	i := slices.IndexFunc(all, func(s string) bool { return strings.HasPrefix(s, kind+"\n") })
	if i < 0 {
		t.Fatalf("%s has no block that begins with %q", file, kind)
	}
	return all[i]
}

// mappingOf reads a mapping of YAML.
func mappingOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// classWith is a class of the least keys and those of a fragment, which take their place.
func classWith(t *testing.T, name, fragment string) string {
	given := mappingOf(t, fragment)
	text := "  " + name + ":\n"
	for _, line := range leastClass {
		if key, _, _ := strings.Cut(line, ":"); given[key] == nil {
			text += "    " + line + "\n"
		}
	}
	for line := range strings.Lines(fragment) {
		text += "    " + line
	}
	return text
}

// policyWith is a policy of a fragment, and of what it lacks: a class quality, and a rule.
func policyWith(t *testing.T, fragment string) string {
	given := mappingOf(t, fragment)
	if given["rules"] == nil {
		fragment += "rules: [{name: all, class: quality}]\n"
	}
	if given["classes"] == nil {
		return fragment + "classes:\n" + classWith(t, "quality", "")
	}
	return strings.Replace(fragment, "classes:\n", "classes:\n"+classWith(t, "quality", ""), 1)
}

// TestSnippetsOfDocs: everything that the pages show can be written so.
func TestSnippetsOfDocs(t *testing.T) {
	for _, file := range policyPages {
		for i, s := range snippets(t, file) {
			mark, _, _ := strings.Cut(s, "\n")
			var err error
			switch mark {
			case ofUsers:
				_, err = policy.ParseDirectory([]byte(s))
			case ofCases:
				_, err = policy.ParseCases([]byte(s))
			case partOfClass:
				err = loads("classes:\n" + classWith(t, "quality", s) + "rules: [{name: all, class: quality}]\n")
			case partOfPolicy:
				err = loads(policyWith(t, s))
			default:
				err = loads(s)
			}
			if err != nil {
				t.Errorf("%s, block %d: %v\n%s", file, i+1, err, s)
			}
		}
	}
}

func loads(document string) error {
	_, err := policy.Parse([]byte(document), policy.Options{SamplingKey: key, Can: policy.Anything()})
	return err
}

// TestLanguagesOfDocs: both pages have the same sections, and the same snippets but for comments.
func TestLanguagesOfDocs(t *testing.T) {
	var texts [2][]any
	var sections [2]int
	for i, file := range policyPages {
		sections[i] = strings.Count(page(t, file), "\n## ")
		for _, s := range snippets(t, file) {
			texts[i] = append(texts[i], mappingOf(t, s))
		}
	}
	if sections[0] != sections[1] {
		t.Errorf("%v sections", sections)
	}
	if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
		t.Errorf("the snippets differ (-English +French):\n%s", diff)
	}
}

// says expects both pages to show a text.
func says(t *testing.T, text string) {
	t.Helper()
	for _, file := range policyPages {
		if !strings.Contains(page(t, file), strings.Trim(text, "\n")) {
			t.Errorf("%s does not show\n%s", file, text)
		}
	}
}

// TestDefaultPolicyOfDocs: the policy that is read line by line is the one that is shipped.
func TestDefaultPolicyOfDocs(t *testing.T) {
	b, err := policy.Example("default")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range policyPages {
		if diff := cmp.Diff(mappingOf(t, string(b)), mappingOf(t, snippets(t, file)[0])); diff != "" {
			t.Errorf("%s (-shipped +shown):\n%s", file, diff)
		}
	}
	for _, name := range policy.Examples() {
		says(t, "| `"+name+"` |")
	}
}

// TestProblemsOfDocs: the problems shown are those of the shipped default policy, changed as the pages say.
func TestProblemsOfDocs(t *testing.T) {
	b, err := policy.Example("default")
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.NewReplacer("P6M", "P2Y", "GOVERNANCE", "COMPLIANCE", "sample: 2%", "sample: 100%", "Quality of service", "Quality of service, and possible court requests",
		"    balance_test: \"reference of your balance test\"\n", "").Replace(string(b))
	problems, warnings := policy.Check([]byte(bad))
	for _, p := range problems {
		says(t, "bad.yaml:"+p.String())
	}
	says(t, fmt.Sprintf("bad.yaml: does not load: %d problems, %d warnings", len(problems), len(warnings)))
}

// TestDrawOfDocs: an auditor who follows the page finds the draw that the program makes.
func TestDrawOfDocs(t *testing.T) {
	const node, class, call = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "training",
		"47755a9de7794ba387653f2099600ef2;ab30317f1a784dc48ff824d0d3715d86"
	sampling, err := hkdf.Key(sha256.New, []byte(node), nil, "greffier sampling v1", 32) // as cmd/greffier does
	if err != nil {
		t.Fatal(err)
	}
	m := siprec.Metadata{Sessions: []siprec.Session{{SIPSessionIDs: []string{"ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2"}}}}
	if got := m.CallKey(""); got != call {
		t.Errorf("the call key is %s", got)
	}
	draw, share := policy.Draw(sampling, class, call), policy.All/10
	if share.Takes(draw) {
		t.Error("the call is in the sample, and the pages say that it is not")
	}
	for _, text := range []string{node, call, fmt.Sprintf("`%016x`", draw), fmt.Sprintf("`%016x`", share.Threshold())} {
		says(t, text)
	}
}

// TestExplanationOfDocs: the pages show what the program says about a call.
func TestExplanationOfDocs(t *testing.T) {
	p, d := trainingOfDocs(t)
	m := metadata(caller("sip:+33611223344@carrier.example"), callee("sip:1001@corp.example"))
	m.Sessions[0].SIPSessionIDs = []string{"ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2"}
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	says(t, p.Explain(policy.Facts{Metadata: m, Directory: d, Began: at}, at).String())
}

// TestCasesOfDocs: the pages show what becomes of their cases.
func TestCasesOfDocs(t *testing.T) {
	p, d := trainingOfDocs(t)
	c, err := policy.ParseCases([]byte(snippetOf(t, policyPages[0], ofCases)))
	if err != nil {
		t.Fatal(err)
	}
	hash := policy.HashAddress(make([]byte, 32), c.Objectors[0], "FR")
	o, err := policy.ParseObjectors([]byte(hash), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, x := range c.Cases {
		e, wrong := x.Run(p, d, o, nil)
		if len(wrong) == 0 {
			says(t, "ok      "+x.Name)
			continue
		}
		failed++
		says(t, fmt.Sprintf("FAILED  %s (cases.yaml:%d)\n        %s", x.Name, x.Line, strings.Join(wrong, "\n        ")))
		for line := range strings.Lines(e.String()) {
			says(t, "        | "+line)
		}
	}
	says(t, fmt.Sprintf("%d cases, %d failed", len(c.Cases), failed))
}

// trainingOfDocs is the shipped policy for training, and the directory that the pages show. The sampling key is that of the command line.
func trainingOfDocs(t *testing.T) (*policy.Policy, *policy.Directory) {
	t.Helper()
	b, err := policy.Example("training-qa")
	p, parsing := policy.Parse(b, policy.Options{SamplingKey: make([]byte, 32), Can: policy.Anything()})
	d, reading := policy.ParseDirectory([]byte(snippetOf(t, policyPages[0], ofUsers)))
	if err := errors.Join(err, parsing, reading); err != nil {
		t.Fatal(err)
	}
	return p, d
}

// TestKeysOfDocs: each key of a class is in the table.
func TestKeysOfDocs(t *testing.T) {
	problems, _ := policy.Check([]byte("classes: {c: {nonsense: 1}}\nrules: []\n"))
	known := regexp.MustCompile(`known: ([a-z_, ]+)`).FindStringSubmatch(fmt.Sprint(problems))
	if len(known) == 0 {
		t.Fatalf("the problem names no keys: %v", problems)
	}
	for key := range strings.SplitSeq(known[1], ", ") {
		says(t, "\n| `"+key+"` |")
	}
}

var shownCondition = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// TestConditionsOfDocs: the conditions that the pages give as examples can be written so, and are the same.
func TestConditionsOfDocs(t *testing.T) {
	var shown [2][]string
	for i, file := range policyPages {
		_, table, found := strings.Cut(page(t, file), "\n| condition |")
		table, _, _ = strings.Cut(table, "\n\n")
		for _, m := range shownCondition.FindAllStringSubmatch(table, -1) {
			shown[i] = append(shown[i], m[1])
			if err := loads(policyWith(t, fmt.Sprintf("rules: [{name: example, when: %q, class: quality}]\n", m[1]))); err != nil {
				t.Errorf("%s: %s: %v", file, m[1], err)
			}
		}
		if !found || len(shown[i]) < 5 {
			t.Errorf("%s shows the conditions %q", file, shown[i])
		}
	}
	if diff := cmp.Diff(shown[0], shown[1]); diff != "" {
		t.Errorf("the conditions differ (-English +French):\n%s", diff)
	}
}
