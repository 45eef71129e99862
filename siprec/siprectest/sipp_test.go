package siprectest_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// sippScenario is the scenario with which SIPp, which nobody here wrote, plays a recording client.
const sippScenario = "../../testdata/sipp/src-basic.xml"

// TestSIPpScenario runs the scenario against a server: both streams must arrive, each with its own sound.
func TestSIPpScenario(t *testing.T) {
	sipp, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatalf("install SIPp (Debian package sip-tester): %v", err)
	}
	scenario, err := filepath.Abs(sippScenario)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	left, right := make([]int16, 6*rate), make([]int16, 6*rate)
	siprectest.Bursts(440, time.Second, 100*time.Millisecond).Read(left, 0)
	siprectest.Bursts(880, time.Second, 100*time.Millisecond).Read(right, 0)
	var pcap bytes.Buffer
	if err := siprectest.WritePCAP(&pcap, right, siprectest.PCAP{}); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"left.ulaw": siprectest.EncodePCMU(nil, left), "right.pcap": pcap.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u := newUAS(t, "udp")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, sipp, u.addr, "-sf", scenario, "-m", "1", "-i", "127.0.0.1", "-nostdin", "-timeout", "25s", "-trace_err")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=dumb")
	out, err := cmd.CombinedOutput()
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(dir, "*_errors.log"))
		for _, l := range logs {
			b, _ := os.ReadFile(l)
			out = append(out, b...)
		}
		t.Fatalf("sipp: %v\n%s", err, out)
	}
	u.wait("INVITE")
	again := u.wait("INVITE")
	if !strings.Contains(again.h.Get("From"), "m=video") {
		t.Errorf("From of the re-INVITE: %s", again.h.Get("From"))
	}
	u.wait("BYE")
	u.mu.Lock()
	receivers := u.receivers
	u.mu.Unlock()
	if len(receivers) != 2 {
		t.Fatalf("%d streams were offered", len(receivers))
	}
	for i, want := range []float64{440, 880} {
		var pcm []int16
		came := receivers[i].atLeast(295)
		for k, p := range came {
			if k > 0 && p.SequenceNumber != came[k-1].SequenceNumber+1 {
				t.Errorf("stream %d: packet %d is not in sequence", i+1, k)
			}
			for _, b := range p.Payload {
				pcm = append(pcm, int16(decodeMuLaw(b)))
			}
		}
		found := siprectest.Detect(pcm, rate, 440, 880)
		if len(found) != 6 {
			t.Errorf("stream %d: %d bursts", i+1, len(found))
		}
		for _, o := range found {
			if o.Frequency != want {
				t.Errorf("stream %d has a burst of %g Hz at %v", i+1, o.Frequency, o.At)
			}
		}
		t.Logf("stream %d: %d packets from port %d", i+1, len(came), came[0].from.Port)
	}
	first := func(r *receiver) time.Time { return r.atLeast(1)[0].at }
	if apart := first(receivers[0]).Sub(first(receivers[1])).Abs(); apart > 200*time.Millisecond {
		t.Errorf("the streams start %v apart", apart)
	} else {
		t.Logf("the streams start %v apart", apart)
	}
}
