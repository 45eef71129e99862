package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/api"
)

type callsCmd struct {
	List    callsListCmd    `cmd:"" help:"List the calls that go on now."`
	Pause   callsPauseCmd   `cmd:"" help:"Let the recording of a call hear nothing for a while."`
	Resume  callsResumeCmd  `cmd:"" help:"End a pause."`
	Mark    callsMarkCmd    `cmd:"" help:"Begin or end what is kept of a call whose class begins on a mark."`
	Consent callsConsentCmd `cmd:"" help:"Tell what somebody in a call was told, or says, about being recorded."`
	Private callsPrivateCmd `cmd:"" help:"Take a private call off the record, for everybody in it."`
}

// Help is shown by greffier calls --help.
func (callsCmd) Help() string {
	return "These commands ask a running server. Exits 3 when there is no such call, and 1 when what is asked for does not fit the call."
}

type callsListCmd struct {
	remote
	CallID string `name:"call-id" placeholder:"ID" help:"An identifier of the call: Call-ID, Session-ID, UCID ..."`
	Number string `placeholder:"NUMBER" help:"Number of a party."`
	Party  string `placeholder:"TEXT" help:"Name or address of a party, or a part of it."`
	Class  string `placeholder:"NAME" help:"Class."`
	State  string `placeholder:"STATE" help:"recording, held, paused, waiting or not_recorded."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (c callsListCmd) Run(ctx context.Context, s streams) error {
	server, err := c.connect()
	if err != nil {
		return err
	}
	filters := url.Values{}
	for name, value := range map[string]string{"call_id": c.CallID, "number": c.Number, "party": c.Party, "class": c.Class, "state": c.State} {
		if value != "" {
			filters.Set(name, value)
		}
	}
	var found struct{ Calls []api.Call }
	if err := server.ask(ctx, http.MethodGet, "calls?"+filters.Encode(), nil, &found); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, found.Calls)
	}
	return printCalls(s.out, found.Calls)
}

// printCalls writes a table that a person reads.
func printCalls(w io.Writer, calls []api.Call) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTARTED\tSTATE\tCLASS\tRULE\tREASON\tPARTIES")
	for _, c := range calls {
		state := string(c.State)
		if c.Paused != "" {
			state += " (" + c.Paused + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.StartedAt.Local().Format(time.DateTime), state, c.Class, c.Rule, c.Reason, inCall(c))
	}
	return t.Flush()
}

// inCall names the parties, each with the id that `calls consent --party` takes and with what is known of its will.
func inCall(c api.Call) string {
	var out []string
	for _, p := range c.Parties {
		about := p.ID
		if p.Consent != "" {
			about += ", " + string(p.Consent)
		}
		name := p.Name
		if name == "" {
			name = p.Number
		}
		if name == "" {
			name = p.AOR
		}
		out = append(out, fmt.Sprintf("%s (%s)", name, about))
	}
	return strings.Join(out, ", ")
}

// An onCall command acts on one call.
type onCall struct {
	remote
	ID string `arg:"" help:"The call, as calls list names it."`
}

// do asks the server for a deed, and reads the answer into the value, unless that is nil.
func (c onCall) do(ctx context.Context, deed string, body, into any) error {
	server, err := c.connect()
	if err != nil {
		return err
	}
	return server.ask(ctx, http.MethodPost, "calls/"+url.PathEscape(c.ID)+"/"+deed, body, into)
}

type callsPauseCmd struct {
	onCall
	Reason string `enum:"payment,health,private,other" required:"" help:"Why: payment, health, private or other."`
}

func (callsPauseCmd) Help() string {
	return "What is said during a pause is stored nowhere, on no channel; the file has silence of the same length. A pause that nobody ends is ended by the class of the call, where that says when."
}

func (c callsPauseCmd) Run(ctx context.Context, s streams) error {
	if err := c.do(ctx, "pause", map[string]string{"reason": c.Reason}, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s: paused (%s)\n", c.ID, c.Reason)
	return nil
}

type callsResumeCmd struct{ onCall }

func (c callsResumeCmd) Run(ctx context.Context, s streams) error {
	if err := c.do(ctx, "resume", struct{}{}, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s: the pause is over\n", c.ID)
	return nil
}

type callsMarkCmd struct {
	onCall
	Mark string `arg:"" enum:"start,end" help:"start or end."`
}

func (callsMarkCmd) Help() string {
	return "The recording holds what lies between the marks. Nothing that was said before the first one is kept, and nobody can have it later."
}

func (c callsMarkCmd) Run(ctx context.Context, s streams) error {
	if err := c.do(ctx, "mark", map[string]string{"mark": c.Mark}, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s: mark %s\n", c.ID, c.Mark)
	return nil
}

type callsConsentCmd struct {
	onCall
	Kind   string `arg:"" enum:"informed,consented,objected" help:"informed, consented or objected."`
	Party  string `placeholder:"ID" help:"Whom it is about, as calls list names them; absent: everybody. Nobody consents for everybody."`
	Proof  string `placeholder:"TEXT" help:"What proves it: a message and its version, a request, a document."`
	Source string `enum:"api,operator,agreement" default:"operator" help:"Where it comes from: operator, somebody of yours; agreement, a form that was signed before; api, a system."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// A follows is what follows from what somebody said, as the server tells it.
type follows struct {
	Applicable *bool  `json:"applicable,omitempty"` // of a private call
	Action     string `json:"action"`
	Reason     string `json:"reason"`
	Answer     string `json:"answer,omitempty"`
}

// meanings say in words what is done with the sound of a call.
var meanings = map[string]string{
	"record": "it is recorded", "hold": "it is held in memory, until it is known whether it may be kept",
	"none": "nothing is kept from now on", "destroy": "nothing is kept, and what was kept is destroyed",
}

func (f follows) print(w io.Writer, id string) {
	fmt.Fprintf(w, "%s: %s (%s)\n", id, meanings[f.Action], f.Reason)
	if f.Answer != "" {
		fmt.Fprintln(w, "to be told to whoever objected:", f.Answer)
	}
}

func (c callsConsentCmd) Run(ctx context.Context, s streams) error {
	var f follows
	if err := c.do(ctx, "consent", map[string]string{"party": c.Party, "kind": c.Kind, "proof": c.Proof, "source": c.Source}, &f); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, f)
	}
	f.print(s.out, c.ID)
	return nil
}

type callsPrivateCmd struct {
	onCall
	JSON bool `name:"json" help:"Print JSON."`
}

func (callsPrivateCmd) Help() string {
	return "It is an objection of everybody in the call. Exits 1 when a text obliges to record the call: then the recording goes on, and the answer names the text."
}

func (c callsPrivateCmd) Run(ctx context.Context, s streams) error {
	var f follows
	if err := c.do(ctx, "private", struct{}{}, &f); err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(s.out, f); err != nil {
			return err
		}
	} else {
		f.print(s.out, c.ID)
	}
	if f.Applicable != nil && !*f.Applicable {
		return errQuiet
	}
	return nil
}
