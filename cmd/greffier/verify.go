package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/recorder"
)

type verifyCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

func (verifyCmd) Help() string {
	return "Reads the whole audit log, every object of every recording, every key and the whole catalog. It changes nothing, may run beside the server, and exits 0 only when everything agrees."
}

func (c verifyCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	rep, err := p.archive.Verify(ctx, progress(s.err, "recordings verified"))
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s.out, rep)
	} else {
		err = printVerify(s.out, rep)
	}
	if err == nil && len(rep.Problems) > 0 {
		err = errQuiet
	}
	return err
}

func printVerify(w io.Writer, rep recorder.VerifyReport) error {
	for _, n := range rep.Notices {
		fmt.Fprintf(w, "notice: %s\n", n)
	}
	for _, p := range rep.Problems {
		fmt.Fprintf(w, "PROBLEM: %s: %s\n", p.Kind, p)
	}
	verdict := "store, catalog, keys and audit log agree"
	if n := len(rep.Problems); n > 0 {
		verdict = fmt.Sprintf("%d problems", n)
	}
	_, err := fmt.Fprintf(w, "%s: %d recordings and %d documents read whole, %d calls not recorded, %d gone, %d unfinished, %d audit entries, head %s\n",
		verdict, rep.Recordings, rep.Documents, rep.NotRecorded, rep.Gone, rep.Unfinished, rep.Entries, rep.Head)
	return err
}

// progress tells how far long work is, at most once a second, and only when it is long.
func progress(w io.Writer, what string) func(int) {
	last := time.Now()
	return func(n int) {
		if now := time.Now(); now.Sub(last) >= time.Second {
			last = now
			fmt.Fprintf(w, "%d %s\n", n, what)
		}
	}
}

type auditCmd struct {
	Verify auditVerifyCmd `cmd:"" help:"Check that no entry was changed, removed, reordered or cut off."`
	List   auditListCmd   `cmd:"" help:"Print the entries as JSON lines, as they are stored."`
}

type auditVerifyCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

func (c auditVerifyCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	rep, err := audit.Verify(p.archive.AuditDir)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	if c.JSON {
		return printJSON(s.out, rep)
	}
	_, err = fmt.Fprintf(s.out, "audit log is whole: %d entries, head %s\n", rep.Entries, rep.Head)
	return err
}

type auditListCmd struct {
	located
	Subject string `placeholder:"ID" help:"Only the entries of one recording."`
}

func (c auditListCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	for e, err := range audit.Read(p.archive.AuditDir) {
		if err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		if c.Subject != "" && e.Subject != c.Subject {
			continue
		}
		if _, err := fmt.Fprintf(s.out, "%s\n", e.Line); err != nil {
			return err
		}
	}
	return nil
}

type catalogCmd struct {
	Rebuild rebuildCmd `cmd:"" help:"Make the catalog again from the store and the audit log."`
}

type rebuildCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

func (c rebuildCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	rep, err := p.archive.Rebuild(ctx, progress(s.err, "recordings indexed"))
	if err != nil {
		return err
	}
	objections, err := p.rebuildObjections(ctx)
	if err != nil {
		return fmt.Errorf("rebuild list of objections: %w", err)
	}
	if c.JSON {
		err = printJSON(s.out, struct {
			recorder.RebuildReport
			Objections int `json:"objections"`
		}{rep, objections})
	} else {
		for _, problem := range rep.Problems {
			fmt.Fprintf(s.out, "PROBLEM: %s\n", problem)
		}
		_, err = fmt.Fprintf(s.out, "catalog rebuilt: %d recordings, %d documents, %d calls not recorded, %d gone, %d objections\n",
			rep.Recordings, rep.Documents, rep.NotRecorded, rep.Gone, objections)
	}
	if err == nil && len(rep.Problems) > 0 {
		err = errQuiet
	}
	return err
}
