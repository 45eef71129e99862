package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/recorder"
)

// What becomes of a recording after the call: all of these are witnessed with who asked, and why.

type redactCmd struct {
	located
	ID   string        `arg:"" help:"The recording."`
	From time.Duration `required:"" placeholder:"TIME" help:"Where the silence begins, from the recording's start: 12.5s, 1m3s."`
	To   time.Duration `required:"" placeholder:"TIME" help:"Where it ends."`
	Why  string        `required:"" placeholder:"TEXT" help:"The reason, for the audit log. Do not name anybody."`
	JSON bool          `name:"json" help:"Print JSON."`
}

func (redactCmd) Help() string {
	return "Makes a recording in which nothing is heard from --from to --to, on no channel, puts it in the original's place and destroys the original with its documents. Only what is not locked yet can be redacted: a class's quarantine is the time for it."
}

func (c redactCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	id, err := p.archive.Redact(ctx, c.ID, c.From, c.To, operator(), c.Why)
	if id == "" {
		return notFound(c.ID, err)
	}
	text := fmt.Sprintf("%s is in the place of %s, which is destroyed", id, c.ID)
	if err != nil {
		text = fmt.Sprintf("%s is in the place of %s", id, c.ID)
	}
	return errors.Join(tell(s.out, c.JSON, map[string]string{"recording": id, "redacts": c.ID}, text), err)
}

type releaseCmd struct {
	located
	ID   string `arg:"" help:"The recording."`
	Why  string `required:"" placeholder:"TEXT" help:"The reason, for the audit log. Do not name anybody."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (releaseCmd) Help() string {
	return "Lets a recording go on that may hold a card's number (warning payment-suspected), after somebody has listened: it is locked when its quarantine is over, and may be analysed."
}

func (c releaseCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.Release(ctx, c.ID, operator(), c.Why); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "state": "released"}, c.ID+" is released")
}

type provenCmd struct {
	located
	ID   string `arg:"" help:"The recording."`
	Why  string `required:"" placeholder:"TEXT" help:"What the other proof is, for the audit log. Do not name anybody."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (provenCmd) Help() string {
	return "Destroys the recording of a contract that is proven otherwise, as in writing: of a class of kind evidence, within the time that the class gives (proof_within), and before the lock."
}

func (c provenCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.archive.Proven(ctx, c.ID, operator(), c.Why); err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"recording": c.ID, "state": string(catalog.StateDestroyed)}, c.ID+" is destroyed")
}

type annotateCmd struct {
	located
	ID   string                `arg:"" help:"The recording."`
	File string                `arg:"" help:"What is to be said of it: text or JSON, at most 4 MiB. - is standard input."`
	Kind recorder.AnalysisKind `default:"note" help:"note, evaluation or transcript."`
	JSON bool                  `name:"json" help:"Print JSON."`

	in io.Reader // tests; nil is standard input
}

func (annotateCmd) Help() string {
	return "Stores a document about a recording, sealed with a key of its own. It is kept as long as its class says (analysis_retention), which may be longer than the sound."
}

func (c annotateCmd) Run(ctx context.Context, s streams) error {
	content, err := c.read()
	if err != nil {
		return err
	}
	doc, err := recorder.NewAnalysis(c.Kind, content)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	id, err := p.archive.Annotate(ctx, c.ID, doc, operator())
	if err != nil {
		return notFound(c.ID, err)
	}
	return tell(s.out, c.JSON, map[string]string{"document": id, "recording": c.ID}, id)
}

// read reads the file, and not more than can be stored.
func (c annotateCmd) read() ([]byte, error) {
	in := c.in
	if in == nil {
		in = os.Stdin
	}
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		defer f.Close()
		in = f
	}
	content, err := io.ReadAll(io.LimitReader(in, recorder.MaxAnalysis+1))
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	return content, nil
}

type analysesCmd struct {
	located
	ID   string `arg:"" help:"The recording; it may be gone."`
	Open string `placeholder:"DOCUMENT" help:"Print this document, and what became of the sound."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (analysesCmd) Help() string {
	return "Lists the documents about a recording: notes, evaluations, transcripts. They may be there when the sound is not any more."
}

func (c analysesCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	list, err := p.archive.Analyses(ctx, c.ID)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if _, err := p.archive.Catalog.Get(ctx, c.ID); err != nil {
			return notFound(c.ID, err)
		}
	}
	if c.Open != "" {
		return c.show(ctx, p, s, list)
	}
	if c.JSON {
		if list == nil {
			list = []catalog.Analysis{}
		}
		return printJSON(s.out, list)
	}
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DOCUMENT\tKIND\tSTATE\tWRITTEN\tKEPT UNTIL")
	for _, a := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", a.ID, a.Kind, a.State, a.WrittenAt.Local().Format(time.DateTime), a.RetainUntil.Local().Format(time.DateTime))
	}
	return t.Flush()
}

// show prints one document of the list.
func (c analysesCmd) show(ctx context.Context, p *parts, s streams, list []catalog.Analysis) error {
	for _, a := range list {
		if a.ID != c.Open {
			continue
		}
		doc, err := p.archive.Analysis(ctx, a.ID, operator())
		if err != nil {
			return err
		}
		text := doc.Text
		if len(doc.JSON) > 0 {
			text = string(doc.JSON)
		}
		fmt.Fprintf(s.err, "%s by %s, of %s; its recording is %s\n", doc.Kind, doc.WrittenBy, doc.WrittenAt.Local().Format(time.DateTime), doc.Audio)
		return tell(s.out, c.JSON, doc, text)
	}
	return exitError{exitNotFound, fmt.Errorf("recording %s has no document %s; without --open its documents are listed", c.ID, c.Open)}
}

// tell prints what was done, for programs or for people.
func tell(w io.Writer, asJSON bool, v any, text string) error {
	if asJSON {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
