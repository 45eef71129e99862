package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
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
	byCall := map[string]listedRecording{}
	eventually(t, "200 recordings locked", time.Minute, func() bool {
		for _, r := range list(t, dir, "--state", "locked") {
			byCall[r.CallIDs[0]] = r
		}
		return len(byCall) == calls
	})
	counts := packetCounts(t, p.url)
	t.Logf("packets %v", counts)
	for outcome, want := range map[string]float64{"accepted": float64(report.Packets), "kernel_dropped": 0, "lost": 0, "late": 0, "foreign": 0, "malformed": 0} {
		if counts[outcome] != want {
			t.Errorf("%.0f packets %s, want %.0f", counts[outcome], outcome, want)
		}
	}
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

// packetCounts reads greffier_rtp_packets_total by outcome.
func packetCounts(t *testing.T, url string) map[string]float64 {
	t.Helper()
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(line, `greffier_rtp_packets_total{outcome="`)
		if !ok {
			continue
		}
		outcome, value, _ := strings.Cut(rest, `"} `)
		if out[outcome], err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatal("no packet is counted")
	}
	return out
}
