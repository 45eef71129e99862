package storage_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// calendar is a term of calendar years, months and days, which stops at the end of a shorter month.
func calendar(years, months, days int) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		first := time.Date(t.Year()+years, t.Month()+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
		day := min(t.Day(), first.AddDate(0, 1, -1).Day())
		return first.AddDate(0, 0, day-1+days)
	}
}

func hours(n int) func(time.Time) time.Time {
	return func(t time.Time) time.Time { return t.Add(time.Duration(n) * time.Hour) }
}

func TestLifecycleDays(t *testing.T) {
	for _, test := range []struct {
		name     string
		until    func(time.Time) time.Time
		lock     storage.Mode
		mandated bool
		slack    int
		want     int
	}{
		// Of another class everything is gone in the longest term: three days for rounding, and what the service is late.
		{"six months: 184 days at most", calendar(0, 6, 0), storage.Governance, false, 0, 181},
		{"a service that is a day late", calendar(0, 6, 0), storage.Governance, false, 1, 180},
		{"two days late", calendar(0, 6, 0), storage.Governance, false, 2, 179},
		{"three months: 92", calendar(0, 3, 0), storage.Governance, false, 0, 89},
		{"one month: 31", calendar(0, 1, 0), storage.Governance, false, 0, 28},
		{"a year, leap years too: 366", calendar(1, 0, 0), storage.Governance, false, 0, 363},
		{"twelve months", calendar(0, 12, 0), storage.Governance, false, 2, 361},
		{"days are days", calendar(0, 0, 30), storage.Governance, false, 0, 27},
		{"four days, the least that can be kept to", calendar(0, 0, 4), storage.Governance, false, 0, 1},
		{"three days", calendar(0, 0, 3), storage.Governance, false, 0, 1},
		{"an hour", hours(1), storage.Governance, false, 2, 1},
		// A mandated class is hidden when its lock has ended for certain, whatever the slack.
		{"five years: two leap days at most", calendar(5, 0, 0), storage.Compliance, true, 0, 1829},
		{"five years, late", calendar(5, 0, 0), storage.Compliance, true, 2, 1829},
		{"seven years", calendar(7, 0, 0), storage.Compliance, true, 0, 2559},
		{"four years: always one", calendar(4, 0, 0), storage.Compliance, true, 0, 1463},
		{"a year", calendar(1, 0, 0), storage.Compliance, true, 0, 368},
		{"a mandate under GOVERNANCE", calendar(0, 6, 0), storage.Governance, true, 0, 186},
		{"an hour and a begun day", hours(25), storage.Compliance, true, 0, 4},
		// Without a lock nothing but the rule keeps it.
		{"no lock", calendar(0, 6, 0), "", false, 2, 184},
	} {
		rules, err := storage.LifecycleRules([]storage.LifecycleClass{{Name: "c", Until: test.until, Lock: test.lock, Mandated: test.mandated}}, test.slack)
		if err != nil {
			t.Fatal(err)
		}
		want := storage.LifecycleRule{ID: "greffier-class-c", Prefix: "rec/c/", Days: test.want, NoncurrentDays: 1}
		if rules[0] != want {
			t.Errorf("%s: %v, want %v", test.name, rules[0], want)
		}
	}
}

// TestLifecycleKeepsItsPromises goes through every day of four years, with the slowest and the quickest service that there can be.
func TestLifecycleKeepsItsPromises(t *testing.T) {
	const day = 24 * time.Hour
	midnight := func(t time.Time) time.Time { return t.Add(day - 1).Truncate(day) }
	for name, until := range map[string]func(time.Time) time.Time{"P1M": calendar(0, 1, 0), "P6M": calendar(0, 6, 0), "P1Y": calendar(1, 0, 0), "P5Y": calendar(5, 0, 0)} {
		longest := storage.LongestDays(until)
		for slack := range 3 {
			rules, err := storage.LifecycleRules([]storage.LifecycleClass{
				{Name: "free", Until: until, Lock: storage.Governance}, {Name: "held", Until: until, Lock: storage.Compliance, Mandated: true}, {Name: "open", Until: until},
			}, slack)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 * 365 {
				made := time.Date(2026, 1, 1, 17, 30, 0, 0, time.UTC).AddDate(0, 0, i)
				late := time.Duration(slack) * day
				hidden := midnight(made.Add(time.Duration(rules[0].Days) * day))
				gone := midnight(hidden.Add(day)).Add(late)
				if limit := made.Add(time.Duration(longest) * day); gone.After(limit) {
					t.Fatalf("%s, slack %d, made %v: gone at %v, after %v", name, slack, made, gone, limit)
				}
				if quick := made.Add(time.Duration(rules[1].Days) * day); quick.Before(until(made)) {
					t.Fatalf("%s, made %v: hidden at %v, before the mandate's end %v", name, made, quick, until(made))
				}
				if quick := made.Add(time.Duration(rules[2].Days) * day); quick.Before(until(made)) {
					t.Fatalf("%s, made %v, no lock: hidden at %v, before %v", name, made, quick, until(made))
				}
			}
		}
	}
}

func TestLifecycleRules(t *testing.T) {
	class := func(name string) storage.LifecycleClass {
		return storage.LifecycleClass{Name: name, Until: calendar(0, 6, 0), Lock: storage.Governance}
	}
	documented := class("sales")
	documented.Documents = calendar(1, 0, 0)
	got, err := storage.LifecycleRules([]storage.LifecycleClass{documented, class("qa")}, 0)
	want := []storage.LifecycleRule{
		{ID: "greffier-class-qa", Prefix: "rec/qa/", Days: 181, NoncurrentDays: 1},
		{ID: "greffier-class-sales", Prefix: "rec/sales/", Days: 181, NoncurrentDays: 1},
		{ID: "greffier-documents-sales", Prefix: "ana/sales/", Days: 366, NoncurrentDays: 1},
		{ID: "greffier-markers", Prefix: "rec/", Markers: true},
		{ID: "greffier-uploads", Prefix: "rec/", AbortDays: 1},
		{ID: "greffier-markers-of-documents", Prefix: "ana/", Markers: true},
		{ID: "greffier-uploads-of-documents", Prefix: "ana/", AbortDays: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	for name, f := range map[string]func() ([]storage.LifecycleRule, error){
		"slack": func() ([]storage.LifecycleRule, error) { return storage.LifecycleRules(nil, -1) },
		"too late": func() ([]storage.LifecycleRule, error) {
			return storage.LifecycleRules(nil, storage.MaxLifecycleSlack+1)
		},
		"name": func() ([]storage.LifecycleRule, error) {
			return storage.LifecycleRules([]storage.LifecycleClass{class("a/../b")}, 0)
		},
		"no name": func() ([]storage.LifecycleRule, error) {
			return storage.LifecycleRules([]storage.LifecycleClass{class("")}, 0)
		},
		"no term": func() ([]storage.LifecycleRule, error) {
			return storage.LifecycleRules([]storage.LifecycleClass{{Name: "a"}}, 0)
		},
	} {
		if rules, err := f(); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%s: %v, %v, want ErrInvalid", name, rules, err)
		}
	}
}

func TestPlanLifecycle(t *testing.T) {
	want, err := storage.LifecycleRules([]storage.LifecycleClass{{Name: "qa", Until: calendar(0, 6, 0), Lock: storage.Governance}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	but := func(i int, f func(*storage.LifecycleRule)) []storage.LifecycleRule {
		rules := slices.Clone(want)
		f(&rules[i])
		return rules
	}
	for name, test := range map[string]struct {
		have    []storage.LifecycleRule
		state   storage.LifecycleState
		changes int
		shorter bool
	}{
		"the same":         {want, storage.LifecycleInStep, 0, false},
		"nothing":          {nil, storage.LifecycleNotPlanned, 3, false},
		"no class":         {want[1:], storage.LifecycleDrift, 1, false},
		"no uploads":       {want[:2], storage.LifecycleInStep, 1, false}, // some services do not know such a rule
		"longer":           {but(0, func(r *storage.LifecycleRule) { r.Days = 400 }), storage.LifecycleDrift, 1, true},
		"shorter":          {but(0, func(r *storage.LifecycleRule) { r.Days = 100 }), storage.LifecycleDrift, 1, false},
		"other prefix":     {but(0, func(r *storage.LifecycleRule) { r.Prefix = "rec/q" }), storage.LifecycleDrift, 1, false},
		"switched off":     {but(0, func(r *storage.LifecycleRule) { r.Altered = true }), storage.LifecycleDrift, 1, false},
		"uploads stay on":  {but(2, func(r *storage.LifecycleRule) { r.AbortDays = 30 }), storage.LifecycleDrift, 1, false},
		"a class that was": {append(slices.Clone(want), storage.LifecycleRule{ID: "greffier-class-old", Prefix: "rec/old/", Days: 9}), storage.LifecycleInStep, 0, false},
	} {
		p := storage.PlanLifecycle(want, storage.Lifecycle{Ours: test.have})
		if p.State != test.state || len(p.Changes) != test.changes {
			t.Errorf("%s: %s, changes %v", name, p.State, p.Changes)
		}
		if len(p.Changes) == 1 && p.Changes[0].Shorter != test.shorter {
			t.Errorf("%s: %+v", name, p.Changes[0])
		}
		if kept := len(p.Kept); (kept == 1) != (name == "a class that was") {
			t.Errorf("%s: %d rules kept", name, kept)
		}
	}
}

// TestLifecycle applies rules to a real MinIO that has some of others already.
func TestLifecycle(t *testing.T) {
	m := storagetest.StartMinIO(t)
	raw := rawClient(t, m.Config)
	ctx := t.Context()
	s := m.NewBucket(t)
	if have, err := s.Lifecycle(ctx); err != nil || len(have.Ours)+len(have.Others) != 0 {
		t.Fatalf("%+v, %v", have, err)
	}
	foreign := lifecycle.NewConfiguration()
	foreign.Rules = []lifecycle.Rule{
		{ID: "logs", Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: "logs/"}, Expiration: lifecycle.Expiration{Days: 7}},
		{ID: "everything", Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: "re"}, NoncurrentVersionExpiration: lifecycle.NoncurrentVersionExpiration{NoncurrentDays: 400, NewerNoncurrentVersions: 5}},
		{ID: "off", Status: "Disabled", RuleFilter: lifecycle.Filter{And: lifecycle.And{Prefix: "rec/", Tags: []lifecycle.Tag{{Key: "a", Value: "b"}}}}, Expiration: lifecycle.Expiration{Days: 3}},
	}
	if err := raw.SetBucketLifecycle(ctx, s.Bucket(), foreign); err != nil {
		t.Fatal(err)
	}
	others := func() string {
		config, err := raw.GetBucketLifecycle(ctx, s.Bucket())
		if err != nil {
			t.Fatal(err)
		}
		config.Rules = slices.DeleteFunc(config.Rules, func(r lifecycle.Rule) bool { return strings.HasPrefix(r.ID, "greffier-") })
		b, err := xml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	before := others()
	class := func(name string, until func(time.Time) time.Time) storage.LifecycleClass {
		return storage.LifecycleClass{Name: name, Until: until, Lock: storage.Governance}
	}
	plan := func(classes ...storage.LifecycleClass) ([]storage.LifecycleRule, storage.LifecyclePlan) {
		want, err := storage.LifecycleRules(classes, 0)
		if err != nil {
			t.Fatal(err)
		}
		have, err := s.Lifecycle(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return want, storage.PlanLifecycle(want, have)
	}
	apply := func(classes ...storage.LifecycleClass) storage.LifecyclePlan {
		want, _ := plan(classes...)
		have, err := s.ApplyLifecycle(ctx, want)
		if err != nil {
			t.Fatal(err)
		}
		if after := others(); after != before {
			t.Errorf("rules of others were\n%s\nand are\n%s", before, after)
		}
		return storage.PlanLifecycle(want, have)
	}
	half, year := calendar(0, 6, 0), calendar(1, 0, 0)
	_, p := plan(class("qa", half), class("old", year))
	if p.State != storage.LifecycleNotPlanned || !slices.Equal(p.Others, []string{"logs", "everything", "off"}) || !slices.Equal(p.Covering, []string{"everything"}) {
		t.Errorf("%+v", p)
	}
	if p := apply(class("qa", half), class("old", year)); p.State != storage.LifecycleInStep {
		t.Errorf("after apply: %+v", p)
	}
	if p := apply(class("qa", half), class("old", year)); p.State != storage.LifecycleInStep {
		t.Errorf("after apply again: %+v", p)
	}
	// A class changes, another goes, a rule is tampered with.
	if _, p := plan(class("qa", year)); p.State != storage.LifecycleDrift || p.Changes[0].Shorter || len(p.Kept) != 1 {
		t.Errorf("%+v", p)
	}
	if p := apply(class("qa", year)); p.State != storage.LifecycleInStep || len(p.Kept) != 1 || p.Kept[0].ID != "greffier-class-old" {
		t.Errorf("%+v", p)
	}
	config, err := raw.GetBucketLifecycle(ctx, s.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	for i := range config.Rules {
		if config.Rules[i].ID == "greffier-class-qa" {
			config.Rules[i].Status = "Disabled"
		}
	}
	if err := raw.SetBucketLifecycle(ctx, s.Bucket(), config); err != nil {
		t.Fatal(err)
	}
	if _, p := plan(class("qa", year)); p.State != storage.LifecycleDrift || !p.Changes[0].Was.Altered {
		t.Errorf("a rule was switched off: %+v", p)
	}
	if p := apply(class("qa", year)); p.State != storage.LifecycleInStep {
		t.Errorf("%+v", p)
	}
	writer := newStore(t, limited(t, m, s.Bucket(), rolePolicy(t, "writer")))
	want, _ := plan(class("qa", half))
	if _, err := writer.ApplyLifecycle(ctx, want); err == nil || !strings.Contains(err.Error(), "permissions") {
		t.Errorf("the recorder's own credentials change lifecycle rules: %v", err)
	}
	if _, err := newStore(t, m.Config).Lifecycle(ctx); err == nil {
		t.Error("no bucket, and rules")
	}
	var many []storage.LifecycleClass
	for i := range 1000 {
		many = append(many, class(fmt.Sprintf("c%d", i), half))
	}
	want, _ = plan(many...)
	if _, err := s.ApplyLifecycle(ctx, want); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("a thousand classes: %v, want ErrInvalid", err)
	}
}
