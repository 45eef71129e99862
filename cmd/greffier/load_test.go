package main

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestTwoHundredCalls opens 200 calls of 10 s at once: none is lost, none fails, every file is judged as one call's would
// be, and the kernel drops nothing.
func TestTwoHundredCalls(t *testing.T) {
	const calls, length = 200, 10 * time.Second
	dir := t.TempDir()
	p := spawn(t, "serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0,tcp://127.0.0.1:0",
		"--http-listen", "127.0.0.1:0", "--media-ports", "0-0", "--log-level", "warn")
	before := udpDrops(t)
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: p.sip})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	report := src.Load(t.Context(), siprectest.LoadSpec{Calls: calls, Duration: length, Call: func(int) siprectest.CallSpec { return bursts() }})
	t.Logf("INVITE to 200: p50 %s, p99 %s, worst %s; %d packets; sent late by %s on average, %s at worst",
		report.SetupP50, report.SetupP99, report.SetupMax, report.Packets, report.SendErrorMean, report.SendError)
	if report.Completed != calls {
		t.Fatalf("%d of %d calls completed; statuses %v, errors %v", report.Completed, calls, report.Statuses, report.Errors)
	}
	if drops := udpDrops(t) - before; drops != 0 {
		t.Errorf("the kernel dropped %d datagrams", drops)
	}
	byCall := map[string]listedRecording{}
	eventually(t, "200 recordings locked", time.Minute, func() bool {
		for _, r := range list(t, dir, "--state", "locked") {
			byCall[r.CallIDs[0]] = r
		}
		return len(byCall) == calls
	})
	var worst, worstLength time.Duration
	for _, res := range report.Results {
		r, ok := byCall[res.CallID]
		if !ok {
			t.Errorf("call %d was not recorded", res.Index)
			continue
		}
		got := judge(t, dir, r, res.Truth, siprectest.DefaultLimits)
		worst, worstLength = max(worst, got.Misalignment), max(worstLength, got.LengthError.Abs())
		if r.Gaps.Count != 0 {
			t.Errorf("%s: %d gaps, %d ms", r.ID, r.Gaps.Count, r.Gaps.TotalMS)
		}
	}
	t.Logf("worst misalignment %s, worst length error %s", worst, worstLength)
	verifyGood(t, dir)
}
