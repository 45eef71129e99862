package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/storage"
)

type storageCmd struct {
	Check storageCheckCmd `cmd:"" help:"Prove on the store itself that its locks are locks."`
	Plan  storagePlanCmd  `cmd:"" help:"Compare the bucket's lifecycle rules with what the policy asks for."`
	Apply storageApplyCmd `cmd:"" help:"Give the bucket the lifecycle rules that the policy asks for."`
}

// storeOf is what the commands about a store have in common: the configuration says which, and the policy what for.
type storeOf struct {
	located
	Policy string `placeholder:"FILE" help:"The policy file, when the configuration does not name it."`
}

// open reads configuration and policy, and makes a client for the store. It needs no data directory.
func (s storeOf) open() (Config, storage.Store, []policy.Class, error) {
	var flags []string
	if s.DataDir != "" {
		flags = append(flags, "--data-dir="+s.DataDir)
	}
	if s.Policy != "" {
		flags = append(flags, "--policy="+s.Policy)
	}
	c, err := loadConfig(s.ConfigFile, flags)
	if err != nil {
		return c, nil, nil, err
	}
	p, err := loadPolicy(c.Policy, noKey)
	if err != nil {
		return c, nil, nil, err
	}
	store, err := openStore(c)
	return c, store, p.Classes(), err
}

type storageCheckCmd struct {
	storeOf
	JSON bool `name:"json" help:"Print JSON."`
}

func (storageCheckCmd) Help() string {
	return "Works under the prefix selftest/ of the bucket, with locks of at most ten seconds and one a day of an hour, and takes some seconds. A server does the same when it starts and once a day. Exits 1 when a lock can be got around (worm-partial) or the store cannot lock at all (unversioned)."
}

func (c storageCheckCmd) Run(ctx context.Context, s streams) error {
	cfg, store, classes, err := c.open()
	if err != nil {
		return err
	}
	p, ok := store.(prober)
	if !ok {
		return fmt.Errorf("check store: %T cannot be tested", store)
	}
	rep, err := p.Probe(ctx, storage.ProbeOptions{})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s.out, rep)
	} else {
		err = printReport(s.out, rep, classes)
	}
	if err == nil {
		err = witnessCheck(ctx, cfg, rep)
	}
	if err == nil && (rep.Level == storage.WormPartial || rep.Level == storage.Unversioned) {
		err = errQuiet
	}
	return err
}

// witnessCheck puts what was found into the audit log of the data directory that the store belongs to. A store is checked before the first
// start, too, and beside another: then there is none.
func witnessCheck(ctx context.Context, cfg Config, rep storage.Report) (err error) {
	dir := filepath.Join(cfg.DataDir, auditDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || sameStore(cfg, false) != nil {
		return nil
	}
	log, err := audit.Open(dir, audit.Options{Source: "greffier"})
	if err != nil {
		return fmt.Errorf("the store was checked, and that is not witnessed: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	_, err = log.Append(ctx, audit.Event{Time: time.Now(), Type: eventSelftest, Data: rep})
	return err
}

// printReport prints the table, what is wrong, and what follows for the classes.
func printReport(w io.Writer, rep storage.Report, classes []policy.Class) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rep.Rows {
		mark := "ok"
		if !r.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, r.Name, r.Got)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rep.Failed() {
		fmt.Fprintf(w, "%s should be %q: %s\n", r.Name, r.Want, r.Why)
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", rep.Level, meaning(rep, classes))
	return err
}

// meaning says in a sentence what a level means.
func meaning(rep storage.Report, classes []policy.Class) string {
	switch rep.Level {
	case storage.WormVerified:
		return "every lock is a lock"
	case storage.NoLifecycle:
		return "every lock is a lock; the recorder's sweeper deletes what is over, as the service does not"
	case storage.SoftwareLock:
		return "the locks bind this program only: use S3 where the law asks for storage that nobody can change"
	case storage.Unversioned:
		return "nothing can be locked; greffier serve does not start on it"
	}
	if names := mustLock(classes); len(names) > 0 {
		return "greffier serve does not start on it, for the sake of class " + strings.Join(names, ", ")
	}
	return "good for classes without a mandate only"
}
