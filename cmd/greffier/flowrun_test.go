package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// Bounds of the flows' tests.
const (
	flowsAtOnce  = 12
	flowPatience = 75 * time.Second // a dead client is waited for 32 s (64*T1), and then for 4
)

// startFlows is a server on UDP, TCP and TLS that takes a silent client for dead before long.
func startFlows(t *testing.T, p pki, dir string, more ...string) *running {
	t.Helper()
	p.issue("server", "IP:127.0.0.1")
	config := fmt.Sprintf("sip:\n  tls_cert: %s\n  tls_key: %s\n", p.path("server.pem"), p.path("server.key"))
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, recordAll, append([]string{"--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0,tls://127.0.0.1:0", "--media-silence=3s", "--media-missing=5m"}, more...)...)
}

// A flowRun is one flow over one transport.
type flowRun struct {
	flow
	transport string
	err       error
}

// TestFlows does every flow over every transport, many at once, and looks at what was kept. A client with more calls dies meanwhile.
func TestFlows(t *testing.T) {
	t.Parallel()
	p, dir := newPKI(t), t.TempDir()
	s := startFlows(t, p, dir)
	mourning := t.TempDir() // a server of its own: its dead clients are not waited for before those of the flows
	die(t, start(t, mourning, recordAll, "--media-silence=1s").address("udp"))
	for _, run := range runFlows(t, s, p, flows...) {
		t.Run(run.name+"/"+run.transport, func(t *testing.T) {
			if run.err != nil {
				t.Fatal(run.err)
			}
			run.check(t, dir, run.callID(run.transport))
		})
	}
	t.Run("dead", func(t *testing.T) { checkDead(t, mourning) })
	verifyGood(t, mourning)
	verifyGood(t, dir)
}

// runFlows does flows over every transport, and waits for them.
func runFlows(t *testing.T, s *running, p pki, fs ...flow) (runs []*flowRun) {
	t.Helper()
	work := t.TempDir()
	if err := sounds(work, fs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	var wg sync.WaitGroup
	free := make(chan struct{}, flowsAtOnce)
	for _, f := range fs {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			run := &flowRun{flow: f, transport: transport}
			runs = append(runs, run)
			server := s.address(transport)
			wg.Go(func() {
				free <- struct{}{}
				defer func() { <-free }()
				if transport == "tls" {
					run.err = f.playTLS(ctx, p, server)
				} else {
					run.err = sipp(ctx, work, server, transport, f.scenarioFile(), f.callID(transport))
				}
			})
		}
	}
	wg.Wait()
	return runs
}

// playTLS does the flow over TLS.
func (f flow) playTLS(ctx context.Context, p pki, server string) error {
	src, err := siprectest.Dial(ctx, siprectest.Config{Server: server, Transport: "tls", TLS: p.client("")})
	if err != nil {
		return err
	}
	defer src.Close()
	return f.play(ctx, src, f.callID("tls"))
}
