package srs_test

import (
	"testing"

	"github.com/greffier/greffier/siprec/srs"
)

// TestGuessesAreBounded: who tries passwords, by INVITE or by anything else, may try as often as its rate says, over any transport.
func TestGuessesAreBounded(t *testing.T) {
	for _, method := range []string{"INVITE", "OPTIONS"} {
		t.Run(method, func(t *testing.T) {
			each(t, func(t *testing.T, network string) {
				src := secretSource()
				src.MaxRate = 20
				r := start(t, newFake(t), loopbackWith(src), frozen)
				c := r.dial(network).caller()
				k := &knower{password: "guess", algorithm: "MD5"}
				k.hears(t, c.expect(c.ask("OPTIONS", "", ""), 401))
				tried, refused := 0, 0
				for range 1500 {
					switch m := c.final(c.ask(method, "", "", k.field(t, method))); m.status() {
					case 401:
						tried++
					case 503:
						refused++
					default:
						t.Fatalf("answered with %q", m.start)
					}
					if method == "INVITE" && network == "udp" {
						c.ackRefusal()
					}
					c = c.peer.caller()
				}
				if refused == 0 {
					t.Errorf("%d passwords could be tried at once", tried)
				}
			})
		})
	}
}

// TestRateBeforeEverythingElse: INVITEs that are refused for another reason are as many as others.
func TestRateBeforeEverythingElse(t *testing.T) {
	each(t, func(t *testing.T, network string) {
		r := start(t, newFake(t), loopbackWith(srs.Source{MaxRate: 1}), frozen)
		c := r.dial(network).caller()
		last := 0
		for range 10 {
			last = c.final(c.ask("INVITE", "", "", "Require: nothing")).status()
			c.ackRefusal()
			c = c.peer.caller()
		}
		if last != 503 {
			t.Errorf("the tenth in an instant was answered with %d", last)
		}
	})
}
