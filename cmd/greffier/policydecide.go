package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

type policyExplainCmd struct {
	Policy    string            `required:"" placeholder:"FILE" help:"The policy file."`
	Metadata  string            `required:"" placeholder:"FILE" help:"The call's recording metadata, as an SRC sends them (RFC 7865); - is standard input."`
	Directory string            `placeholder:"FILE" help:"The directory of users."`
	SRC       string            `name:"src" placeholder:"NAME" help:"SRC profile that the call comes from."`
	Tenant    string            `placeholder:"NAME" help:"Tenant of the SRC profile."`
	Trunk     string            `placeholder:"NAME" help:"Trunk of the SRC profile."`
	Header    map[string]string `placeholder:"NAME=VALUE" help:"A header field of the INVITE that the SRC profile keeps."`
	Objector  []string          `placeholder:"NUMBER" help:"A number or address on the list of those who do not want to be recorded."`
	At        string            `placeholder:"TIME" help:"When the call is decided about (RFC 3339); default: now."`
	JSON      bool              `name:"json" help:"Print JSON."`
}

func (policyExplainCmd) Help() string {
	return "A draw is shown for a key of zeros, and not for the server's: it tells the share, and not what the server decides."
}

func (c policyExplainCmd) Run(_ context.Context, s streams) error {
	p, err := openPolicy(c.Policy)
	if err != nil {
		return err
	}
	m, err := readMetadata(c.Metadata)
	if err != nil {
		return err
	}
	now := time.Now()
	if c.At != "" {
		if now, err = time.Parse(time.RFC3339, c.At); err != nil {
			return fmt.Errorf("--at: %q is no time; write 2026-11-23T14:00:00+01:00", c.At)
		}
	}
	f := policy.Facts{SRC: c.SRC, Tenant: c.Tenant, Trunk: c.Trunk, Headers: c.Header, Metadata: m, CallKey: m.CallKey("explained"), Began: now}
	if f.Directory, err = readDirectory(c.Directory); err != nil {
		return err
	}
	if f.Objectors, err = objectorsOf(c.Objector, p.Country()); err != nil {
		return err
	}
	e := p.Explain(f, now)
	if c.JSON {
		return printJSON(s.out, e)
	}
	_, err = fmt.Fprint(s.out, e)
	return err
}

func readMetadata(file string) (*siprec.Metadata, error) {
	b, err := readInput(file)
	if err != nil {
		return nil, err
	}
	d, err := siprec.ParseMetadata(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; give the XML document alone, without the rest of the SIP message", file, err)
	}
	m := &siprec.Metadata{}
	m.Apply(d, time.Now())
	return m, nil
}

func readDirectory(file string) (*policy.Directory, error) {
	if file == "" {
		return nil, nil
	}
	return policy.LoadDirectory(file)
}

// objectorsOf is a standing list of the addresses and numbers.
func objectorsOf(addresses []string, country string) (*policy.Objectors, error) {
	var b strings.Builder
	for _, a := range addresses {
		fmt.Fprintln(&b, policy.HashAddress(noKey, a, country))
	}
	return policy.ParseObjectors([]byte(b.String()), noKey)
}

// testCases decides about the cases of a document. The policy that it names is taken, unless another is given.
func testCases(file, other string) ([]tested, error) {
	b, err := readInput(file)
	if err != nil {
		return nil, err
	}
	cases, err := policy.ParseCases(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(filepath.Dir(file), name)
	}
	policyFile := cmp.Or(other, beside(cases.Policy))
	if policyFile == "" {
		return nil, fmt.Errorf("%s names no policy: write policy: FILE, or give --policy", file)
	}
	p, err := openPolicy(policyFile)
	if err != nil {
		return nil, err
	}
	d, err := readDirectory(beside(cases.Directory))
	if err != nil {
		return nil, err
	}
	o, err := objectorsOf(cases.Objectors, p.Country())
	if err != nil {
		return nil, err
	}
	var out []tested
	for _, c := range cases.Cases {
		var m *siprec.Metadata
		if c.Metadata != "" {
			if m, err = readMetadata(beside(c.Metadata)); err != nil {
				return nil, err
			}
		}
		how, wrong := c.Run(p, d, o, m)
		out = append(out, tested{File: file, Line: c.Line, Case: c.Name, OK: len(wrong) == 0, Wrong: wrong, Decision: how.Decision, how: how})
	}
	return out, nil
}

type policySimulateCmd struct {
	located
	Policy    string `required:"" placeholder:"FILE" help:"The policy to try."`
	Directory string `placeholder:"FILE" help:"The directory of users; absent: the configured one."`
	Since     string `default:"30d" placeholder:"TIME" help:"Calls since then: 30d, a date, or a time (RFC 3339)."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

func (policySimulateCmd) Help() string {
	return "Decides again about the calls whose facts the server has kept, which it does for as long as its policy says keep_facts. Directory and standing objections are those of now; the draws are the server's own. It changes nothing, and is in the audit log."
}

func (c policySimulateCmd) Run(ctx context.Context, s streams) error {
	since, err := sinceTime(c.Since, time.Now())
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	parts, config, err := c.openConfigured(ctx, witnesses)
	if err != nil {
		return err
	}
	defer parts.Close()
	p, err := policy.Load(c.Policy, policy.Options{SamplingKey: parts.samplingKey, Can: policy.Anything()})
	if err != nil {
		return err
	}
	d, err := readDirectory(cmp.Or(c.Directory, config.Directory))
	if err != nil {
		return err
	}
	objectors, err := standing(ctx, parts.archive.Catalog, parts.objectorsKey)
	if err != nil {
		return err
	}
	sim, err := parts.archive.Simulate(ctx, p, d, objectors, parts.factsKey, since, operator())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, sim)
	}
	return printSimulation(s, sim)
}

// sinceTime reads a time, or a number of days before now.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 {
			return time.Time{}, fmt.Errorf("%q is no number of days; write 30d", text)
		}
		return now.AddDate(0, 0, -n), nil
	}
	return readTime(text)
}

func printSimulation(s streams, sim recorder.Simulation) error {
	fmt.Fprintf(s.out, "%d decisions, of which %d would be others: %d recorded before, %d after\n", sim.Decisions, sim.Changed, sim.Before.Recorded, sim.After.Recorded)
	if sim.Unknown > 0 {
		fmt.Fprintf(s.out, "%d more decisions whose facts are not kept: a policy keeps them with keep_facts\n", sim.Unknown)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, part := range []struct {
		name   string
		shifts map[string]*recorder.Shift
	}{{"RULE", sim.Rules}, {"GROUP", sim.Groups}, {"AGENT", sim.Agents}} {
		if len(part.shifts) == 0 {
			continue
		}
		fmt.Fprintf(t, "\n%s\tBEFORE\tAFTER\tCHANGED\n", part.name)
		for _, name := range slices.Sorted(maps.Keys(part.shifts)) {
			x := part.shifts[name]
			fmt.Fprintf(t, "%s\t%d of %d\t%d of %d\t%d\n", cmp.Or(name, "(none)"), x.Before.Recorded, x.Before.Recorded+x.Before.NotRecorded,
				x.After.Recorded, x.After.Recorded+x.After.NotRecorded, x.Changed)
		}
	}
	return t.Flush()
}
