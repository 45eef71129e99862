package recorder_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
)

// TestStreamThatPassedOnIsNotMissed: a stream that metadata give to another call is not expected in the recording that had it.
func TestStreamThatPassedOnIsNotMissed(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("call")
	in.Metadata = document(t, siprec.Complete, "A 1=A 2=A")
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: document(t, siprec.Partial, "B 2=B"), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := b.Awaited(in.Dialog); got != "1 2" {
		t.Errorf("the watch waits for streams %s, want those of one recording each: 1 2", got)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}
