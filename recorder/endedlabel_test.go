package recorder_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
)

// TestLabelOfEndedCallIsNotAnothers: what is still on its way for a call that was not recorded, and that has ended, is not heard in
// the recording of one that went on beside it; nor is the SRC asked to send it.
func TestLabelOfEndedCallIsNotAnothers(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), notNever(t), false)
	in := invitation("call")
	in.Metadata = document(t, siprec.Complete, "A b 1=A 2=b")
	if answer, err := b.Begin(t.Context(), in); err != nil || said(answer) != "recvonly inactive" {
		t.Fatal(said(answer), err)
	}
	for i, d := range []*siprec.Document{document(t, siprec.Partial, "b-"), document(t, siprec.Complete, "A 1=A")} {
		answer, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: in.Offer, Metadata: d, At: time.Now()})
		if want := []string{"recvonly inactive", "recvonly recvonly"}[i]; err != nil || said(answer) != want {
			t.Errorf("step %d is answered %s, want %s: %v", i, said(answer), want, err)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}
