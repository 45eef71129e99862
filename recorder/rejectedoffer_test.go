package recorder_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// TestRejectedOfferChangesNothing: an offer that is rejected, because a second call finds no ports, leaves the first one as it was: the
// SRC goes on to send as it did (RFC 3264 section 8).
func TestRejectedOfferChangesNothing(t *testing.T) {
	b := newBenchOn(t, t.TempDir(), newFake(t), recordAll, false, media.Config{Addr: loopback, PortMin: 17910, PortMax: 17911})
	in := invitation("call")
	in.Offer, in.Metadata = withLabels("1"), document(t, siprec.Complete, "A 1=A")
	answer, err := b.Begin(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	offer := withLabels("1", "2")
	offer.Media[0].Addr = netip.MustParseAddr("127.0.0.9")
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: offer, Metadata: document(t, siprec.Partial, "B 2=B"), At: time.Now()}); err == nil {
		t.Fatal("there were ports")
	}
	say(t, answer.Media[0].Port, 1, 25, 0x10)
	b.End(in.Dialog, siprec.EndBye, time.Now().Add(time.Second))
	if got := b.Totals(); got.Placed != 25 {
		t.Errorf("%d packets of 25 were kept, %d are called foreign", got.Placed, got.Foreign)
	}
}
