package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

type recordingsCmd struct {
	List listCmd `cmd:"" help:"Find recordings by their metadata."`
	Show showCmd `cmd:"" help:"Show everything that is known of one recording."`
	Play playCmd `cmd:"" help:"Write the sound of one recording as it is stored: a WAVE, FLAC or Ogg Opus file."`

	Redact   redactCmd   `cmd:"" help:"Make a span of a recording silent, for ever."`
	Release  releaseCmd  `cmd:"" help:"Let a recording go on that may hold a card's number."`
	Proven   provenCmd   `cmd:"" help:"Destroy the recording of a contract that is proven otherwise."`
	Annotate annotateCmd `cmd:"" help:"Store a note, an evaluation or a transcript of a recording."`
	Analyses analysesCmd `cmd:"" help:"List the documents about a recording, or print one."`

	Hold        holdCmd        `cmd:"" help:"Keep recordings from every end, until they are released."`
	ReleaseHold releaseHoldCmd `cmd:"" help:"End a legal hold, or let one recording go that is under it."`
	Holds       holdsCmd       `cmd:"" help:"List the legal holds, and what they hold."`
	Erase       eraseCmd       `cmd:"" help:"Have a recording erased before its term, by two persons."`
	Restrict    restrictCmd    `cmd:"" help:"Keep a recording, and let nobody use it."`
	Unrestrict  unrestrictCmd  `cmd:"" help:"End a restriction."`
}

// operator names the person at this machine's command line, for the audit log.
func operator() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("uid:%d", os.Getuid())
	}
	return "os:" + u.Username
}

type listCmd struct {
	located
	filters
	State string `placeholder:"STATE" help:"recording, finishing, stored, locked, not_recorded, failed, expired, destroyed, shredded or erased."`
	Limit int    `help:"At most so many, newest first; 0: all." default:"0"`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// filters say which recordings are meant.
type filters struct {
	From   string `placeholder:"TIME" help:"Started at or after this time (RFC 3339, or a date)."`
	To     string `placeholder:"TIME" help:"Started before this time (RFC 3339, or a date)."`
	Party  string `placeholder:"TEXT" help:"Name or address of a participant, or a part of it."`
	Number string `placeholder:"NUMBER" help:"Number of a participant."`
	SRC    string `name:"src" placeholder:"NAME" help:"SRC profile that the call came from."`
	Class  string `placeholder:"NAME" help:"Class."`
	Rule   string `placeholder:"NAME" help:"Rule that decided."`
	CallID string `name:"call-id" placeholder:"ID" help:"An identifier of the call: Call-ID, Session-ID, UCID ..."`
	Tenant string `placeholder:"NAME" help:"Tenant of the SRC profile."`

	Conversation     string `placeholder:"ID" help:"Everything of one conversation (legs, retries, halves on two servers, transfers in one group): a recording's id, or the conversation's."`
	RecordingSession string `placeholder:"ID" help:"Everything that one SIP session recorded."`
	Warning          string `placeholder:"NAME" help:"Recordings with this warning, as no-metadata or label-unclaimed."`

	MOSBelow  float64  `name:"mos-below" placeholder:"MOS" help:"Worst channel rated below this, 1 to 4.5."`
	LossAbove *float64 `name:"loss-above" placeholder:"PERCENT" help:"Worst channel lost more than this share of its packets."`
}

func (f filters) query() (catalog.Query, error) {
	q := catalog.Query{
		Party: f.Party, Number: f.Number, SRC: f.SRC, Class: f.Class, Rule: f.Rule, CallID: f.CallID,
		MOSBelow: f.MOSBelow, Tenant: f.Tenant, Conversation: f.Conversation, RecordingSession: f.RecordingSession, Warning: f.Warning,
	}
	if f.LossAbove != nil {
		if !(*f.LossAbove >= 0 && *f.LossAbove <= 100) {
			return q, fmt.Errorf("--loss-above: %v is no percentage", *f.LossAbove)
		}
		q.ByLoss, q.LossAbove = true, *f.LossAbove/100
	}
	var err error
	if q.From, err = readTime(f.From); err != nil {
		return q, fmt.Errorf("--from: %w", err)
	}
	if q.To, err = readTime(f.To); err != nil {
		return q, fmt.Errorf("--to: %w", err)
	}
	return q, nil
}

func (l listCmd) query() (catalog.Query, error) {
	q, err := l.filters.query()
	if q.State, q.Limit = catalog.State(l.State), l.Limit; err == nil && l.State != "" && !slices.Contains(catalog.States(), q.State) {
		err = fmt.Errorf("--state: %q is none of %v", l.State, catalog.States())
	}
	return q, err
}

func readTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		return t, fmt.Errorf("%q is no time; write 2026-11-23 or 2026-11-23T14:00:00Z", s)
	}
	return t, nil
}

func (l listCmd) Run(ctx context.Context, s streams) error {
	q, err := l.query()
	if err != nil {
		return err
	}
	p, err := l.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = p.archive.Audit.Append(ctx, audit.Event{Time: time.Now(), Type: recorder.EventSearched, Actor: operator(), Data: map[string]any{"by": "cli"}})
	if err != nil {
		return fmt.Errorf("witness search: %w", err)
	}
	rows, err := p.archive.Find(ctx, q)
	if err != nil {
		return err
	}
	if l.JSON {
		if rows == nil {
			rows = []catalog.Recording{}
		}
		return printJSON(s.out, rows)
	}
	return printRecordings(s.out, rows)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printRecordings writes a table that a person reads.
func printRecordings(w io.Writer, rows []catalog.Recording) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSTARTED\tLENGTH\tSTATE\tCLASS\tRULE\tREASON\tPARTIES\tLOCKED UNTIL\tCONVERSATION")
	shared := sharedConversations(rows)
	for _, r := range byConversation(rows) {
		length, locked := "", ""
		if r.State != catalog.StateNotRecorded {
			length = r.Duration.Round(100 * time.Millisecond).String()
		}
		if !r.LockedUntil.IsZero() {
			locked = r.LockedUntil.Local().Format(time.DateTime) + " " + r.LockMode
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.StartedAt.Local().Format(time.DateTime), length, r.State, r.Class, r.Rule, r.Reason, parties(r), locked, shared[r.Conversation])
	}
	return t.Flush()
}

// byConversation puts what belongs to one conversation behind the first of it. The order is otherwise that of the rows.
func byConversation(rows []catalog.Recording) []catalog.Recording {
	members := map[string][]catalog.Recording{}
	for _, r := range rows {
		members[r.Conversation] = append(members[r.Conversation], r)
	}
	out := make([]catalog.Recording, 0, len(rows))
	for _, r := range rows {
		if r.Conversation == "" {
			out = append(out, r)
			continue
		}
		out = append(out, members[r.Conversation]...)
		delete(members, r.Conversation)
	}
	return out
}

// conversationDigits is how much of a conversation's hash tells it from the others of a list.
const conversationDigits = 8

// sharedConversations gives a short name to every conversation that several of the rows are of.
func sharedConversations(rows []catalog.Recording) map[string]string {
	count, names := map[string]int{}, map[string]string{}
	for _, r := range rows {
		count[r.Conversation]++
		if short := strings.TrimPrefix(r.Conversation, catalog.HashPrefix); short != "" && count[r.Conversation] > 1 {
			names[r.Conversation] = short[:min(len(short), conversationDigits)]
		}
	}
	return names
}

func parties(r catalog.Recording) string {
	var out []string
	for _, p := range r.Participants {
		switch {
		case strings.HasPrefix(p.AOR, catalog.HashPrefix), strings.HasPrefix(p.Number, catalog.HashPrefix):
			out = append(out, "(not kept)")
		case p.Name != "":
			out = append(out, p.Name)
		case p.Number != "":
			out = append(out, p.Number)
		default:
			out = append(out, p.AOR)
		}
	}
	return strings.Join(out, ", ")
}

type showCmd struct {
	located
	ID string `arg:"" help:"The recording."`
}

func (c showCmd) Run(ctx context.Context, s streams) error {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	row, side, err := p.archive.Show(ctx, c.ID, operator())
	if err != nil {
		return notFound(c.ID, err)
	}
	if side != nil {
		side.Waveform = nil // thousands of figures, for players: GET /api/v1/recordings/{id}/waveform
	}
	conversation, session, err := p.archive.Related(ctx, row)
	if err != nil {
		return err
	}
	return printJSON(s.out, map[string]any{
		"catalog": row, "sidecar": side, "conversation": relatives(conversation), "recording_session": relatives(session),
	})
}

// A relative is another recording that belongs with the one that is shown.
type relative struct {
	ID         string          `json:"id"`
	State      catalog.State   `json:"state"`
	SRC        string          `json:"src"`
	StartedAt  time.Time       `json:"started_at"`
	EndedAt    time.Time       `json:"ended_at,omitzero"`
	DurationMS int64           `json:"duration_ms"`
	EndCause   siprec.EndCause `json:"end_cause,omitempty"`
}

func relatives(rows []catalog.Recording) []relative {
	out := []relative{}
	for _, r := range rows {
		out = append(out, relative{
			ID: r.ID, State: r.State, SRC: r.SRC, StartedAt: r.StartedAt, EndedAt: r.EndedAt, DurationMS: r.Duration.Milliseconds(), EndCause: r.EndCause,
		})
	}
	return out
}

type playCmd struct {
	located
	ID      string        `arg:"" help:"The recording."`
	Output  string        `short:"o" placeholder:"FILE" help:"Where to write, as call.wav; without an extension, the format's is added. - is standard output." default:"-"`
	Why     string        `placeholder:"TEXT" help:"The reason, for the audit log."`
	Despite string        `name:"despite-restriction" placeholder:"REASON" help:"Play although its use is restricted, for this reason, which is witnessed."`
	Wait    time.Duration `help:"How long to wait for a recording that is being finished." default:"30s"`
}

// playPoll is how often a recording is looked at that is not finished.
const playPoll = 100 * time.Millisecond

func (c playCmd) Run(ctx context.Context, s streams) (err error) {
	p, err := c.open(ctx, witnesses)
	if err != nil {
		return err
	}
	defer p.Close()
	sound, err := c.wait(ctx, p)
	if err != nil {
		return notFound(c.ID, err)
	}
	defer sound.Close()
	if c.Output == "-" {
		_, err := io.Copy(s.out, sound)
		return err
	}
	output, err := outputName(c.Output, sound.Format)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(output, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write sound: %w", err)
	}
	n, err := int64(0), f.Chmod(0o600) // also of a file that was there
	if err == nil {
		n, err = io.Copy(f, sound)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write sound: %w", err)
	}
	fmt.Fprintf(s.err, "%s: %d bytes\n", output, n)
	return nil
}

// extensions name the format of a file, in lower case.
var extensions = map[string]policy.Format{".wav": policy.WAV, ".flac": policy.FLAC, ".opus": policy.Opus, ".ogg": policy.Opus}

// outputName gives a file's name the extension of what is written to it, and refuses one that says something else: a player, or a
// court, would be told the wrong thing.
func outputName(name string, f policy.Format) (string, error) {
	ext := strings.ToLower(filepath.Ext(name))
	switch said, known := extensions[ext]; {
	case ext == "":
		return name + "." + string(f), nil
	case known && said != f:
		return "", fmt.Errorf("the recording is stored as %s, and %s says %s: write to %s; ffmpeg converts it", f, name, said, strings.TrimSuffix(name, filepath.Ext(name))+"."+string(f))
	}
	return name, nil
}

// wait opens the recording, and waits a while for one whose call has just ended.
func (c playCmd) wait(ctx context.Context, p *parts) (*recorder.Playback, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	tick := time.NewTicker(playPoll)
	defer tick.Stop()
	for {
		sound, err := p.archive.PlayDespite(context.WithoutCancel(ctx), c.ID, operator(), c.Why, "", c.Despite)
		if !errors.Is(err, recorder.ErrNotFinished) {
			return sound, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

func notFound(id string, err error) error {
	if errors.Is(err, catalog.ErrNotFound) {
		return exitError{exitNotFound, fmt.Errorf("no recording %s; `greffier recordings list` shows what there is", id)}
	}
	return err
}
