package recorder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// A Coverage tells how much of each agent's calls was recorded, week by week, so that somebody sees a sample that has become
// surveillance (R04).
type Coverage struct {
	Since time.Time     `json:"since"`
	Weeks []AgentWeek   `json:"weeks"` // by week, then by agent
	All   CoverageCount `json:"all"`   // of all calls, whoever took part
}

// An AgentWeek is one agent's week.
type AgentWeek struct {
	Week  string `json:"week"`  // ISO 8601, as 2026-W48, in UTC
	Agent string `json:"agent"` // the user's id in the directory; "" for the calls in which nobody of it took part
	CoverageCount
}

// A CoverageCount counts calls. Calls that a text obliges to record are counted apart: they say nothing about the sample.
type CoverageCount struct {
	Calls    int `json:"calls"`    // that could go unrecorded
	Recorded int `json:"recorded"` // of these
	Mandated int `json:"mandated"`
}

// Share is how much of the calls was recorded, from 0 to 1; 0 without any.
func (c CoverageCount) Share() float64 {
	if c.Calls == 0 {
		return 0
	}
	return float64(c.Recorded) / float64(c.Calls)
}

func (c *CoverageCount) count(recorded, mandated bool) {
	switch {
	case mandated:
		c.Mandated++
	case recorded:
		c.Recorded++
		fallthrough
	default:
		c.Calls++
	}
}

// Coverage counts the calls since an instant. Agents are the users of the directory; the catalog knows those of calls that were not
// recorded by keyed hashes only, so that a user is found by the numbers and addresses of the directory as the SRC writes them. Mandated
// names the classes that a text obliges to. It is witnessed.
func (a *Archive) Coverage(ctx context.Context, d *policy.Directory, mandated []string, since time.Time, actor string) (Coverage, error) {
	out := Coverage{Since: utcMS(since), Weeks: []AgentWeek{}}
	if err := a.witness(ctx, EventSearched, "", actor, "", map[string]any{"of": "coverage", "since": out.Since}); err != nil {
		return out, err
	}
	rows, err := a.Catalog.List(ctx, catalog.Query{From: since})
	if err != nil {
		return out, fmt.Errorf("count calls: %w", err)
	}
	agents, words := a.agents(d), a.words()
	weeks := map[[2]string]*CoverageCount{}
	for _, row := range rows {
		recorded, obliged := isRecorded(row), slices.Contains(mandated, row.Class)
		year, week := row.StartedAt.UTC().ISOWeek()
		who := map[string]bool{}
		for _, p := range row.Participants {
			if id := cmp.Or(agents[words.once(p.Number)], agents[words.once(p.AOR)]); id != "" {
				who[id] = true
			}
		}
		if len(who) == 0 {
			who[""] = true
		}
		for id := range who {
			key := [2]string{fmt.Sprintf("%d-W%02d", year, week), id}
			if weeks[key] == nil {
				weeks[key] = &CoverageCount{}
			}
			weeks[key].count(recorded, obliged)
		}
		out.All.count(recorded, obliged)
	}
	for key, n := range weeks {
		out.Weeks = append(out.Weeks, AgentWeek{key[0], key[1], *n})
	}
	slices.SortFunc(out.Weeks, func(a, b AgentWeek) int { return cmp.Or(cmp.Compare(a.Week, b.Week), cmp.Compare(a.Agent, b.Agent)) })
	return out, nil
}

// agents are the users by the keyed hashes that the catalog has of their addresses and numbers.
func (a *Archive) agents(d *policy.Directory) map[string]string {
	words, out := a.words(), map[string]string{}
	for u := range d.All() {
		for _, x := range slices.Concat(u.Addresses, u.Numbers) {
			out[words.hash(x)] = u.ID
		}
	}
	return out
}
