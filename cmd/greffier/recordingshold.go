package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/recorder"
)

// Legal holds: what is held outlives its term. Who placed and released them, and why, is witnessed.

type holdCmd struct {
	located
	filters
	IDs    []string `arg:"" optional:"" name:"id" help:"The recordings; one of a call that goes on is held when it is stored."`
	Query  bool     `help:"Hold what the filters find, and whatever is stored later that they find too."`
	Name   string   `placeholder:"NAME" help:"Name of the hold, by which it is released; one that is there takes the recordings in. Default: one is made."`
	Reason string   `required:"" placeholder:"TEXT" help:"A reference, as 'Case 2026/17'. Do not name anybody."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (holdCmd) Help() string {
	return "Holds recordings, with the documents about them: no term, no quota, no erasure and no redaction touches them until the hold is released, and the store holds every version too. With --query and filters, as those of recordings list, it is a standing rule. Filters find what the class lets the catalog keep."
}

// order reads the command line.
func (c holdCmd) order() (recorder.HoldOrder, error) {
	o := recorder.HoldOrder{Name: c.Name, IDs: c.IDs, Reason: c.Reason, Actor: operator()}
	q, err := c.filters.query()
	switch {
	case err != nil:
		return o, err
	case c.Query:
		o.Query = &q
	case q != catalog.Query{}:
		return o, errors.New("filters are those of a rule: add --query, or name the recordings")
	}
	return o, nil
}

func (c holdCmd) Run(ctx context.Context, s streams) error {
	o, err := c.order()
	if err != nil {
		return err
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	h, err := p.archive.Hold(ctx, o)
	if err != nil {
		return notThere(err)
	}
	list, err := p.archive.Catalog.HeldBy(ctx, h.Name)
	if err != nil {
		return err
	}
	if list == nil {
		list = []catalog.Held{}
	}
	return tell(s.out, c.JSON, recorder.HoldStatus{Hold: h, Recordings: list}, fmt.Sprintf("hold %s: %s", h.Name, counted(list)))
}

// notThere is notFound for a command that takes several recordings.
func notThere(err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return exitError{exitNotFound, fmt.Errorf("%w; `greffier recordings list` shows what there is", err)}
	}
	return err
}

// counted says what a hold holds.
func counted(list []catalog.Held) string {
	held, waiting := 0, 0
	for _, h := range list {
		switch h.State {
		case catalog.HoldPlaced:
			held++
		case catalog.HoldPlacing, catalog.HoldLifting:
			waiting++
		}
	}
	text := fmt.Sprintf("%d held", held)
	if waiting > 0 {
		text += fmt.Sprintf(", %d of which the store does not know yet", waiting)
	}
	return text
}

type releaseHoldCmd struct {
	located
	IDs    []string `arg:"" optional:"" name:"id" help:"The recordings that are let go. None: all, and the hold ends."`
	Name   string   `placeholder:"NAME" help:"The hold; needed where no recording is named, or one is under several."`
	Reason string   `required:"" placeholder:"TEXT" help:"Why, for the audit log. Do not name anybody."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

func (releaseHoldCmd) Help() string {
	return "Lets recordings go. What was due meanwhile is done at once: a recording whose term has ended expires, and one that was to be destroyed is. A recording that a rule held is left alone by it from then on."
}

func (c releaseHoldCmd) Run(ctx context.Context, s streams) error {
	if len(c.IDs) == 0 && c.Name == "" {
		return errors.New("name a hold (--name), or recordings; `greffier recordings holds` lists them")
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	ids := c.IDs
	if len(ids) == 0 {
		ids = []string{""}
	}
	released := []string{}
	for _, id := range ids {
		done, err := p.archive.ReleaseHold(ctx, recorder.HoldRelease{Hold: c.Name, ID: id, Reason: c.Reason, Actor: operator()})
		released = append(released, done...)
		if err != nil {
			return err
		}
	}
	slices.Sort(released)
	return tell(s.out, c.JSON, map[string][]string{"released": released}, fmt.Sprintf("%d released", len(released)))
}

type holdsCmd struct {
	located
	All  bool `help:"Also holds that have ended."`
	JSON bool `name:"json" help:"Print JSON: every hold, with each recording."`
}

func (c holdsCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, reads)
	if err != nil {
		return err
	}
	defer p.Close()
	list, err := p.archive.Holds(ctx)
	if err != nil {
		return err
	}
	if !c.All {
		list = slices.DeleteFunc(list, func(h recorder.HoldStatus) bool { return !h.Ended.IsZero() })
	}
	if c.JSON {
		return printJSON(s.out, list)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOLD\tREASON\tBY\tSINCE\tENDED\tKIND\tRECORDINGS")
	for _, h := range list {
		kind, ended := "recordings", ""
		if h.Query != nil {
			kind = "rule"
		}
		if !h.Ended.IsZero() {
			ended = h.Ended.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, h.Reason, h.By, h.At.Local().Format(time.DateTime), ended, kind, counted(h.Recordings))
	}
	return t.Flush()
}
