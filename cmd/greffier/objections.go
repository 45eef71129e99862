package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
)

type objectionsCmd struct {
	Add    objectionsAddCmd    `cmd:"" help:"Put somebody on the list."`
	Remove objectionsRemoveCmd `cmd:"" help:"Take somebody off the list."`
	List   objectionsListCmd   `cmd:"" help:"List the entries, which name nobody."`
	Check  objectionsCheckCmd  `cmd:"" help:"Tell whether somebody is on the list."`
}

// Help is shown by greffier objections --help.
func (objectionsCmd) Help() string {
	return "Calls of those on the list are not recorded, whichever rule matches, unless a text obliges to. The list has keyed hashes of numbers and addresses of record, and no name. A running server takes a change up within two seconds; a call that goes on is not stopped by it: greffier calls consent does that."
}

type objectionsAddCmd struct {
	objectors
	Source policy.SignalSource `enum:"operator,agreement,api" default:"operator" help:"How it reached you: operator, somebody told one of yours, by letter, e-mail or telephone; agreement, a form that was signed; api, another system."`
	Proof  string              `placeholder:"TEXT" help:"What proves it: a letter, a request, a document. Do not name anybody: it is shown to whoever may read the list."`
	JSON   bool                `name:"json" help:"Print JSON."`
}

func (objectionsAddCmd) Help() string {
	return "One who is on the list already stays as they are: a command that was interrupted is run again. National numbers are of the country of the configured policy. When anything is wrong with a number or a line, nothing is done."
}

func (c objectionsAddCmd) Run(ctx context.Context, s streams) error {
	list, country, err := c.read()
	if err != nil {
		return err
	}
	for _, x := range list {
		if err := (api.Objection{Address: x.address, Source: c.Source, Proof: c.Proof}).Check(); err != nil {
			return fmt.Errorf("nothing was done: %s: %w", x.where, err)
		}
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	o, added, far := p.objections(func() string { return country }, nil), 0, progress(s.err, "objections looked at")
	for i, x := range list {
		is, err := o.add(ctx, api.Objection{Address: x.address, Source: c.Source, Proof: c.Proof}, operator())
		if err != nil {
			return fmt.Errorf("%s: %w; the %d before are on the list, and the others not: run it again", x.where, err, i)
		}
		if is {
			added++
		}
		far(i + 1)
	}
	there := len(list) - added
	return tell(s.out, c.JSON, map[string]int{"added": added, "there_before": there}, fmt.Sprintf("%d added, %d were on the list before", added, there))
}

type objectionsRemoveCmd struct {
	objectors
	JSON bool `name:"json" help:"Print JSON."`
}

func (objectionsRemoveCmd) Help() string {
	return "Those who may be recorded again, because they say so. Exits 3 when one of them was not on the list; the others are taken off all the same."
}

func (c objectionsRemoveCmd) Run(ctx context.Context, s streams) error {
	list, country, err := c.read()
	if err != nil {
		return err
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	o, far := p.objections(func() string { return country }, nil), progress(s.err, "objections looked at")
	var strangers []error
	for i, x := range list {
		switch err := o.Remove(ctx, x.address, operator()); {
		case errors.Is(err, api.ErrNoObjection):
			strangers = append(strangers, fmt.Errorf("%s: not on the list", x.where))
		case err != nil:
			return fmt.Errorf("%s: %w; the %d before are not on the list any more: run it again", x.where, err, i)
		}
		far(i + 1)
	}
	removed := len(list) - len(strangers)
	err = tell(s.out, c.JSON, map[string]int{"removed": removed, "not_there": len(strangers)}, fmt.Sprintf("%d taken off, %d were not on the list", removed, len(strangers)))
	if len(strangers) > 0 && err == nil {
		return exitError{exitNotFound, errors.Join(strangers...)}
	}
	return err
}

type objectionsListCmd struct {
	located
	JSON bool `name:"json" help:"Print JSON."`
}

// witnessSearch writes down that somebody looks into the list; never for whom.
func witnessSearch(ctx context.Context, p *parts) error {
	data := map[string]any{"by": "cli", "of": "objections"}
	_, err := p.archive.Audit.Append(ctx, audit.Event{Time: time.Now(), Type: recorder.EventSearched, Actor: operator(), Data: data})
	if err != nil {
		return fmt.Errorf("witness search: %w", err)
	}
	return nil
}

func (c objectionsListCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := witnessSearch(ctx, p); err != nil {
		return err
	}
	all, err := p.objections(nil, nil).List(ctx, "", 0)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, all)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HASH\tSINCE\tSOURCE\tPROOF")
	for _, x := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", x.Hash, x.At.Local().Format(time.DateTime), x.Source, x.Proof)
	}
	return t.Flush()
}

type objectionsCheckCmd struct {
	objectors
	JSON bool `name:"json" help:"Print JSON."`
}

func (objectionsCheckCmd) Help() string {
	return "Exits 0 when all of them are on the list, and 3 when one is not. That somebody asked is in the audit log, and not about whom."
}

// A checkedObjector is what the list has of somebody.
type checkedObjector struct {
	Address string              `json:"address"`
	Entry   *api.ObjectionEntry `json:"entry"` // null: not on the list
}

func (x checkedObjector) String() string {
	if x.Entry == nil {
		return x.Address + ": not on the list"
	}
	text := fmt.Sprintf("%s: on the list since %s (%s)", x.Address, x.Entry.At.Local().Format(time.DateTime), x.Entry.Source)
	if x.Entry.Proof != "" {
		text += ", " + x.Entry.Proof
	}
	return text
}

func (c objectionsCheckCmd) Run(ctx context.Context, s streams) error {
	list, country, err := c.read()
	if err != nil {
		return err
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := witnessSearch(ctx, p); err != nil {
		return err
	}
	o, strangers := p.objections(func() string { return country }, nil), 0
	all := make([]checkedObjector, len(list))
	for i, x := range list {
		entry, err := o.of(ctx, x.address)
		if err != nil {
			return fmt.Errorf("%s: %w", x.where, err)
		}
		if entry == nil {
			strangers++
		}
		all[i] = checkedObjector{x.address, entry}
	}
	if c.JSON {
		err = printJSON(s.out, all)
	} else {
		for _, x := range all {
			_, printed := fmt.Fprintln(s.out, x)
			err = errors.Join(err, printed)
		}
	}
	if strangers > 0 && err == nil {
		return exitError{exitNotFound, errQuiet}
	}
	return err
}
