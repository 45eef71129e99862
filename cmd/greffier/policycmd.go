package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/greffier/greffier/policy"
)

type policyCmd struct {
	Check    policyCheckCmd    `cmd:"" help:"Read policies, and say what is wrong and what to look at again."`
	Show     policyShowCmd     `cmd:"" help:"Show a policy in short: its classes and rules."`
	Explain  policyExplainCmd  `cmd:"" help:"Decide about a call, and say why, rule by rule."`
	Test     policyTestCmd     `cmd:"" help:"Compare a policy's decisions with what an organisation expects of it."`
	Simulate policySimulateCmd `cmd:"" help:"Decide about past calls again by another policy, and show what would change."`
	Coverage policyCoverageCmd `cmd:"" help:"Show how much of each agent's calls was recorded, week by week."`
	Example  policyExampleCmd  `cmd:"" help:"Print a policy to begin with."`
}

// noKey stands for the sampling key where no sampling key matters, and where a draw shown is not that of the server.
var noKey = make([]byte, 32)

type policyCheckCmd struct {
	Files  []string `arg:"" name:"policy" help:"Policy files; - is standard input."`
	Strict bool     `help:"Fail on warnings, too."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (policyCheckCmd) Help() string {
	return "What the law forbids is a problem, and such a policy does not load: a class without an end, every call without a text that obliges to, COMPLIANCE without one. What a data protection officer would ask about is a warning. Exits 0 when there is no problem."
}

// A checked is what `policy check` found in a file.
type checked struct {
	File     string    `json:"file"`
	Problems []finding `json:"problems"`
	Warnings []finding `json:"warnings"`
}

type finding struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
}

func (c policyCheckCmd) Run(s streams) error {
	var all []checked
	bad := false
	for _, file := range c.Files {
		b, err := readInput(file)
		if err != nil {
			return err
		}
		problems, warnings := policy.Check(b)
		bad = bad || len(problems) > 0 || c.Strict && len(warnings) > 0
		all = append(all, checked{file, findings(problems), findings(warnings)})
	}
	if c.JSON {
		if err := printJSON(s.out, all); err != nil {
			return err
		}
	} else {
		for _, f := range all {
			f.print(s.out, c.Strict)
		}
	}
	if bad {
		return errQuiet
	}
	return nil
}

func findings(list []policy.Problem) []finding {
	out := []finding{}
	for _, p := range list {
		out = append(out, finding{p.Line, p.Column, p.Path, p.Message})
	}
	return out
}

func (f checked) print(w io.Writer, strict bool) {
	say := func(what string, list []finding) {
		for _, x := range list {
			fmt.Fprintf(w, "%s:%s%s\n", f.File, policy.Problem{Line: x.Line, Column: x.Column, Path: x.Path, Message: x.Message}, what)
		}
	}
	say("", f.Problems)
	say(" (warning)", f.Warnings)
	warnings := several(len(f.Warnings), "warning")
	switch {
	case len(f.Problems) > 0:
		fmt.Fprintf(w, "%s: does not load: %s, %s\n", f.File, several(len(f.Problems), "problem"), warnings)
	case strict && len(f.Warnings) > 0:
		fmt.Fprintf(w, "%s: loads, and fails by --strict: %s\n", f.File, warnings)
	default:
		fmt.Fprintf(w, "%s: good, %s\n", f.File, warnings)
	}
}

// several names a number of things whose plural ends in s.
func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// maxInput bounds what is read of a file or of standard input, in bytes.
const maxInput = policy.MaxDirectoryBytes

// readInput reads a file; "-" is standard input.
func readInput(file string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(b) > maxInput {
		return nil, fmt.Errorf("read %s: it is larger than %d bytes", file, maxInput)
	}
	return b, nil
}

type policyShowCmd struct {
	File string `arg:"" name:"policy" help:"The policy file."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c policyShowCmd) Run(s streams) error {
	p, err := openPolicy(c.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"digest": p.Digest(), "classes": p.Classes(), "rules": p.Rules(), "signals": p.SignalRules()})
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CLASS\tPURPOSE\tBASIS\tSHARE\tCONSENT\tKEPT\tLOCK\tMANDATE")
	for _, c := range p.Classes() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Purpose, c.LegalBasis, c.Sample, c.Consent.Mode, c.Retention, c.Lock, c.Mandate)
	}
	fmt.Fprintln(t, "\nRULE\tCLASS\tSHARE\tWHEN")
	for _, r := range p.Rules() {
		class, share := r.Class, r.Sample.String()
		if r.Never {
			class, share = "(never)", ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Name, class, share, strings.Join(strings.Fields(r.When), " "))
	}
	fmt.Fprintf(t, "\ndigest %s\n", p.Digest())
	return t.Flush()
}

func openPolicy(file string) (*policy.Policy, error) {
	return policy.Load(file, policy.Options{SamplingKey: noKey, Can: policy.Anything()})
}

type policyExampleCmd struct {
	Name string `arg:"" optional:"" help:"One of ${policies}; default: default." default:"default"`
}

func (c policyExampleCmd) Run(s streams) error {
	b, err := policy.Example(c.Name)
	if err != nil {
		return err
	}
	_, err = s.out.Write(b)
	return err
}

type policyTestCmd struct {
	Files  []string `arg:"" name:"cases" help:"Documents of cases (docs/policy.md). They name the policy and the directory, beside them."`
	Policy string   `placeholder:"FILE" help:"Test this policy instead of the one that the cases name."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (policyTestCmd) Help() string {
	return "Exits 0 only when every decision is as expected."
}

// A tested is one case and what became of it.
type tested struct {
	File     string          `json:"file"`
	Line     int             `json:"line"`
	Case     string          `json:"case"`
	OK       bool            `json:"ok"`
	Wrong    []string        `json:"wrong,omitempty"`
	Decision policy.Decision `json:"decision"`
	how      policy.Explanation
}

func (c policyTestCmd) Run(_ context.Context, s streams) error {
	all, failed := []tested{}, 0
	for _, file := range c.Files {
		got, err := testCases(file, c.Policy)
		if err != nil {
			return err
		}
		all = append(all, got...)
	}
	for _, x := range all {
		if !x.OK {
			failed++
		}
	}
	if c.JSON {
		if err := printJSON(s.out, all); err != nil {
			return err
		}
	} else {
		for _, x := range all {
			x.print(s.out)
		}
		fmt.Fprintf(s.out, "%s, %d failed\n", several(len(all), "case"), failed)
	}
	if failed > 0 {
		return errQuiet
	}
	return nil
}

func (x tested) print(w io.Writer) {
	if x.OK {
		fmt.Fprintf(w, "ok      %s\n", x.Case)
		return
	}
	fmt.Fprintf(w, "FAILED  %s (%s:%d)\n", x.Case, x.File, x.Line)
	for _, wrong := range x.Wrong {
		fmt.Fprintf(w, "        %s\n", wrong)
	}
	for line := range strings.Lines(x.how.String()) {
		fmt.Fprintf(w, "        | %s", line)
	}
}
