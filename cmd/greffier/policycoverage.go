package main

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

type policyCoverageCmd struct {
	located
	Since   string  `default:"30d" placeholder:"TIME" help:"Calls since then: 30d, a date, or a time (RFC 3339)."`
	Ceiling float64 `default:"50" placeholder:"PERCENT" help:"Warn of an agent's week of which more was recorded."`
	JSON    bool    `name:"json" help:"Print JSON."`
}

func (policyCoverageCmd) Help() string {
	return "Agents are the users of the configured directory. Calls that a text obliges to record are counted apart. A week with fewer than ten calls says nothing, and is not warned of. Exits 1 when a week is above the ceiling."
}

// coverageLeast is how many calls an agent's week needs to say anything.
const coverageLeast = 10

func (c policyCoverageCmd) Run(ctx context.Context, s streams) error {
	since, err := sinceTime(c.Since, time.Now())
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	parts, config, err := c.openConfigured(ctx, witnesses)
	if err != nil {
		return err
	}
	defer parts.Close()
	p, err := loadPolicy(config.Policy, parts.samplingKey)
	if err != nil {
		return err
	}
	d, err := readDirectory(config.Directory)
	if err != nil {
		return err
	}
	got, err := parts.archive.Coverage(ctx, d, mandated(p), since, operator())
	if err != nil {
		return err
	}
	high := c.high(got)
	if c.JSON {
		err = printJSON(s.out, struct {
			recorder.Coverage
			Above []recorder.AgentWeek `json:"above"`
		}{got, high})
	} else {
		err = c.print(s, got, high)
	}
	if err == nil && len(high) > 0 {
		return errQuiet
	}
	return err
}

// mandated names the classes that a text obliges to.
func mandated(p *policy.Policy) (names []string) {
	for _, class := range p.Classes() {
		if class.Mandate != "" {
			names = append(names, class.Name)
		}
	}
	return names
}

// high lists the agents' weeks above the ceiling.
func (c policyCoverageCmd) high(got recorder.Coverage) []recorder.AgentWeek {
	out := []recorder.AgentWeek{}
	for _, w := range got.Weeks {
		if w.Agent != "" && w.Calls >= coverageLeast && 100*w.Share() > c.Ceiling {
			out = append(out, w)
		}
	}
	return out
}

func (c policyCoverageCmd) print(s streams, got recorder.Coverage, high []recorder.AgentWeek) error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WEEK\tAGENT\tCALLS\tRECORDED\tSHARE\tMANDATED")
	line := func(week, agent string, n recorder.CoverageCount) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f %%\t%d\n", week, agent, n.Calls, n.Recorded, 100*n.Share(), n.Mandated)
	}
	for _, w := range got.Weeks {
		line(w.Week, cmp.Or(w.Agent, "(nobody in the directory)"), w.CoverageCount)
	}
	line("all", "", got.All)
	if err := t.Flush(); err != nil {
		return err
	}
	for _, w := range high {
		fmt.Fprintf(s.out, "warning: %s: %.1f %% of the calls of %s were recorded, above %g %%\n", w.Week, 100*w.Share(), w.Agent, c.Ceiling)
	}
	return nil
}
