package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// glare are the tones of testdata/sipp/flow-glare.xml, in a flow that is never played.
var glare = flow{name: "glare", steps: []step{{tones: tones{400, 500}}, {tones: tones{1400, 1500}}, {tones: tones{600, 700}}}}

// pausedFor is how long the recordings are paused: longer than it takes until the client is asked (2 s, when only silence is
// wanted), a second attempt (RFC 3261 section 14.1: up to 2 s), and the phase in which the client is not to be heard.
const pausedFor = 4*time.Second + 2*phase

// TestGlare: we pause and resume calls by re-INVITEs, which clients refuse with 491 or cross with their own. What was sent
// in the pause is not kept, also while the client has not agreed yet.
func TestGlare(t *testing.T) {
	t.Parallel()
	p, dir, work := newPKI(t), t.TempDir(), t.TempDir()
	s := startFlows(t, p, dir)
	if err := sounds(work, []flow{glare}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	clients := map[string]func() error{
		"udp": func() error {
			return sipp(ctx, work, s.address("udp"), "udp", filepath.Join(sippDir, "flow-glare.xml"), "glare-udp")
		},
		"tcp": func() error {
			return sipp(ctx, work, s.address("tcp"), "tcp", filepath.Join(sippDir, "flow-glare.xml"), "glare-tcp")
		},
		"tls": func() error { return glareTLS(ctx, p, s.address("tls")) },
	}
	errs := map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for transport, client := range clients {
		wg.Go(func() {
			err := client()
			mu.Lock()
			defer mu.Unlock()
			errs[transport] = err
		})
	}
	var rows []listedRecording
	eventually(t, "recordings begun", 10*time.Second, func() bool {
		rows = list(t, dir, "--state", "recording")
		return len(rows) == len(clients)
	})
	for _, next := range []struct {
		after time.Duration
		act   func(id string) error
	}{
		{phase, func(id string) error { return s.recorder.Pause(ctx, id, "other", "test") }},
		{pausedFor, func(id string) error { return s.recorder.Resume(ctx, id, "test") }},
	} {
		if err := pass(ctx, next.after); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if err := next.act(r.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Wait()
	for transport := range clients {
		t.Run(transport, func(t *testing.T) {
			if err := errs[transport]; err != nil {
				t.Fatal(err)
			}
			r := finished(t, dir, "glare-"+transport)
			side := sidecarOf(t, dir, r.ID)
			if len(side.Pauses) != 1 || side.Pauses[0].Reason != "other" || !within(side.Pauses[0].ToMS-side.Pauses[0].FromMS, pausedFor.Milliseconds(), 500) {
				t.Errorf("pauses %+v, want one of %s", side.Pauses, pausedFor)
			}
			channels, rate := play(t, dir, r.ID)
			for i, want := range [][]int{{400, 600}, {500, 700}} {
				kept{}.checkTones(t, i, siprectest.Detect(channels[i], rate, glare.all()...), want)
			}
		})
	}
	verifyGood(t, dir)
}

// glareTLS refuses the first re-INVITE with 491, and takes the others.
func glareTLS(ctx context.Context, p pki, server string) error {
	src, err := siprectest.Dial(ctx, siprectest.Config{Server: server, Transport: "tls", TLS: p.client("")})
	if err != nil {
		return err
	}
	defer src.Close()
	var sources [2]phased
	hear(&sources, tones{400, 500})
	var asked atomic.Int32
	again := make(chan struct{}, 8)
	call, err := src.Invite(ctx, siprectest.CallSpec{
		CallID: "glare-tls",
		Streams: []siprectest.StreamSpec{
			{Source: &sources[0], IgnoreDirection: true, Script: siprectest.Script{DTX: true}},
			{Source: &sources[1], IgnoreDirection: true, Script: siprectest.Script{DTX: true}},
		},
		OnRequest: func(method string) int {
			if method != "INVITE" {
				return 0
			}
			if asked.Add(1) == 1 {
				return 491
			}
			again <- struct{}{}
			return 0
		},
	})
	if err != nil {
		return err
	}
	defer call.Abandon()
	for _, next := range []tones{{1400, 1500}, {600, 700}} {
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
		hear(&sources, next)
		if err := pass(ctx, phase); err != nil {
			return err
		}
		hear(&sources, tones{})
	}
	return call.Bye(ctx, nil)
}
