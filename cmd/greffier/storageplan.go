package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
)

// lifecycleClasses are the classes of a policy, in the store's words.
func lifecycleClasses(classes []policy.Class) []storage.LifecycleClass {
	var out []storage.LifecycleClass
	for _, c := range classes {
		lock := storage.Mode(c.Lock)
		if c.Lock == policy.NoLock {
			lock = ""
		}
		out = append(out, storage.LifecycleClass{Name: c.Name, Until: c.Until, Lock: lock, Mandated: c.Mandate != "", Documents: c.DocumentsUntil})
	}
	return out
}

// planLifecycle compares a store's rules with those that classes ask for.
func planLifecycle(ctx context.Context, store lifecycler, classes []policy.Class, slack int) (storage.LifecyclePlan, error) {
	want, err := storage.LifecycleRules(lifecycleClasses(classes), slack)
	if err != nil {
		return storage.LifecyclePlan{}, err
	}
	have, err := store.Lifecycle(ctx)
	if errors.Is(err, storage.ErrNoLifecycle) {
		return storage.LifecyclePlan{State: storage.LifecycleNone, Changes: []storage.LifecycleChange{}}, nil
	}
	if err != nil {
		return storage.LifecyclePlan{}, err
	}
	return storage.PlanLifecycle(want, have), nil
}

// errNoRules is what the commands say of a store that deletes nothing by itself.
var errNoRules = errors.New("this store has no lifecycle rules: the recorder's sweeper deletes what is over")

type storagePlanCmd struct {
	storeOf
	JSON bool `name:"json" help:"Print JSON."`
}

func (storagePlanCmd) Help() string {
	return "One rule for each class of the policy, by which the service removes what is over when the recorder does not. Rules of others in the bucket are never touched. Exits 0 when there is nothing to change, 1 when there is."
}

func (c storagePlanCmd) Run(ctx context.Context, s streams) error {
	cfg, store, classes, err := c.open()
	if err != nil {
		return err
	}
	rules, ok := store.(lifecycler)
	if !ok {
		return errNoRules
	}
	plan, err := planLifecycle(ctx, rules, classes, cfg.Store.S3.LifecycleSlackDays)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s.out, plan)
	} else {
		err = printPlan(s.out, plan)
	}
	if err == nil && (plan.State == storage.LifecycleDrift || plan.State == storage.LifecycleNotPlanned) {
		err = errQuiet
	}
	return err
}

// printPlan prints what apply would change: - as it is, + as it should be.
func printPlan(w io.Writer, plan storage.LifecyclePlan) error {
	for _, c := range plan.Changes {
		if c.Was != nil {
			fmt.Fprintf(w, "- %s\n", c.Was)
		}
		fmt.Fprintf(w, "+ %s\n", c.Want)
		if c.Shorter {
			fmt.Fprintf(w, "  what is older than %d days becomes due at once, as far as no lock holds it\n", c.Want.Days)
		}
		if c.Optional {
			fmt.Fprintln(w, "  some services do not know this rule: it is left out where it is refused")
		}
	}
	for _, r := range plan.Kept {
		fmt.Fprintf(w, "  %s (kept: the policy has no such class any more, its recordings still have to go)\n", r)
	}
	for _, name := range plan.Others {
		fmt.Fprintf(w, "  %s (of others, not touched)\n", name)
	}
	for _, name := range plan.Covering {
		fmt.Fprintf(w, "WARNING: rule %s of others removes recordings, too\n", name)
	}
	text := string(plan.State)
	switch plan.State {
	case storage.LifecycleNone:
		text += ", the service has no such thing: the recorder's sweeper deletes what is over"
	case storage.LifecycleNotPlanned:
		text += ": until they are applied the recorder's sweeper alone deletes what is over"
	}
	_, err := fmt.Fprintf(w, "lifecycle rules: %s\n", text)
	return err
}

type storageApplyCmd struct {
	storeOf
	Yes bool `help:"Do not ask."`
}

func (storageApplyCmd) Help() string {
	return "Needs credentials that may change the bucket's lifecycle rules, which the recorder's own should not: give them with another configuration file, or in GREFFIER_STORE_S3_ACCESS_KEY and GREFFIER_STORE_S3_SECRET_KEY_FILE. What is applied is read back, and is in the audit log of the data directory with its hash."
}

func (c storageApplyCmd) Run(ctx context.Context, s streams) (err error) {
	cfg, store, classes, err := c.open()
	if err != nil {
		return err
	}
	rules, ok := store.(lifecycler)
	if !ok {
		return errNoRules
	}
	plan, err := planLifecycle(ctx, rules, classes, cfg.Store.S3.LifecycleSlackDays)
	if err != nil {
		return err
	}
	if plan.State == storage.LifecycleNone {
		return errNoRules
	}
	if err := printPlan(s.out, plan); err != nil || len(plan.Changes) == 0 {
		return err
	}
	if !c.Yes {
		if err := ask(s.out, os.Stdin, "Apply these rules to bucket "+cfg.Store.S3.Bucket+"?"); err != nil {
			return err
		}
	}
	p, err := openParts(ctx, cfg, witnesses)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	want, err := storage.LifecycleRules(lifecycleClasses(classes), cfg.Store.S3.LifecycleSlackDays)
	if err != nil {
		return err
	}
	return apply(ctx, rules, want, cfg.Store.S3.Bucket, p.archive.Audit, s.out)
}

// ask waits for a yes. Anything else is an error.
func ask(w io.Writer, r io.Reader, question string) error {
	fmt.Fprintf(w, "%s [y/N] ", question)
	line, err := bufio.NewReader(r).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read answer: %w", err)
	}
	return errors.New("nothing was changed: answer y, or say --yes")
}

// appliedData is the data of eventLifecycleApplied.
type appliedData struct {
	Bucket string                  `json:"bucket"`
	Hash   string                  `json:"hash"` // SHA-256 of the rules' JSON
	Rules  []storage.LifecycleRule `json:"rules"`
	Error  string                  `json:"error,omitempty"` // its kind
}

// apply changes the bucket's rules between two events.
func apply(ctx context.Context, store lifecycler, want []storage.LifecycleRule, bucket string, log *audit.Log, w io.Writer) error {
	witness := func(outcome audit.Outcome, rules []storage.LifecycleRule, failure error) error {
		hash, err := storage.LifecycleHash(rules)
		if err != nil {
			return err
		}
		data := appliedData{Bucket: bucket, Hash: hash, Rules: rules}
		if failure != nil {
			data.Error = fmt.Sprintf("%T", rootOf(failure))
		}
		_, err = log.Append(context.WithoutCancel(ctx), audit.Event{Time: time.Now(), Type: eventLifecycleApplied, Outcome: outcome, Data: data})
		return err
	}
	if err := witness(audit.Intended, want, nil); err != nil {
		return err
	}
	have, err := store.ApplyLifecycle(ctx, want)
	if err != nil {
		return errors.Join(err, witness(audit.Failed, want, err))
	}
	if err := witness(audit.Done, have.Ours, nil); err != nil {
		return err
	}
	hash, err := storage.LifecycleHash(have.Ours)
	if err == nil {
		_, err = fmt.Fprintf(w, "applied, and read back: %d rules of ours, %d of others, hash %s\n", len(have.Ours), len(have.Others), hash)
	}
	return err
}

// rootOf is the innermost error: its kind says what happened, and no text of it may stand in the audit log.
func rootOf(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}
