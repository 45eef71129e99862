package srs_test

import (
	"fmt"
	"runtime"
	"testing"
)

// TestUnacknowledgedReinvites: each re-INVITE without its ACK keeps a goroutine and its 200 for half a minute, and over UDP is
// answered ten times more. A client that sends them without end is told to wait.
func TestUnacknowledgedReinvites(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		rec := newFake(t)
		r := start(t, rec)
		c := r.dial(network).caller()
		c.open(multipartType, both("sendonly"))
		before := runtime.NumGoroutine()
		taken, refused := 0, 0
		for range 200 {
			m := c.final(c.ask("INVITE", "application/sdp", offer("sendonly")))
			switch m.status() {
			case 200:
				taken++
			case 500:
				refused++
				if m.header.Get("Retry-After") == "" {
					t.Fatal("refused without Retry-After")
				}
				c.ackRefusal()
			default:
				t.Fatalf("answered with %q", m.start)
			}
		}
		if taken > 20 || refused == 0 {
			t.Errorf("%d of 200 were taken, and %d goroutines are kept", taken, runtime.NumGoroutine()-before)
		}
		c.send(c.compose("ACK", "", "", fmt.Sprintf("CSeq: %d ACK", 2)))
		c.bye()
	})
}
