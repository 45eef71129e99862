package recorder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
)

// TestDecidedLaterByItsOwn: a call whose streams come after the document that describes it is not decided about by what was said of the
// recording session while it carried another.
func TestDecidedLaterByItsOwn(t *testing.T) {
	text, err := os.ReadFile(recordAll)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "policy.yaml")
	rule := strings.Replace(string(text), "internal: true", "internal: true\n    when: '\"queue\" in ext && ext[\"queue\"] == \"sales\"'", 1)
	if err := os.WriteFile(path, []byte(rule), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, t.TempDir(), newFake(t), path, false)
	in := invitation("call")
	in.Offer = withLabels("1")
	first := document(t, siprec.Complete, "A 1=A")
	if in.Metadata, err = siprec.ParseMetadata([]byte(strings.Replace(string(first.Raw), "</recording>", `<queue xmlns="urn:x">sales</queue></recording>`, 1))); err != nil {
		t.Fatal(err)
	}
	if answer, err := b.Begin(t.Context(), in); err != nil || said(answer) != "recvonly" {
		t.Fatal(said(answer), err)
	}
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: document(t, siprec.Partial, "B 2=B"), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	answer, err := b.Update(t.Context(), in.Dialog, siprec.Change{Offer: withLabels("1", "2"), At: time.Now()})
	if err != nil || said(answer) != "recvonly inactive" {
		t.Errorf("the second call is answered %s, want inactive: %v", said(answer), err)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}
