package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/catalog"
)

// Erasure before the term, by two persons, and restriction where the law forbids it: all of it is witnessed.

type eraseCmd struct {
	Request eraseRequestCmd `cmd:"" help:"Ask for a recording to be erased; somebody else has to approve."`
	Approve eraseApproveCmd `cmd:"" help:"Erase a recording that somebody else asked for."`
	Refuse  eraseRefuseCmd  `cmd:"" help:"Turn a request down."`
	List    eraseListCmd    `cmd:"" help:"List the requests, and what became of them."`
}

type eraseRequestCmd struct {
	located
	ID     string `arg:"" help:"The recording."`
	Reason string `required:"" placeholder:"TEXT" help:"A reference, as 'GDPR Art. 17 request 12'. Do not name anybody."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (eraseRequestCmd) Help() string {
	return "Asks for a recording to be erased before its term, with the documents about it. What a text obliges to keep (the mandate of its class) and what has a legal hold is refused, with the reference."
}

func (c eraseRequestCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.RequestErasure(ctx, c.ID, operator(), c.Reason); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "state": string(catalog.ErasureRequested)},
		"asked; somebody else approves: greffier recordings erase approve "+c.ID)
}

type eraseApproveCmd struct {
	located
	ID   string `arg:"" help:"The recording."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (eraseApproveCmd) Help() string {
	return "Destroys the recording's key, so that no copy can be read any more, and deletes every version in the store; what is locked in GOVERNANCE mode by the eraser's credentials (store.s3.eraser_access_key). The recording is then erased; or shredded, while the store keeps bytes that nobody can read. Who asked cannot approve."
}

func (c eraseApproveCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	row, err := p.archive.ApproveErasure(ctx, c.ID, operator())
	if err != nil {
		return notFound(c.ID, err)
	}
	text := c.ID + " is erased: its key is destroyed, and the store has no version of it"
	if row.State == catalog.StateShredded {
		text = fmt.Sprintf("%s is shredded: its key is destroyed, and bytes that nobody can read stay in the store until %s", c.ID, row.LockedUntil.Local().Format(time.DateTime))
	}
	return tell(s.out, c.JSON, row, text)
}

type eraseRefuseCmd struct {
	located
	ID     string `arg:"" help:"The recording."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the audit log. Do not name anybody."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c eraseRefuseCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.RefuseErasure(ctx, c.ID, operator(), c.Reason); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "state": string(catalog.ErasureRefused)}, c.ID+" is not erased")
}

type eraseListCmd struct {
	located
	Open bool `help:"Only those that wait for a decision."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (c eraseListCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	list, err := p.archive.Erasures(ctx)
	if err != nil {
		return err
	}
	if c.Open {
		list = slices.DeleteFunc(list, func(e catalog.Erasure) bool { return e.State != catalog.ErasureRequested })
	}
	if c.JSON {
		if list == nil {
			list = []catalog.Erasure{}
		}
		return printJSON(s.out, list)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RECORDING\tREQUEST\tREASON\tASKED\tBY\tDECIDED\tBY")
	for _, e := range list {
		decided := ""
		if !e.DecidedAt.IsZero() {
			decided = e.DecidedAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Recording, e.State, e.Reason, e.AskedAt.Local().Format(time.DateTime), e.AskedBy, decided, e.DecidedBy)
	}
	return t.Flush()
}

type restrictCmd struct {
	located
	ID     string `arg:"" help:"The recording."`
	Reason string `required:"" placeholder:"TEXT" help:"A reference, as 'GDPR Art. 18 request 4'. Do not name anybody."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (restrictCmd) Help() string {
	return "Keeps a recording, and lets nobody play, read or export it but with --despite-restriction and a reason (GDPR Art. 18). Its term goes on: hold it too, if it must outlive that."
}

func (c restrictCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.Restrict(ctx, c.ID, operator(), c.Reason); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "use": "restricted"}, c.ID+" is restricted")
}

type unrestrictCmd struct {
	located
	ID     string `arg:"" help:"The recording."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for the audit log. Do not name anybody."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c unrestrictCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.Unrestrict(ctx, c.ID, operator(), c.Reason); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "use": "free"}, c.ID+" may be used")
}
