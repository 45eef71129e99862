//go:build bench && linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	benchRate   = 100.0            // sessions opened per second with the server
	floorRate   = 400.0            // and with a floor, which does nothing for them
	benchSettle = 2 * time.Second  // after the last session was opened
	benchWindow = 15 * time.Second // in which the server and the bare drain are measured
	naiveWindow = 5 * time.Second  // in which the other floors are
	benchMargin = time.Second      // before the first session ends

	// What arrives while others are recorded.
	arrivalBusy  = 500
	arrivalRate  = 50.0
	arrivalCalls = 600
	arrivalCall  = 2 * time.Second

	// profileSessions is the step that BENCH_PROFILE takes a profile of.
	profileSessions = 400
	// filesPerSession: two sockets of the sender; four of the server, and its spool file.
	filesPerSession = 5
)

// rampOf is how long it takes to open the sessions.
func rampOf(sessions int, rate float64) time.Duration {
	return time.Duration(float64(sessions) / rate * float64(time.Second))
}

// A measured is one process under one load.
type measured struct {
	PacketsPerSecond float64 `json:"packets_per_second"`
	CPU              float64 `json:"cpu_us_per_packet"`
	IdleRSS          int     `json:"idle_rss_kib"`
	RSS              int     `json:"rss_kib"`
	RSSPerSession    float64 `json:"rss_kib_per_session"`
	Sent             int64   `json:"packets_sent"`
	Missing          int64   `json:"packets_missing"` // sent, and not accepted
	KernelDropped    int64   `json:"kernel_dropped"`
	SetupP50         float64 `json:"setup_p50_ms"`
	SetupP99         float64 `json:"setup_p99_ms"`
	Lateness         float64 `json:"send_lateness_ms"` // of the sender, mean
	Failed           int     `json:"sessions_failed"`
}

// A benchStep is the server and the floors at one number of sessions.
type benchStep struct {
	Sessions   int      `json:"sessions"`
	Server     measured `json:"server"`
	Drain      measured `json:"bare_drain"`
	Knowing    measured `json:"knowing_drain"`
	Goroutines measured `json:"goroutine_per_socket"`
	Ratio      float64  `json:"server_to_bare_drain"`
}

// An arrival is the INVITEs that come while the server records.
type arrival struct {
	Recorded int     `json:"recorded"`
	Rate     float64 `json:"new_per_second"`
	Calls    int     `json:"calls"`
	Failed   int     `json:"sessions_failed"`
	P50      float64 `json:"setup_p50_ms"`
	P99      float64 `json:"setup_p99_ms"`
	Max      float64 `json:"setup_max_ms"`
	Missing  int64   `json:"packets_missing"`
}

// results are everything, as BENCH_JSON has it.
type results struct {
	At      time.Time   `json:"at"`
	CPUs    int         `json:"cpus"`
	Go      string      `json:"go"`
	Steps   []benchStep `json:"steps"`
	Arrival *arrival    `json:"arrival,omitempty"`
	Finish  *finishing  `json:"finish,omitempty"`
}

// TestBench measures the built program as a process of its own, beside three floors; see docs/performance.md. It reads
//
//	BENCH_SESSIONS  the steps, as 100,200,400,1000
//	BENCH_JSON      a file for the figures
//	BENCH_PROFILE   a file for a CPU profile of the server at 400 sessions, taken in a step of its own
func TestBench(t *testing.T) {
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("%v: run make bench, which builds it", err)
	}
	r := results{At: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Go: runtime.Version()}
	for _, n := range stepsWanted(t) {
		s := benchStep{Sessions: n}
		run := func(name, as string, rate float64, window time.Duration, m *measured) bool {
			return t.Run(fmt.Sprintf("%d/%s", n, name), func(t *testing.T) { *m = measure(t, as, n, rate, window) })
		}
		if !run("server", "", benchRate, benchWindow, &s.Server) || !run("drain", asDrain, floorRate, benchWindow, &s.Drain) ||
			!run("knowing", asKnowing, floorRate, naiveWindow, &s.Knowing) ||
			!run("goroutines", asGoroutines, floorRate, naiveWindow, &s.Goroutines) {
			return
		}
		if s.Drain.CPU > 0 { // not with a -run that leaves it out
			s.Ratio = s.Server.CPU / s.Drain.CPU
		}
		r.Steps = append(r.Steps, s)
		t.Logf("%d sessions: server %.2f, bare drain %.2f, knowing drain %.2f, goroutines %.2f µs/packet", n, s.Server.CPU, s.Drain.CPU, s.Knowing.CPU, s.Goroutines.CPU)
	}
	if os.Getenv("BENCH_SESSIONS") == "" {
		t.Run("arrival", func(t *testing.T) { r.Arrival = arrive(t) })
		t.Run("finish", func(t *testing.T) { f := finish(t); r.Finish = &f })
	}
	if file := os.Getenv("BENCH_PROFILE"); file != "" {
		t.Run("profile", func(t *testing.T) { profiled(t, file, profileSessions) })
	}
	fmt.Print(r.table())
	if file := os.Getenv("BENCH_JSON"); file != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// stepsWanted are the numbers of sessions, as far as this machine lets a process open files.
func stepsWanted(t *testing.T) []int {
	t.Helper()
	// Go raises the soft limit to the hard one, here and in the processes that we start.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var steps []int
	for field := range strings.SplitSeq(cmp.Or(os.Getenv("BENCH_SESSIONS"), "100,200,400,1000"), ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > 2000 {
			t.Fatalf("BENCH_SESSIONS: %q is not a number of sessions from 1 to 2000", field)
		}
		if need := uint64(n*filesPerSession + 200); need > limit.Max {
			fmt.Printf("left out: %d sessions need %d open files, and this machine allows a process %d; raise the limit (ulimit -Hn)\n", n, need, limit.Max)
			continue
		}
		steps = append(steps, n)
	}
	return steps
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// measure loads one process with sessions, and takes its CPU time over the window in which all of them send.
func measure(t *testing.T, as string, sessions int, rate float64, window time.Duration) measured {
	p := launch(t, as)
	s := newSender(t, p.sip)
	// One call before, so that what is loaded at first use is no session's.
	if r := <-s.load(t.Context(), 1, 0, 500*time.Millisecond); r.Completed != 1 {
		t.Fatalf("first call: %v %v", r.Statuses, r.Errors)
	}
	pause(time.Second)
	m := measured{IdleRSS: p.resident(t) >> 10}

	ramp := rampOf(sessions, rate)
	report := s.load(t.Context(), sessions, rate, ramp+benchSettle+window+benchMargin)
	pause(ramp + benchSettle)
	used, frames, begin := p.cpuTime(t), s.voice.frames.Load(), time.Now()
	pause(window)
	used, frames = p.cpuTime(t)-used, s.voice.frames.Load()-frames
	m.PacketsPerSecond = float64(frames) / time.Since(begin).Seconds()
	m.CPU = float64(used.Microseconds()) / float64(frames)
	m.RSS = p.resident(t) >> 10
	m.RSSPerSession = float64(m.RSS-m.IdleRSS) / float64(sessions)

	end := <-report
	m.Failed, m.Sent = end.Failed, s.voice.frames.Load()
	m.SetupP50, m.SetupP99, m.Lateness = milliseconds(end.SetupP50), milliseconds(end.SetupP99), milliseconds(end.SendErrorMean)
	if end.Failed > 0 {
		t.Errorf("%d of %d sessions failed: %v %v", end.Failed, sessions, end.Statuses, end.Errors)
	}
	m.Missing, m.KernelDropped = account(t, p, m.Sent)
	return m
}

// accountPatience is how long the server may take to count what the last calls brought.
const accountPatience = 5 * time.Second

// account compares what was sent with what the process says it received.
func account(t *testing.T, p *process, sent int64) (missing, dropped int64) {
	t.Helper()
	deadline := time.Now().Add(accountPatience)
	for {
		counts := packetCounts(t, p.url)
		missing, dropped = sent-int64(counts["accepted"]), int64(counts["kernel_dropped"])
		if missing == 0 || time.Now().After(deadline) {
			return missing, dropped
		}
		pause(100 * time.Millisecond)
	}
}

// arrive measures how long INVITEs wait for their answer while many calls are recorded, and others end and are finished.
func arrive(t *testing.T) *arrival {
	p := launch(t, "")
	busy, newcomers := newSender(t, p.sip), newSender(t, p.sip)
	ramp, burst := rampOf(arrivalBusy, benchRate), time.Duration(arrivalCalls/arrivalRate*float64(time.Second))
	report := busy.load(t.Context(), arrivalBusy, benchRate, ramp+benchSettle+burst+arrivalCall+benchMargin)
	pause(ramp + benchSettle)
	r := <-newcomers.load(t.Context(), arrivalCalls, arrivalRate, arrivalCall)
	others := <-report
	a := &arrival{Recorded: arrivalBusy, Rate: arrivalRate, Calls: arrivalCalls, Failed: r.Failed + others.Failed,
		P50: milliseconds(r.SetupP50), P99: milliseconds(r.SetupP99), Max: milliseconds(r.SetupMax)}
	if a.Failed > 0 {
		t.Errorf("sessions failed: %v %v, %v %v", r.Statuses, r.Errors, others.Statuses, others.Errors)
	}
	a.Missing, _ = account(t, p, busy.voice.frames.Load()+newcomers.voice.frames.Load())
	return a
}

// table is what a reader wants.
func (r results) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, %d processors, %s\n", r.At.Format(time.RFC3339), r.CPUs, r.Go)
	fmt.Fprintf(&b, "CPU is user and system time of the whole process, per RTP packet\n\n")
	fmt.Fprintf(&b, "| sessions | packets/s | server µs | bare drain µs | knowing drain µs | goroutine per socket µs | server/bare | RSS KiB/session | missing | kernel drops | INVITE→200 p50 | p99 | sent late by |\n")
	fmt.Fprintf(&b, "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Steps {
		m := s.Server
		fmt.Fprintf(&b, "| %d | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | %.1f | %d of %d | %d | %.1f ms | %.1f ms | %.2f ms |\n", s.Sessions, m.PacketsPerSecond,
			m.CPU, s.Drain.CPU, s.Knowing.CPU, s.Goroutines.CPU, s.Ratio, m.RSSPerSession, m.Missing, m.Sent, m.KernelDropped, m.SetupP50, m.SetupP99, m.Lateness)
	}
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "\n%d sessions: idle server %d KiB, loaded %d KiB; bare drain missed %d of %d, goroutines %d of %d; they were offered %.0f and %.0f packets/s",
			s.Sessions, s.Server.IdleRSS, s.Server.RSS, s.Drain.Missing, s.Drain.Sent, s.Goroutines.Missing, s.Goroutines.Sent,
			s.Drain.PacketsPerSecond, s.Goroutines.PacketsPerSecond)
		if s.Server.PacketsPerSecond < 0.98*100*float64(s.Sessions) {
			fmt.Fprintf(&b, "; the sender could not keep up")
		}
	}
	if a := r.Arrival; a != nil {
		fmt.Fprintf(&b, "\n%.0f new sessions a second while %d are recorded: INVITE→200 p50 %.1f ms, p99 %.1f ms, worst %.1f ms; %d failed, %d packets missing",
			a.Rate, a.Recorded, a.P50, a.P99, a.Max, a.Failed, a.Missing)
	}
	if f := r.Finish; f != nil {
		fmt.Fprintf(&b, "\nfinishing a call of %s: %.2f s of CPU, %.2f s in all", f.Length, f.CPU, f.Elapsed)
	}
	return b.String() + "\n"
}
