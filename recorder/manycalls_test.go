package recorder_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
)

// TestCallAfterManyIsDecidedByItsOwn: the policy knows the people of every call that a session carries, however many came before it.
func TestCallAfterManyIsDecidedByItsOwn(t *testing.T) {
	for _, mode := range []siprec.DataMode{siprec.Complete, siprec.Partial} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t, t.TempDir(), newFake(t), notNever(t), false)
			in := invitation("call")
			in.Metadata = document(t, siprec.Complete, "A0 1=A0 2=A0")
			if _, err := b.Begin(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			s := b.SessionState(in.Dialog)
			for i := 1; i < siprec.MaxSessions; i++ { // each takes the streams of the one before; the session learns of them as in Update
				s.Learn(document(t, mode, fmt.Sprintf("A%d- A%d 1=A%d 2=A%d", i-1, i, i, i)), time.Now())
			}
			words := fmt.Sprintf("A%d- z 1=z 2=z", siprec.MaxSessions-1)
			if mode == siprec.Complete {
				words = "z 1=z 2=z"
			}
			answer, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: in.Offer, Metadata: document(t, mode, words), At: time.Now()})
			if err != nil || said(answer) != "inactive inactive" {
				t.Errorf("a call that the policy does not record is answered %s: %v", said(answer), err)
			}
			b.End(in.Dialog, siprec.EndBye, time.Now())
		})
	}
}
