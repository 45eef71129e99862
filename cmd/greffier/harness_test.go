package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog/catalogtest"
	"github.com/greffier/greffier/media/wav"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// childEnv makes the test binary behave as the program itself, so that a test can kill a real process.
const childEnv = "GREFFIER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if as := os.Getenv(childEnv); as != "" {
		if err := keepRegisters(os.Args); err != nil {
			panic(err)
		}
		os.Unsetenv(childEnv)
		child(as)
	}
	code := m.Run()
	if err := postgres.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// postgres is a PostgreSQL server for all tests that do it no harm.
var postgres catalogtest.Shared

// recordAll is the policy that others' scripts use too.
const recordAll = "../../testdata/policies/record-all.yaml"

// A running is a server in this process.
type running struct {
	*Main
	t    *testing.T
	stop func()
}

// start brings a server up on free ports, and takes it down at the test's end.
func start(t *testing.T, dataDir, policy string, more ...string) *running {
	t.Helper()
	return startLogging(t, testWriter{t}, dataDir, policy, more...)
}

// startLogging is start with the log elsewhere.
func startLogging(t *testing.T, log io.Writer, dataDir, policy string, more ...string) *running {
	t.Helper()
	return startConfigured(t, log, "", dataDir, policy, more...)
}

// startWith is start with a configuration file.
func startWith(t *testing.T, config, dataDir, policy string, more ...string) *running {
	t.Helper()
	return startConfigured(t, testWriter{t}, config, dataDir, policy, more...)
}

func startConfigured(t *testing.T, log io.Writer, config, dataDir, policy string, more ...string) *running {
	t.Helper()
	c, err := loadConfig(config, append([]string{
		"--data-dir=" + dataDir, "--policy=" + policy, "--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0", "--http-listen=127.0.0.1:0",
		"--media-ports=0-0", "--log-level=warn", "--sip-drain=1s",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Main: &Main{Config: c, Stderr: log, Ready: make(chan struct{})}, t: t}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	t.Cleanup(r.stop)
	select {
	case <-r.Ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("server: %v", err)
	}
	return r
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// address is where the server listens for the transport.
func (r *running) address(transport string) string {
	r.t.Helper()
	for _, a := range r.SIPAddrs {
		if rest, ok := strings.CutPrefix(a, transport+"://"); ok {
			return rest
		}
	}
	r.t.Fatalf("no %s listener in %v", transport, r.SIPAddrs)
	return ""
}

// src is a client of the server.
func (r *running) src(transport string) *siprectest.Client {
	r.t.Helper()
	c, err := siprectest.Dial(r.t.Context(), siprectest.Config{Server: r.address(transport), Transport: transport})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// cli runs a command on the server's data, as another process would.
func cliRun(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, &out, &errOut)
	if errOut.Len() > 0 {
		t.Logf("greffier %s: %s", strings.Join(args, " "), errOut.String())
	}
	return out.String(), code
}

// A listed is what others read of `recordings list --json`.
type listedRecording struct {
	ID          string    `json:"id"`
	State       string    `json:"state"`
	Class       string    `json:"class"`
	Rule        string    `json:"rule"`
	StartedAt   time.Time `json:"started_at"`
	EndedAt     time.Time `json:"ended_at"`
	DurationMS  int64     `json:"duration_ms"`
	LockedUntil time.Time `json:"locked_until"`
	Reason      string    `json:"reason"`
	EndCause    string    `json:"end_cause"`
	GoneReason  string    `json:"gone_reason"`
	CallIDs     []string  `json:"call_ids"`
	Channels    []struct {
		Index int          `json:"index"`
		Label siprec.Label `json:"label"`
	} `json:"channels"`
	Participants []struct {
		AOR    string `json:"aor"`
		Name   string `json:"name"`
		Number string `json:"number"`
	} `json:"participants"`
	Gaps struct {
		Count   int   `json:"count"`
		TotalMS int64 `json:"total_ms"`
	} `json:"gaps"`
}

// list is what `recordings list --json` prints.
func list(t *testing.T, dataDir string, filters ...string) []listedRecording {
	t.Helper()
	out, code := cliRun(t, append([]string{"recordings", "list", "--data-dir", dataDir, "--json"}, filters...)...)
	if code != exitOK {
		t.Fatalf("recordings list: exit %d: %s", code, out)
	}
	var rows []listedRecording
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// eventually waits for a condition of the running server, which no channel tells of.
func eventually(t *testing.T, what string, patience time.Duration, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// settle waits until n calls are in the catalog and finished.
func settle(t *testing.T, dataDir string, n int, patience time.Duration) []listedRecording {
	t.Helper()
	var rows []listedRecording
	eventually(t, "recordings locked", patience, func() bool {
		rows = list(t, dataDir)
		done := 0
		for _, r := range rows {
			if r.State == "locked" || (r.State == "not_recorded" && !r.EndedAt.IsZero()) {
				done++
			}
		}
		return done >= n
	})
	return rows
}

// play writes a recording to a file with the command, and reads it.
func play(t *testing.T, dataDir, id string) ([][]int16, int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out.wav")
	if out, code := cliRun(t, "recordings", "play", id, "--data-dir", dataDir, "-o", path); code != exitOK {
		t.Fatalf("play %s: exit %d: %s", id, code, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, channels, err := wav.ReadSamples(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return channels, info.SampleRate
}

// labels are those of a recording's channels, in order.
func labels(r listedRecording) []siprec.Label {
	out := make([]siprec.Label, len(r.Channels))
	for _, c := range r.Channels {
		out[c.Index] = c.Label
	}
	return out
}

// judge compares a recording with what was sent.
func judge(t *testing.T, dataDir string, r listedRecording, truth siprectest.Truth, l siprectest.Limits) siprectest.Report {
	t.Helper()
	channels, rate := play(t, dataDir, r.ID)
	report := siprectest.Compare(channels, rate, labels(r), truth)
	if err := report.Check(l); err != nil {
		t.Errorf("%s: %v", r.ID, err)
	}
	return report
}

// verify runs `greffier verify` and expects it to agree.
func verifyGood(t *testing.T, dataDir string) {
	t.Helper()
	if out, code := cliRun(t, "verify", "--data-dir", dataDir); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
}

// bursts is the judge's call: 440 Hz on one side and 880 Hz on the other at the same instants.
func bursts() siprectest.CallSpec {
	return siprectest.TwoParty(
		siprectest.Bursts(440, time.Second, 100*time.Millisecond),
		siprectest.Bursts(880, time.Second, 100*time.Millisecond))
}

// converse opens a call, plays it and hangs up.
func converse(t *testing.T, src *siprectest.Client, spec siprectest.CallSpec, d time.Duration) siprectest.Truth {
	t.Helper()
	call, err := src.Invite(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Play(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return call.Truth()
}

// A process is the program in a process of its own.
type process struct {
	cmd *exec.Cmd
	sip string
	tcp string // when there is such a listener; tls likewise
	tls string
	url string
}

// spawn starts the program and waits for the line that says ready.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	return spawnCommand(t, cmd)
}

// spawnCommand starts a program that says ready as ours does, and kills it at the test's end.
func spawnCommand(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	ready, gone := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(gone)
		scanLines(stderr, func(line string) {
			t.Log(line)
			if strings.HasPrefix(line, "ready ") {
				ready <- line
			}
		})
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-gone
		cmd.Wait()
	})
	select {
	case line := <-ready:
		for _, field := range strings.Fields(line) {
			if v, ok := strings.CutPrefix(field, "sip=udp://"); ok {
				p.sip, _, _ = strings.Cut(v, ",")
			}
			if _, v, ok := strings.Cut(field, "tcp://"); ok {
				p.tcp, _, _ = strings.Cut(v, ",")
			}
			if _, v, ok := strings.Cut(field, "tls://"); ok {
				p.tls, _, _ = strings.Cut(v, ",")
			}
			if v, ok := strings.CutPrefix(field, "http="); ok {
				p.url = v
			}
		}
	case <-gone:
		t.Fatalf("%s ended before it was ready", strings.Join(cmd.Args, " "))
	}
	return p
}

func scanLines(r io.Reader, f func(string)) {
	b := make([]byte, 0, 4096)
	chunk := make([]byte, 1024)
	for {
		n, err := r.Read(chunk)
		b = append(b, chunk[:n]...)
		for {
			line, rest, ok := bytes.Cut(b, []byte("\n"))
			if !ok {
				break
			}
			f(string(line))
			b = rest
		}
		if err != nil {
			return
		}
	}
}

// kill ends the process as a power cut would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("kill: %v", err)
	}
}

// freePort finds a UDP and TCP port that is free now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
