package recorder_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// twoClasses is a policy of two classes, told apart by the number of who is in the call; retention lasts, so that recordings stay.
func twoClasses(t *testing.T) string {
	t.Helper()
	const text = `
internal: {domains: [corp.example]}
classes:
  sales: {purpose: Sales, legal_basis: f, balance_test: T, works_council: {none: T}, retention: PT1H, quarantine: PT0S, sample: 99.9999999999%}
  legal: {purpose: Legal, legal_basis: f, balance_test: T, works_council: {none: T}, retention: PT2H, quarantine: PT0S, sample: 99.9999999999%}
rules:
  - {name: nobody, when: 'participants.exists(p, p.number == "666")', record: false}
  - {name: counsel, when: 'participants.exists(p, p.number == "777")', class: legal}
  - {name: others, class: sales}
`
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// people is a document of one communication session with participants, the first of whom send the streams "1" and "2".
func people(t *testing.T, numbers ...string) *siprec.Document {
	t.Helper()
	var b strings.Builder
	b.WriteString(`<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>complete</datamode><session session_id="cs"/>`)
	for i, n := range numbers {
		host := "carrier.example"
		if len(n) < 5 {
			host = "corp.example"
		}
		fmt.Fprintf(&b, `<participant participant_id="p%s"><nameID aor="sip:%s@%s"/></participant>`, n, n, host)
		fmt.Fprintf(&b, `<participantsessionassoc participant_id="p%s" session_id="cs"/>`, n)
		if i < 2 {
			fmt.Fprintf(&b, `<stream stream_id="s%d" session_id="cs"><label>%d</label></stream>`, i+1, i+1)
			fmt.Fprintf(&b, `<participantstreamassoc participant_id="p%s"><send>s%d</send></participantstreamassoc>`, n, i+1)
		}
	}
	b.WriteString(`</recording>`)
	d, err := siprec.ParseMetadata([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestProtectedJoins: a protected user who joins a call stops its recording, whatever rule it is under (R44). When they have left, a new
// one begins.
func TestProtectedJoins(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), twoClasses(t), true)
	d, err := policy.ParseDirectory([]byte("users:\n  - {id: delegate, numbers: [\"4711\"], protected: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	b.directory.Store(d)
	in := invitation("call")
	in.Metadata = people(t, "+33611223344", "1001")
	answer, err := b.Begin(t.Context(), in)
	if err != nil || said(answer) != "recvonly recvonly" {
		t.Fatal(said(answer), err)
	}
	say(t, answer.Media[0].Port, 1, 25, 0x10)
	for _, step := range []struct {
		who  []string
		want string
	}{
		{[]string{"+33611223344", "1001", "4711"}, "inactive inactive"},
		{[]string{"+33611223344", "1001"}, "recvonly recvonly"},
	} {
		answer, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: people(t, step.who...), Offer: in.Offer, At: time.Now()})
		if err != nil || said(answer) != step.want {
			t.Errorf("with %v the answer is %s, want %s: %v", step.who, said(answer), step.want, err)
		}
		if err := b.CheckSession(in.Dialog); err != nil {
			t.Error(err)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
	b.locked(2)
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %s %s %v", r.State, r.Reason, r.EndCause, !r.EndedAt.IsZero()))
	}
	if want := "locked sampled_in bye true\nlocked sampled_in policy true"; strings.Join(got, "\n") != want {
		t.Errorf("the catalog has\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	b.agree()
}

// TestLeavesClass: a call that leaves the scope of its class is cut there, and goes on as a recording of the other one; what its parties
// have said counts for that too.
func TestLeavesClass(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), twoClasses(t), true)
	in := invitation("call")
	in.Metadata = people(t, "+33611223344", "1001")
	if answer, err := b.Begin(t.Context(), in); err != nil || said(answer) != "recvonly recvonly" {
		t.Fatal(said(answer), err)
	}
	for _, who := range [][]string{{"+33611223344", "1001", "777"}, {"+33611223344", "666", "777"}} {
		if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: people(t, who...), At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := b.CheckSession(in.Dialog); err != nil {
			t.Error(err)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
	b.locked(2)
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprintf("%s %s %s %s", r.State, r.Class, r.Reason, r.EndCause))
	}
	if want := "not_recorded  never \nlocked legal sampled_in policy\nlocked sales sampled_in policy"; strings.Join(got, "\n") != want {
		t.Errorf("the catalog has\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	b.agree()
}
