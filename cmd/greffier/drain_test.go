package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestRestartUnderLoad stops the server in the middle of calls: it takes no new one, lets those go on that end before the
// deadline, ends the others, and after the next start every call is recorded, whole, and everything agrees.
func TestRestartUnderLoad(t *testing.T) {
	const calls, short, long = 10, 4 * time.Second, 40 * time.Second // of each kind
	const drain, before = 5 * time.Second, 2 * time.Second
	dir := t.TempDir()
	p := guarded(t, dir, "[{name: sbc, addresses: [127.0.0.1]}]", "--sip-drain", drain.String())
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	load := func(d time.Duration) <-chan siprectest.LoadReport {
		report := make(chan siprectest.LoadReport, 1)
		go func() {
			report <- src.Load(t.Context(), siprectest.LoadSpec{Calls: calls, Duration: d, Call: func(int) siprectest.CallSpec { return bursts() }})
		}()
		return report
	}
	ending, going := load(short), load(long)
	eventually(t, "calls opened", before, func() bool { return metric(t, p.url, "greffier_sessions_recorded") == 2*calls })
	<-time.After(before)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	eventually(t, "new calls refused", drain, func() bool {
		call, err := src.Invite(t.Context(), bursts())
		if err == nil { // the signal was on its way: this one counts for nobody
			call.Bye(t.Context(), nil)
		}
		return siprectest.Status(err) == 503
	})
	// Those that are served still can change.
	ended, cut := <-ending, <-going
	if ended.Completed != calls {
		t.Errorf("%d of %d calls that ended before the deadline completed: %v %v", ended.Completed, calls, ended.Statuses, ended.Errors)
	}
	if cut.Answered != calls || cut.Completed != 0 {
		t.Errorf("of the others %d were answered and %d completed", cut.Answered, cut.Completed)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	t.Logf("stopped within %s", time.Since(stopped).Round(time.Millisecond))

	guarded(t, dir, "[{name: sbc, addresses: [127.0.0.1]}]")
	byCall := map[string]listedRecording{}
	for _, r := range settle(t, dir, 2*calls, 30*time.Second) {
		byCall[r.CallIDs[0]] = r
	}
	for _, res := range ended.Results {
		r := byCall[res.CallID]
		judge(t, dir, r, res.Truth, siprectest.DefaultLimits)
		if r.EndCause != "bye" || r.State != "locked" {
			t.Errorf("%s: %s, ended: %s", r.ID, r.State, r.EndCause)
		}
	}
	for _, res := range cut.Results {
		r := byCall[res.CallID]
		if r.EndCause != "drained" || r.State != "locked" {
			t.Errorf("%s: %s, ended: %s", r.ID, r.State, r.EndCause)
		}
		if lost := res.Truth.Length - time.Duration(r.DurationMS)*time.Millisecond; lost > 500*time.Millisecond {
			t.Errorf("%s: %s of %s are lost", r.ID, lost, res.Truth.Length)
		}
		unspoiled(t, dir, r)
	}
	verifyGood(t, dir)
}
