package recorder_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
)

// TestLongSessionIsBounded: a session of many calls, one after the other and each with labels of its own, holds no more after each than
// the one that goes on needs.
func TestLongSessionIsBounded(t *testing.T) {
	b := newBenchOn(t, t.TempDir(), newFake(t), notNever(t), false, media.Config{Addr: loopback, PortMin: 17920, PortMax: 17927})
	in := invitation("call")
	for i := range 40 {
		words, labels := fmt.Sprintf("A%d %d=A%d %d=A%d", i, 2*i, i, 2*i+1, i), []siprec.Label{siprec.Label(fmt.Sprint(2 * i)), siprec.Label(fmt.Sprint(2*i + 1))}
		var err error
		if i == 0 {
			in.Offer, in.Metadata = withLabels(labels...), document(t, siprec.Complete, words)
			_, err = b.Begin(t.Context(), in)
		} else {
			_, err = b.Update(t.Context(), in.Dialog, siprec.Change{Offer: withLabels(labels...), Metadata: document(t, siprec.Complete, words), At: time.Now()})
		}
		if err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		if err := b.CheckSession(in.Dialog); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if n := b.SessionState(in.Dialog).Labels(); n > 4 {
		t.Errorf("the session remembers %d labels, and has 2", n)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}
