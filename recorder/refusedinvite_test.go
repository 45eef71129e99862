package recorder_test

import (
	"errors"
	"testing"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// TestRefusedInviteIsNoLoss: when the second of two calls finds no ports the INVITE is refused. Nobody was told that the first is
// recorded, and verify does not say so.
func TestRefusedInviteIsNoLoss(t *testing.T) {
	b := newBenchOn(t, t.TempDir(), newFake(t), recordAll, false, media.Config{Addr: loopback, PortMin: 17900, PortMax: 17905})
	in := invitation("call")
	in.Offer, in.Metadata = withLabels("1", "2", "3", "4"), document(t, siprec.Complete, "A B 1=A 2=A 3=B 4=B")
	var refusal *siprec.Refusal
	if _, err := b.Begin(t.Context(), in); !errors.As(err, &refusal) || refusal.Cause != "ports" {
		t.Fatalf("begin: %v, want a refusal for want of ports", err)
	}
	b.agree()
}
