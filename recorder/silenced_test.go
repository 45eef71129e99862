package recorder_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

// TestSilencedByMetadataIsTold: a recording that may hear nothing any more, because its label is claimed by two calls, is paused in log
// and journal, so that nobody waits for its sound.
func TestSilencedByMetadataIsTold(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), notNever(t), false)
	in := invitation("call")
	in.Offer, in.Metadata = withLabels("1"), document(t, siprec.Complete, "A 1=A")
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: document(t, siprec.Complete, "A b 1=A 1=b"), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := b.told(recorder.EventPaused); got != 1 {
		t.Errorf("the pause is told %d times, want once", got)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}

// told counts events of a type.
func (b *bench) told(typ string) (n int) {
	b.t.Helper()
	for e, err := range audit.Read(b.archive.AuditDir) {
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Type == typ {
			n++
		}
	}
	return n
}
