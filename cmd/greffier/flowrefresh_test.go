package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// refreshAfter is half of the shortest session interval (RFC 4028 section 4): when we refresh.
const refreshAfter = 45 * time.Second

// TestWeRefreshInRealTime: sessions of which we are the refresher are refreshed once half of the interval has passed, by UPDATE or by
// re-INVITE as the client allows, and go on until the client hangs up.
func TestWeRefreshInRealTime(t *testing.T) {
	t.Parallel()
	p, dir, work := newPKI(t), t.TempDir(), t.TempDir()
	s := startFlows(t, p, dir, "--media-silence=15m")
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	type run struct {
		by, transport string
		err           error
	}
	var runs []*run
	var wg sync.WaitGroup
	for _, by := range []string{"update", "invite"} {
		for _, transport := range []string{"udp", "tcp", "tls"} {
			if by == "invite" && transport == "tls" {
				continue // siprectest allows UPDATE
			}
			r := &run{by: by, transport: transport}
			runs = append(runs, r)
			wg.Go(func() {
				callID := "refreshed-" + r.by + "-" + r.transport
				if r.transport == "tls" {
					r.err = refreshedTLS(ctx, p, s.address("tls"), callID)
				} else {
					r.err = sipp(ctx, work, s.address(r.transport), r.transport, filepath.Join(sippDir, "flow-refreshed-"+r.by+".xml"), callID)
				}
			})
		}
	}
	wg.Wait()
	for _, r := range runs {
		t.Run(r.by+"/"+r.transport, func(t *testing.T) {
			if r.err != nil {
				t.Fatal(r.err)
			}
			row := finished(t, dir, "refreshed-"+r.by+"-"+r.transport)
			if row.EndCause != string(siprec.EndBye) || !within(row.DurationMS, refreshAfter.Milliseconds(), 4000) {
				t.Errorf("ended by %s after %d ms, want a BYE after %s", row.EndCause, row.DurationMS, refreshAfter)
			}
		})
	}
}

// refreshedTLS waits for one refresh of ours.
func refreshedTLS(ctx context.Context, p pki, server, callID string) error {
	src, err := siprectest.Dial(ctx, siprectest.Config{Server: server, Transport: "tls", TLS: p.client("")})
	if err != nil {
		return err
	}
	defer src.Close()
	refreshed := make(chan string, 8)
	spec := siprectest.TwoParty(siprectest.Silence(), siprectest.Silence())
	spec.CallID = callID
	spec.Headers = []siprectest.Header{{Name: "Supported", Value: "timer"}, {Name: "Session-Expires", Value: "90;refresher=uas"}}
	spec.OnRequest = func(method string) int {
		refreshed <- method
		return 0
	}
	call, err := src.Invite(ctx, spec)
	if err != nil {
		return err
	}
	defer call.Abandon()
	select {
	case method := <-refreshed:
		if method != "UPDATE" {
			return fmt.Errorf("refreshed by %s, want UPDATE", method)
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	return call.Bye(ctx, nil)
}
