package recorder_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/siprec"
)

// TestIDUsedAgain: an SRC that calls every communication session by the same id begins a new call with it, of which the key is the new one's.
func TestIDUsedAgain(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("call")
	of := func(d *siprec.Document, id string) *siprec.Document {
		d, err := siprec.ParseMetadata([]byte(strings.Replace(string(d.Raw), `<session session_id="1">`, `<session session_id="1"><sipSessionID>`+id+`</sipSessionID>`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	in.Metadata = of(document(t, siprec.Complete, "1 1=1 2=1"), "first@pbx")
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*siprec.Document{document(t, siprec.Partial, "1-"), of(document(t, siprec.Complete, "1 1=1 2=1"), "second@pbx")} {
		if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: d, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{})
	if err != nil || len(rows) != 2 {
		t.Fatal(rows, err)
	}
	if rows[0].CallKeyHash == rows[1].CallKeyHash {
		t.Error("two calls have one key")
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}
