package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// TestEndToEndSIPp records a call forked by a program that nobody here wrote: SIPp, with RTP played from a capture file.
func TestEndToEndSIPp(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, recordAll)
	work := t.TempDir()
	left, right := make([]int16, 6*8000), make([]int16, 6*8000)
	siprectest.Bursts(440, time.Second, 100*time.Millisecond).Read(left, 0)
	siprectest.Bursts(880, time.Second, 100*time.Millisecond).Read(right, 0)
	var capture bytes.Buffer
	if err := siprectest.WritePCAP(&capture, right, siprectest.PCAP{}); err != nil {
		t.Fatal(err)
	}
	// SIPp plays one capture a call; the other stream it reads as raw mu-law.
	for name, content := range map[string][]byte{"left.ulaw": siprectest.EncodePCMU(nil, left), "right.pcap": capture.Bytes()} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runSIPp(t, s, work)
	rows := settle(t, dir, 1, 20*time.Second)
	channels, rate := play(t, dir, rows[0].ID)
	want := []float64{440, 880}
	var first []time.Duration
	for i, ch := range channels {
		var at []time.Duration
		for _, o := range siprectest.Detect(ch, rate, 440, 880) {
			if o.Frequency != want[i] {
				t.Errorf("channel %d has a burst of %.0f Hz at %s", i, o.Frequency, o.At)
			}
			at = append(at, o.At)
		}
		if len(at) != 6 {
			t.Errorf("channel %d has %d bursts, want 6", i, len(at))
			continue
		}
		first = append(first, at[0])
		for k := 1; k < len(at); k++ {
			if d := (at[k] - at[k-1] - time.Second).Abs(); d > 20*time.Millisecond {
				t.Errorf("channel %d: bursts %d and %d are a second and %s apart", i, k-1, k, d)
			}
		}
	}
	t.Logf("first bursts at %v", first)
	verifyGood(t, dir)
}

func runSIPp(t *testing.T, s *running, work string) {
	t.Helper()
	scenario, err := filepath.Abs("../../testdata/sipp/src-basic.xml")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sipp", s.address("udp"), "-sf", scenario, "-m", "1", "-i", "127.0.0.1", "-timeout", "30s", "-trace_err", "-nostdin")
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "TERM=dumb")
	if out, err := cmd.CombinedOutput(); err != nil {
		errs, _ := filepath.Glob(filepath.Join(work, "*_errors.log"))
		for _, e := range errs {
			out = append(out, readFile(t, e)...)
		}
		t.Fatalf("sipp: %v\n%s", err, lastLines(string(out), 60))
	}
}

func lastLines(s string, n int) string {
	lines := strings.Split(s, "\n")
	return fmt.Sprint(strings.Join(lines[max(0, len(lines)-n):], "\n"))
}
