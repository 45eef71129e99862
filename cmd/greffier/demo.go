package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

//go:embed demo.yaml
var demoPolicy []byte

// demoCmd records three calls on this machine, over real SIP and RTP.
type demoCmd struct {
	Exit    bool   `help:"End when the recordings have been shown, instead of serving them until Ctrl-C."`
	DataDir string `name:"data-dir" placeholder:"DIR" help:"Where to keep the data; absent: a new temporary directory."`
	HTTP    string `name:"http-listen" default:"127.0.0.1:0" placeholder:"ADDR:PORT" help:"Where to serve the page; port 0 takes a free one."`
}

// Times of the demonstration.
const (
	demoLength    = 8 * time.Second
	demoPauseFrom = 3 * time.Second
	demoPauseTo   = 5 * time.Second
	demoPatience  = 30 * time.Second // for the server to start, and for the recordings to be locked
)

func (d demoCmd) Run(ctx context.Context, s streams) (err error) {
	if d.DataDir == "" {
		if d.DataDir, err = os.MkdirTemp("", "greffier-demo-"); err != nil {
			return fmt.Errorf("make data directory: %w", err)
		}
	}
	if entries, err := os.ReadDir(d.DataDir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty: name a new directory", d.DataDir)
	}
	policyFile := filepath.Join(d.DataDir, "policy.yaml")
	if err := errors.Join(os.MkdirAll(d.DataDir, 0o700), os.WriteFile(policyFile, demoPolicy, 0o600)); err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	c, err := loadConfig("", []string{
		"--data-dir=" + d.DataDir, "--policy=" + policyFile, "--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0",
		"--http-listen=" + d.HTTP, "--media-ports=0-0", "--log-level=warn", "--store-type=dir", "--store-dir=",
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	m := &Main{Config: c, Stderr: s.err, Ready: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(run) }() // waited for below
	select {
	case <-m.Ready:
		err = d.show(ctx, m, s.out)
	case err := <-ended:
		return err
	}
	if err == nil && !d.Exit {
		fmt.Fprintln(s.out, "\nThe server goes on until you press Ctrl-C.")
		select {
		case <-ctx.Done():
		case err := <-ended:
			return err
		}
	}
	stop()
	return errors.Join(err, <-ended)
}

// A demoCall is one of the three calls.
type demoCall struct {
	title string
	line  string // user of the internal party
	spec  func(siprectest.CallSpec) siprectest.CallSpec
}

func demoCalls() []demoCall {
	same := func(c siprectest.CallSpec) siprectest.CallSpec { return c }
	return []demoCall{
		{"Mrs Martin orders by telephone", "sales", same},
		{"Mr Petit asks for help", "support", same},
		{"Mrs Durand pays; her card number is paused out", "payments", func(c siprectest.CallSpec) siprectest.CallSpec {
			c.Timeline = siprectest.Hold(demoPauseFrom, demoPauseTo)
			return c
		}},
	}
}

var demoCallers = []siprectest.Participant{
	{AOR: "sip:+33140000011@carrier.example", Name: "Mrs Martin"},
	{AOR: "sip:+33140000012@carrier.example", Name: "Mr Petit"},
	{AOR: "sip:+33140000013@carrier.example", Name: "Mrs Durand"},
}

// show forks the calls and prints what became of them. What it prints it has read back from the server's own records.
func (d demoCmd) show(ctx context.Context, m *Main, out io.Writer) error {
	fmt.Fprintf(out, "\nForking three calls to %s by SIPREC: two parties each, %s long, over SIP and RTP on this machine.\n\n", m.SIPAddrs[0], demoLength)
	if err := d.fork(ctx, m, out); err != nil {
		return err
	}
	rows, err := d.settled(ctx, m)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhat a query finds (greffier recordings list --data-dir %s):\n\n", d.DataDir)
	if err := printRecordings(out, rows); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, r := range rows {
		explain(out, m, r)
	}
	rep, err := m.parts.archive.Verify(ctx, func(int) {})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhat a check of everything finds (greffier verify --data-dir %s):\n\n", d.DataDir)
	if err := printVerify(out, rep); err != nil {
		return err
	}
	if len(rep.Problems) > 0 {
		return errQuiet
	}
	fmt.Fprintf(out, "\nListen at %s/#token=%s\n", m.url(), m.Token)
	return nil
}

// fork plays the three calls at once.
func (d demoCmd) fork(ctx context.Context, m *Main, out io.Writer) error {
	_, server, _ := strings.Cut(m.SIPAddrs[0], "://")
	src, err := siprectest.Dial(ctx, siprectest.Config{Server: server, User: "demo-sbc"})
	if err != nil {
		return err
	}
	calls := demoCalls()
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		spec := siprectest.TwoParty(melody(0, i), melody(1, i))
		caller := demoCallers[i]
		caller.Sends, caller.Receives = []siprec.Label{"1"}, []siprec.Label{"2"}
		spec.Metadata = siprectest.NewMetadata(caller, siprectest.Participant{
			AOR: "sip:" + c.line + "@corp.example", Name: c.line, Sends: []siprec.Label{"2"}, Receives: []siprec.Label{"1"},
		})
		spec = c.spec(spec)
		fmt.Fprintf(out, "  %d. %s\n", i+1, c.title)
		wg.Go(func() { errs[i] = playCall(ctx, src, spec) })
	}
	wg.Wait()
	return errors.Join(append(errs, src.Close())...)
}

func playCall(ctx context.Context, src *siprectest.Client, spec siprectest.CallSpec) error {
	call, err := src.Invite(ctx, spec)
	if err != nil {
		return err
	}
	return errors.Join(call.Play(ctx, demoLength), call.Bye(ctx, nil))
}

// settled waits until every recorded call is locked.
func (d demoCmd) settled(ctx context.Context, m *Main) ([]catalog.Recording, error) {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	tick := time.NewTicker(playPoll)
	defer tick.Stop()
	for {
		rows, err := m.parts.archive.Catalog.List(ctx, catalog.Query{})
		if err != nil {
			return nil, err
		}
		waiting := 0
		for _, r := range rows {
			if r.State != catalog.StateLocked && r.State != catalog.StateNotRecorded {
				waiting++
			}
		}
		if waiting == 0 && len(rows) >= len(demoCalls()) {
			return rows, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d recordings are not locked yet: %w", waiting, ctx.Err())
		case <-tick.C:
		}
	}
}

// explain says in words what was decided about one call, and where its recording is.
func explain(out io.Writer, m *Main, r catalog.Recording) {
	if r.State == catalog.StateNotRecorded {
		fmt.Fprintf(out, "%s: not recorded, rule %q: %s. The SRC was answered inactive; no sound was ever received.\n", r.ID, r.Rule, r.Reason)
		return
	}
	fmt.Fprintf(out, "%s: recorded by rule %q for class %q", r.ID, r.Rule, r.Class)
	if r.Pauses.Count > 0 {
		fmt.Fprintf(out, ", paused %d time(s): what was said meanwhile is nowhere", r.Pauses.Count)
	}
	fmt.Fprintf(out, ".\n  object %s, version %s\n  locked %s until %s\n", r.Audio.Key, r.Audio.Version, r.LockMode, r.LockedUntil.Local().Format(time.RFC1123))
}

// melody is what a party "says": two seconds of notes, then two seconds of listening, in turns with the other party.
func melody(party, tune int) siprectest.Source {
	const rate, turn, note = 8000, 2 * 8000, 8000 / 4
	scale := []float64{262, 294, 330, 392, 440, 523, 587, 659}
	return siprectest.SourceFunc(func(dst []int16, pos int64) int {
		for i := range dst {
			p := pos + int64(i)
			if (p/turn)%2 != int64(party) {
				dst[i] = 0
				continue
			}
			n := p / note
			f := scale[(n*int64(tune+2)+n/4)%int64(len(scale))] * float64(1+party)
			in := float64(p%note) / note
			envelope := math.Min(1, 20*in) * math.Exp(-3*in)
			dst[i] = int16(9000 * envelope * math.Sin(2*math.Pi*f*float64(p)/rate))
		}
		return len(dst)
	})
}
