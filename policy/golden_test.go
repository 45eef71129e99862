package policy_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/policy"
)

var update = flag.Bool("update", false, "write what bad policies say now as what they should say")

const wantPrefix = "# want: "

// TestBadPolicies holds every policy in testdata/policies/bad to the problems that its "# want:" lines name.
func TestBadPolicies(t *testing.T) {
	files, err := filepath.Glob("../testdata/policies/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad policies: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			document, want := splitWant(string(b))
			var got []string
			problems, _ := policy.Check([]byte(document))
			for _, p := range problems {
				got = append(got, strings.ReplaceAll(p.String(), "\n", `\n`))
			}
			if len(got) == 0 {
				t.Fatal("the policy loads")
			}
			if *update {
				text := document + wantPrefix + strings.Join(got, "\n"+wantPrefix) + "\n"
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
			_, err = policy.Load(file, policy.Options{SamplingKey: key, Can: policy.Anything()})
			var e *policy.Error
			if !errors.As(err, &e) || len(e.Problems) != len(got) || !strings.Contains(err.Error(), file+":"+problems[0].String()) {
				t.Errorf("Load gave %v", err)
			}
		})
	}
}

func splitWant(s string) (document string, want []string) {
	var rest strings.Builder
	for line := range strings.Lines(s) {
		if w, ok := strings.CutPrefix(line, wantPrefix); ok {
			want = append(want, strings.TrimSuffix(w, "\n"))
		} else {
			rest.WriteString(line)
		}
	}
	return rest.String(), want
}
