package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
)

// notNever is a policy that records every call but those with the party sip:never@x.
func notNever(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(recordAll)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "policy.yaml")
	rule := "rules:\n  - name: never\n    when: participants.exists(p, p.user == \"never\")\n    record: false\n"
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), "rules:\n", rule, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// document writes metadata from words: "A" a session that is recorded, "a" one that is not, "A-" one that has stopped, "1=A" a label
// of a session, "5=" one of none.
func document(t *testing.T, mode siprec.DataMode, words string) *siprec.Document {
	t.Helper()
	var sessions, streams strings.Builder
	for _, w := range strings.Fields(words) {
		if label, owner, ok := strings.Cut(w, "="); ok {
			fmt.Fprintf(&streams, `<stream stream_id="s%s%s"`, label, owner)
			if owner != "" {
				fmt.Fprintf(&streams, ` session_id="%s"`, owner)
			}
			fmt.Fprintf(&streams, `><label>%s</label></stream>`, label)
			continue
		}
		id, stop := strings.TrimSuffix(w, "-"), ""
		if id != w {
			stop = "<stop-time>2026-01-01T00:00:00Z</stop-time>"
		}
		aor := "sip:somebody@x"
		if id == strings.ToLower(id) {
			aor = "sip:never@x"
		}
		fmt.Fprintf(&sessions, `<session session_id="%s">%s</session><participant participant_id="p%s"><nameID aor="%s"/></participant>`+
			`<participantsessionassoc participant_id="p%s" session_id="%s"/>`, id, stop, id, aor, id, id)
	}
	d, err := siprec.ParseMetadata([]byte(fmt.Sprintf(`<recording xmlns="urn:ietf:params:xml:ns:recording:1"><datamode>%s</datamode>%s%s</recording>`, mode, &sessions, &streams)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// withLabels is an offer of PCMU streams.
func withLabels(labels ...siprec.Label) *siprec.Offer {
	o := &siprec.Offer{}
	for _, l := range labels {
		m := invitation("").Offer.Media[0]
		m.Label = l
		o.Media = append(o.Media, m)
	}
	return o
}

// said writes an answer as directions.
func said(a siprec.Answer) string {
	var out []string
	for _, m := range a.Media {
		switch {
		case m.Port == 0:
			out = append(out, "refused")
		default:
			out = append(out, string(m.Direction))
		}
	}
	return strings.Join(out, " ")
}

// states lists the catalog's calls, by state.
func (b *bench) states() map[catalog.State]int {
	b.t.Helper()
	rows, err := b.archive.Catalog.List(context.Background(), catalog.Query{})
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[catalog.State]int{}
	for _, r := range rows {
		out[r.State]++
	}
	return out
}

// TestSessions: what is answered, and how many calls there are, after each step of a recording session.
func TestSessions(t *testing.T) {
	type step struct {
		mode     siprec.DataMode
		metadata string
		offer    []siprec.Label
		want     string // the answer, when there is an offer
		calls    string // recording, not recorded, finished
	}
	offered := []siprec.Label{"1", "2", "3", "4"}
	for _, c := range []struct {
		name    string
		decline siprec.Decline
		steps   []step
	}{
		{"one of two", "", []step{{siprec.Complete, "A b 1=A 2=A 3=b 4=b", offered, "recvonly recvonly inactive inactive", "1 1 0"}}},
		{"one of two, accepted", siprec.DeclineAccept, []step{{siprec.Complete, "A b 1=A 2=A 3=b 4=b", offered, "recvonly recvonly recvonly recvonly", "1 1 0"}}},
		{"one of two, refused", siprec.DeclineRefuse, []step{{siprec.Complete, "A b 1=A 2=A 3=b 4=b", offered, "recvonly recvonly refused refused", "1 1 0"}}},
		{"a label of nobody beside one that is not recorded", "", []step{{siprec.Complete, "A b 1=A 2=A 3=b", offered, "recvonly recvonly inactive inactive", "1 1 0"}}},
		{"a label of nobody where all are recorded", "", []step{{siprec.Complete, "A B 1=A 2=A 3=B", offered, "recvonly recvonly recvonly recvonly", "2 0 0"}}},
		{"labels of nobody only", "", []step{{siprec.Complete, "A B", offered, "recvonly recvonly recvonly recvonly", "1 0 0"}}},
		{"labels of nobody only, one not recorded", "", []step{{siprec.Complete, "A b", offered, "inactive inactive inactive inactive", "0 1 0"}}},
		{"metadata late", "", []step{
			{"", "", offered, "recvonly recvonly recvonly recvonly", "1 0 0"},
			{siprec.Complete, "A 1=A 2=A", nil, "", "1 0 0"},
			{siprec.Complete, "B 1=B 2=B", offered, "recvonly recvonly recvonly recvonly", "1 0 1"},
		}},
		{"a label of nobody, when a second call comes that is not recorded", "", []step{
			{siprec.Complete, "A 1=A", offered, "recvonly recvonly recvonly recvonly", "1 0 0"},
			{siprec.Partial, "b 2=b", offered, "recvonly inactive inactive inactive", "1 1 0"},
			{siprec.Partial, "b-", offered, "recvonly inactive recvonly recvonly", "1 1 0"},
			{siprec.Partial, "2=A", offered, "recvonly recvonly recvonly recvonly", "1 1 0"},
		}},
		{"the next is not recorded, and refused", siprec.DeclineRefuse, []step{
			{siprec.Complete, "A 1=A 2=A", offered[:2], "recvonly recvonly", "1 0 0"},
			{siprec.Complete, "b 1=b 2=b", offered[:2], "inactive inactive", "0 1 1"},
			{siprec.Complete, "C 1=C 2=C", offered[:2], "recvonly recvonly", "1 1 1"},
		}},
		{"a transfer in two steps", "", []step{
			{siprec.Complete, "A 1=A 2=A", offered[:2], "recvonly recvonly", "1 0 0"},
			{siprec.Partial, "A-", offered[:2], "inactive inactive", "0 0 1"},
			{siprec.Complete, "B 1=B 2=B", offered[:2], "recvonly recvonly", "1 0 1"},
		}},
		{"two become one", "", []step{
			{siprec.Complete, "A B 1=A 2=A 3=B 4=B", offered, "recvonly recvonly recvonly recvonly", "2 0 0"},
			{siprec.Complete, "C 1=C 2=C 3=C 4=C", offered, "recvonly recvonly recvonly recvonly", "1 0 2"},
		}},
		{"a label passes on", "", []step{
			{siprec.Complete, "A b 1=A 2=A 3=b", offered[:3], "recvonly recvonly inactive", "1 1 0"},
			{siprec.Partial, "2=b", offered[:3], "recvonly inactive inactive", "1 1 0"},
			{siprec.Partial, "2=A", offered[:3], "recvonly recvonly inactive", "1 1 0"},
			{siprec.Partial, "1=b 2=b", offered[:3], "inactive inactive inactive", "0 1 1"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, t.TempDir(), newFake(t), notNever(t), false)
			in := invitation("call")
			in.Decline = c.decline
			for i, x := range c.steps {
				var d *siprec.Document
				if x.metadata != "" {
					d = document(t, x.mode, x.metadata)
				}
				var o *siprec.Offer
				if x.offer != nil {
					o = withLabels(x.offer...)
				}
				var answer siprec.Answer
				var err error
				if i == 0 {
					in.Metadata, in.Offer = d, o
					answer, err = b.Begin(t.Context(), in)
				} else {
					answer, err = b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: d, Offer: o, At: time.Now()})
				}
				if err != nil {
					t.Fatal(err)
				}
				if o != nil && said(answer) != x.want {
					t.Errorf("step %d is answered %s, want %s", i, said(answer), x.want)
				}
				s := b.states()
				if got := fmt.Sprint(s[catalog.StateRecording], s[catalog.StateNotRecorded], s[catalog.StateFinishing]); got != x.calls {
					t.Errorf("after step %d there are %s calls recording, not recorded and finished, want %s", i, got, x.calls)
				}
				if err := b.CheckSession(in.Dialog); err != nil {
					t.Errorf("step %d: %v", i, err)
				}
			}
			b.End(in.Dialog, siprec.EndBye, time.Now())
		})
	}
}

// TestRefuseAll: when nothing is to be recorded the INVITE is refused, and the decision is kept, with its end.
func TestRefuseAll(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), notNever(t), false)
	in := invitation("call")
	in.Metadata, in.Decline = document(t, siprec.Complete, "a b 1=a 2=b"), siprec.DeclineRefuse
	_, err := b.Begin(t.Context(), in)
	var refusal *siprec.Refusal
	if !errors.As(err, &refusal) || refusal.Kind != siprec.Declined {
		t.Fatalf("begin: %v, want a refusal", err)
	}
	rows, err := b.archive.Catalog.List(t.Context(), catalog.Query{State: catalog.StateNotRecorded})
	if err != nil || len(rows) != 2 || rows[0].EndedAt.IsZero() || rows[1].EndedAt.IsZero() {
		t.Errorf("calls %+v, %v", rows, err)
	}
	if n, all := b.Calls(); n+all != 0 {
		t.Errorf("%d recordings, %d sessions go on", n, all)
	}
}

// TestWhatWasSaidOfAnother: extension data of the recording session decide about the call that they came with, and about no later one.
func TestWhatWasSaidOfAnother(t *testing.T) {
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
	with := func(d *siprec.Document) *siprec.Document {
		d, err := siprec.ParseMetadata([]byte(strings.Replace(string(d.Raw), "</recording>", `<queue xmlns="urn:x">sales</queue></recording>`, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	in := invitation("call")
	in.Metadata = with(document(t, siprec.Complete, "A 1=A 2=A"))
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for i, d := range []*siprec.Document{document(t, siprec.Complete, "B 1=B 2=B"), with(document(t, siprec.Complete, "C 1=C 2=C"))} {
		answer, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: d, Offer: in.Offer, At: time.Now()})
		if want := []string{"inactive inactive", "recvonly recvonly"}[i]; err != nil || said(answer) != want {
			t.Errorf("call %d is answered %s, want %s: %v", i+2, said(answer), want, err)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}

// A wire stands for an SRC: it answers our offers as it is told to, by an Update.
type wire struct {
	b      *bench
	dialog siprec.DialogID
	offer  *siprec.Offer

	mu       sync.Mutex
	refuse   int
	reoffers []string
	asked    []string
	done     chan struct{}
}

func (w *wire) Reoffer(ctx context.Context, dialog siprec.DialogID, a siprec.Answer) error {
	defer func() { w.done <- struct{}{} }()
	w.mu.Lock()
	w.reoffers = append(w.reoffers, said(a))
	refuse := w.refuse
	w.mu.Unlock()
	if refuse != 0 {
		return &recorder.AnswerError{Status: refuse, Err: errors.New("refused")}
	}
	o := &siprec.Offer{Media: slices.Clone(w.offer.Media)}
	for i := range o.Media {
		o.Media[i].Direction, o.Media[i].Label = siprec.Inactive, "" // an answer need not repeat labels
		if a.Media[i].Direction == siprec.RecvOnly {
			o.Media[i].Direction = siprec.SendOnly
		}
	}
	_, err := w.b.Update(ctx, dialog, siprec.Change{Offer: o, Answered: true, At: time.Now()})
	return err
}

func (w *wire) RequestSnapshot(_ context.Context, _ siprec.DialogID, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, reason)
	w.done <- struct{}{}
	return nil
}

// await waits for n requests.
func (w *wire) await(n int) {
	w.b.t.Helper()
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for range n {
		select {
		case <-w.done:
		case <-patience.C:
			w.b.t.Fatal("the SRC was not asked")
		}
	}
}

// connect gives a bench an SRC that can be asked, and asks it until the test ends.
func (b *bench) connect(in siprec.Invitation) *wire {
	w := &wire{b: b, dialog: in.Dialog, offer: in.Offer, done: make(chan struct{}, 100)}
	b.Connect(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Ask(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Error(err)
		}
	})
	return w
}

// TestTwoBecomeOneWithoutOffer: a call takes its streams over from two others, by metadata alone. What cannot go on where it is has new
// ports, of which the SRC is told.
func TestTwoBecomeOneWithoutOffer(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("call")
	in.Offer, in.Metadata = withLabels("1", "2", "3", "4"), document(t, siprec.Complete, "A B 1=A 2=A 3=B 4=B")
	w := b.connect(in)
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: document(t, siprec.Complete, "C 1=C 2=C 3=C 4=C"), At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.await(1)
	if got := strings.Join(w.reoffers, "; "); got != "recvonly recvonly recvonly recvonly" {
		t.Errorf("offered: %s", got)
	}
	if err := b.CheckSession(in.Dialog); err != nil {
		t.Error(err)
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
}

// TestSnapshotsAreFew: each kind of doubt is asked about once, until it is settled, and no more often than may be.
func TestSnapshotsAreFew(t *testing.T) {
	b := newBench(t, t.TempDir(), newFake(t), recordAll, false)
	in := invitation("call")
	in.Metadata = document(t, siprec.Partial, "A 1=A 2=A")
	w := b.connect(in)
	if _, err := b.Begin(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	w.await(1)
	for range 20 {
		if _, err := b.Update(t.Context(), in.Dialog, siprec.Change{Metadata: document(t, siprec.Partial, "1=Z"), At: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	b.End(in.Dialog, siprec.EndBye, time.Now())
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.asked, " "); got != "partial-first" {
		t.Errorf("asked for %s; the next may come after half a minute", got)
	}
}

// TestRandomSessions: whatever comes in whatever order, no label is heard by two, or by one whose it is not; and in the end all
// ports are free.
func TestRandomSessions(t *testing.T) {
	const low = 17000 // below what the system gives to others
	b := newBenchOn(t, t.TempDir(), newFake(t), notNever(t), false, media.Config{Addr: loopback, PortMin: low, PortMax: low + 199})
	r := rand.New(rand.NewPCG(7, 8))
	words := []string{"A", "B", "c", "d", "A-", "B-", "c-", "d-", "1=A", "1=B", "1=c", "2=A", "2=B", "2=d", "3=A", "3=c", "4=B", "4=d", "5="}
	all := []siprec.Label{"1", "2", "3", "4", "5"}
	modes := []siprec.DataMode{siprec.Complete, siprec.Partial}
	for round := range 25 {
		in := invitation(fmt.Sprint("call ", round))
		in.Decline = []siprec.Decline{"", siprec.DeclineInactive, siprec.DeclineAccept}[r.IntN(3)]
		in.Offer = withLabels(all[:1+r.IntN(5)]...)
		story := ""
		metadata := func() *siprec.Document {
			text := ""
			for range 1 + r.IntN(8) {
				text += " " + words[r.IntN(len(words))]
			}
			mode := modes[r.IntN(2)]
			story += fmt.Sprintf("; %s:%s", mode, text)
			return document(t, mode, text)
		}
		if r.IntN(4) > 0 {
			in.Metadata = metadata()
		}
		if _, err := b.Begin(t.Context(), in); err != nil {
			t.Fatalf("%v after %s", err, story)
		}
		lines := len(in.Offer.Media)
		for range 12 {
			ch := siprec.Change{At: time.Now()}
			if r.IntN(3) > 0 {
				ch.Metadata = metadata()
			}
			if ch.Metadata == nil || r.IntN(2) == 0 {
				lines = max(lines, 1+r.IntN(5))
				ch.Offer = withLabels(all[:lines]...)
				for i := range ch.Offer.Media {
					switch r.IntN(6) {
					case 0:
						ch.Offer.Media[i].Direction = siprec.Inactive
					case 1:
						ch.Offer.Media[i].Port = 0
					}
				}
				ch.Answered = r.IntN(4) == 0
				story += fmt.Sprintf("; offer of %d, answered %v", lines, ch.Answered)
			}
			if _, err := b.Update(t.Context(), in.Dialog, ch); err != nil {
				t.Fatalf("%v after %s", err, story)
			}
			if err := b.CheckSession(in.Dialog); err != nil {
				t.Fatalf("%v after %s", err, story)
			}
		}
		b.End(in.Dialog, siprec.EndBye, time.Now())
	}
	if n, sessions := b.Calls(); n+sessions != 0 {
		t.Errorf("%d recordings, %d sessions go on", n, sessions)
	}
	probe, err := b.receiver.Open(media.Open{Channels: 1, Streams: make([]media.Stream, 100), Sink: noSink{}})
	if err != nil {
		t.Fatalf("not all ports are free: %v", err)
	}
	if _, err := probe.Close(time.Now()); err != nil {
		t.Error(err)
	}
}

type noSink struct{}

func (noSink) Append(*media.Block) error { return nil }
