package srs_test

import (
	"fmt"
	"testing"

	"github.com/greffier/greffier/siprec"
)

// TestManyCalls makes many calls at once, each with a hold, a resume and new metadata.
func TestManyCalls(t *testing.T) {
	const calls = 60
	rec := newFake(t)
	r := start(t, rec)
	t.Run("calls", func(t *testing.T) {
		for i := range calls {
			network := []string{"udp", "tcp"}[i%2]
			t.Run(fmt.Sprint(network, i), func(t *testing.T) {
				t.Parallel()
				c := dial(t, r.listener(network), "").caller()
				c.open(multipartType, both("sendonly", "sendonly"))
				for _, direction := range []string{"inactive", "sendonly"} {
					c.expect(c.ask("INVITE", multipartType, both(direction, "sendonly")), 200)
					c.ack("", "")
				}
				c.expect(c.ask("UPDATE", metadataType, metadata("alice", "carol")), 200)
				c.bye()
			})
		}
	})
	for range calls { // a BYE is answered before its End has returned
		if e := <-rec.ends; e.cause != siprec.EndBye {
			t.Errorf("ended %+v", e)
		}
	}
	if b, u, more := len(rec.begins), len(rec.updates), len(rec.ends); b != calls || u != 3*calls || more != 0 {
		t.Errorf("%d begun, %d updated, %d ended twice", b, u, more)
	}
	if n := len(r.refused); n != 0 {
		t.Errorf("%d requests were refused: %+v", n, <-r.refused)
	}
}
