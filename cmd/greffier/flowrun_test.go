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
	flowPatience = 60 * time.Second
)

// startFlows is a server on UDP, TCP and TLS that takes a silent client for dead before long.
func startFlows(t *testing.T, p pki, dir string, more ...string) *running {
	t.Helper()
	p.issue("server", "IP:127.0.0.1")
	config := fmt.Sprintf("sip:\n  tls_cert: %s\n  tls_key: %s\n", p.path("server.pem"), p.path("server.key"))
	if err := os.WriteFile(filepath.Join(dir, configName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, recordAll, append([]string{"--sip-listen=udp://127.0.0.1:0,tcp://127.0.0.1:0,tls://127.0.0.1:0", "--media-silence=3s"}, more...)...)
}

// A flowRun is one flow over one transport.
type flowRun struct {
	flow
	transport string
	err       error
	done      chan struct{}
}

// TestFlows does every flow over every transport, many at once, and looks at what was kept.
func TestFlows(t *testing.T) {
	p, dir, work := newPKI(t), t.TempDir(), t.TempDir()
	s := startFlows(t, p, dir)
	if err := sounds(work, flows); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	var runs []*flowRun
	var wg sync.WaitGroup
	defer wg.Wait()
	free := make(chan struct{}, flowsAtOnce)
	tls := p.client("")
	for _, f := range flows {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			run := &flowRun{flow: f, transport: transport, done: make(chan struct{})}
			runs = append(runs, run)
			server := s.address(transport)
			wg.Go(func() {
				defer close(run.done)
				free <- struct{}{}
				defer func() { <-free }()
				if transport != "tls" {
					run.err = sipp(ctx, work, server, transport, f.scenarioFile(), f.callID(transport))
					return
				}
				src, err := siprectest.Dial(ctx, siprectest.Config{Server: server, Transport: "tls", TLS: tls})
				if err != nil {
					run.err = err
					return
				}
				defer src.Close()
				run.err = f.play(ctx, src, f.callID(transport))
			})
		}
	}
	for _, run := range runs {
		<-run.done
	}
	for _, run := range runs {
		t.Run(run.name+"/"+run.transport, func(t *testing.T) {
			if run.err != nil {
				t.Fatal(run.err)
			}
			run.check(t, dir, run.callID(run.transport))
		})
	}
	verifyGood(t, dir)
}
