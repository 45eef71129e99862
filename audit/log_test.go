package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/greffier/greffier/audit"
)

func open(t testing.TB, dir string, o audit.Options) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func add(t testing.TB, l *audit.Log, e audit.Event) audit.Entry {
	t.Helper()
	got, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func verify(t testing.TB, dir string) audit.Report {
	t.Helper()
	rep, err := audit.Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func readAll(t testing.TB, dir string) (es []audit.Entry) {
	t.Helper()
	for e, err := range audit.Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	return es
}

// fixed gives options under which every run writes the same bytes.
func fixed() audit.Options {
	n := 0
	now := time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)
	return audit.Options{
		Source: "urn:greffier:test",
		Clock:  func() time.Time { now = now.Add(1500 * time.Millisecond); return now },
	}.WithRandom(func() string { n++; return fmt.Sprintf("%032x", n) })
}

// fixture is a small log in which every field occurs.
func fixture(t testing.TB, dir string, o audit.Options) {
	t.Helper()
	l, err := audit.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []audit.Event{
		{Type: "recording.decision", Subject: "01J9", Data: map[string]any{"record": true, "rule": "all"}},
		{Type: "recording.stored", Subject: "01J9", Outcome: audit.Intended},
		{Type: "recording.stored", Subject: "01J9", Outcome: audit.Done, Data: json.RawMessage(` { "bytes" : 12 } `)},
		{Type: "access.played", Subject: `quote " and \ é`, Actor: "officer@example.org", Data: struct {
			A int    `json:"a"`
			B string `json:"b"`
		}{1, "<&>\n"}},
		{ID: "given", Time: time.Date(2020, 1, 1, 1, 0, 0, 0, time.FixedZone("CET", 3600)), Type: "key.destroyed", Outcome: audit.Failed},
	} {
		add(t, l, e)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAppendAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "audit")
	l := open(t, dir, audit.Options{})
	first := add(t, l, audit.Event{Type: "policy.loaded", Data: map[string]string{"digest": "x"}})
	second := add(t, l, audit.Event{Type: "recording.decision", Subject: "r1", Outcome: audit.Intended, Actor: "me"})
	if first.Seq != 1 || second.Seq != 2 || second.PrevHash != first.Hash || first.ID == second.ID || first.ID == "" {
		t.Error(first, second)
	}
	es := readAll(t, dir)
	if len(es) != 3 || es[0].Type != audit.TypeCreated || es[0].PrevHash != (audit.Hash{}) || es[0].Source != audit.DefaultSource {
		t.Fatal(es)
	}
	if diff := cmp.Diff([]audit.Entry{first, second}, es[1:]); diff != "" {
		t.Error("Append returns what Read gives:", diff)
	}
	rep := verify(t, dir)
	want := audit.Report{
		Entries: 3, Log: rep.Log, First: es[0].Time, Last: second.Time, Head: second.Hash.String(), Root: treeHash(t, es).String(),
	}
	if diff := cmp.Diff(want, rep); diff != "" || len(rep.Log) != 32 {
		t.Error(diff, rep.Log)
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, "log.jsonl": 0o600, "head": 0o600, "lock": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Error(name, info.Mode(), err)
		}
	}
}

// treeHash computes the tree with the library alone.
func treeHash(t testing.TB, es []audit.Entry) audit.Hash {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(idx []int64) (out []tlog.Hash, err error) {
		for _, i := range idx {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for i, e := range es {
		hs, err := tlog.StoredHashes(int64(i), e.Line, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
	}
	h, err := tlog.TreeHash(int64(len(es)), reader)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Hash(h)
}

func TestRootAtEverySize(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	for range 40 {
		add(t, l, audit.Event{Type: "x"})
		if rep := verify(t, dir); rep.Root != treeHash(t, readAll(t, dir)).String() {
			t.Fatalf("root of %d entries", rep.Entries)
		}
	}
}

func TestReopenGoesOn(t *testing.T) {
	dir := t.TempDir()
	for i := range 5 {
		l := open(t, dir, audit.Options{Source: fmt.Sprint("run-", i)})
		if e := add(t, l, audit.Event{Type: "x"}); e.Seq != int64(i+1) {
			t.Errorf("run %d: seq %d", i, e.Seq)
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Append(t.Context(), audit.Event{Type: "x"}); !errors.Is(err, audit.ErrClosed) {
			t.Error("append after close:", err)
		}
	}
	if es := readAll(t, dir); len(es) != 6 || es[5].Source != "run-4" {
		t.Error(es)
	}
}

func TestAppendRefuses(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	before := verify(t, dir)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	var nobody *struct{}
	for name, tt := range map[string]struct {
		ctx  context.Context
		e    audit.Event
		says string
	}{
		"no type":        {t.Context(), audit.Event{}, "type"},
		"bad type":       {t.Context(), audit.Event{Type: "a b"}, "type"},
		"own type":       {t.Context(), audit.Event{Type: audit.TypeCreated}, "the log's own"},
		"bad outcome":    {t.Context(), audit.Event{Type: "x", Outcome: "maybe"}, "outcome"},
		"bad id":         {t.Context(), audit.Event{Type: "x", ID: "a\nb"}, "id"},
		"year":           {t.Context(), audit.Event{Type: "x", Time: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}, "year"},
		"data no object": {t.Context(), audit.Event{Type: "x", Data: []int{1}}, "object"},
		"data null":      {t.Context(), audit.Event{Type: "x", Data: nobody}, "object"},
		"data broken":    {t.Context(), audit.Event{Type: "x", Data: func() {}}, "encode"},
		"too long":       {t.Context(), audit.Event{Type: "x", Data: map[string]string{"a": strings.Repeat("x", audit.MaxLine)}}, "limit"},
		"cancelled":      {stopped, audit.Event{Type: "x"}, "canceled"},
	} {
		if _, err := l.Append(tt.ctx, tt.e); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(before, verify(t, dir)); diff != "" {
		t.Error("refused, and yet:", diff)
	}
	if _, err := audit.Open(t.TempDir(), audit.Options{Source: "a\nb"}); err == nil {
		t.Error("bad source taken")
	}
}

func TestLongestLine(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	n := audit.MaxLine // find the most that is taken
	for {
		_, err := l.Append(t.Context(), audit.Event{Type: "x", Data: map[string]string{"a": strings.Repeat("x", n)}})
		if err == nil {
			break
		}
		n--
	}
	add(t, l, audit.Event{Type: "x"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, open(t, dir, audit.Options{}), audit.Event{Type: "x"})
	if rep := verify(t, dir); rep.Entries != 4 || n < audit.MaxLine-1000 {
		t.Error(rep.Entries, n)
	}
}

// What comes from the wire cannot keep an event from being written, nor break the log.
func TestHostileText(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	evil := "a\n{\"seq\":1}\x00\xff\u2028\u0085\"\\"
	e := add(t, l, audit.Event{
		Type: "x", Subject: evil, Actor: evil,
		Data: map[string]any{evil: evil, "raw": json.RawMessage("\"\xff<\"")},
	})
	if want := "a\uFFFD{\"seq\":1}\uFFFD\uFFFD\u2028\uFFFD\"\\"; e.Subject != want || e.Actor != want {
		t.Errorf("%q", e.Subject)
	}
	if got := readAll(t, dir)[1]; !cmp.Equal(e, got) {
		t.Error(cmp.Diff(e, got))
	}
	var ce map[string]any
	if err := json.Unmarshal(e.Line, &ce); err != nil || ce["specversion"] != "1.0" || ce["subject"] != e.Subject {
		t.Error(ce, err)
	}
	verify(t, dir)
}

func TestGroupCommit(t *testing.T) {
	dir := t.TempDir()
	gate := make(chan struct{})
	x := &faults{}
	l := open(t, dir, audit.Options{}.WithFaults(x.wrap))
	x.set(func() { x.syncs, x.gate = 0, gate })
	var wg sync.WaitGroup
	const callers = 16
	wg.Go(func() { add(t, l, audit.Event{Type: "first"}) })
	gate <- struct{}{} // the first commit has synced its line, and waits to sync the head: everybody else queues up
	for i := range callers {
		wg.Go(func() { add(t, l, audit.Event{Type: "x", Subject: fmt.Sprint(i)}) })
	}
	for l.Queued() < callers {
		runtime.Gosched()
	}
	close(gate)
	wg.Wait()
	if rep := verify(t, dir); rep.Entries != callers+2 {
		t.Error(rep.Entries)
	}
	x.set(func() {
		if x.syncs != 4 {
			t.Errorf("%d syncs for one entry and then %d at once", x.syncs, callers)
		}
	})
}

// Several events of one deed are entries of one commit, in their order; one that is wrong keeps all out.
func TestAppendAll(t *testing.T) {
	dir := t.TempDir()
	x := &faults{}
	l := open(t, dir, audit.Options{}.WithFaults(x.wrap))
	add(t, l, audit.Event{Type: "first"})
	x.set(func() { x.syncs = 0 })
	got, err := l.AppendAll(t.Context(), audit.Event{Type: "a", Subject: "s"}, audit.Event{Type: "b", Subject: "s"}, audit.Event{Type: "c", Subject: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for i, typ := range []string{"a", "b", "c"} {
		if got[i].Type != typ || got[i].Seq != got[0].Seq+int64(i) {
			t.Errorf("entry %d: %s, number %d", i, got[i].Type, got[i].Seq)
		}
	}
	x.set(func() {
		if x.syncs != 2 {
			t.Errorf("%d syncs, want one of the log and one of the head", x.syncs)
		}
	})
	if _, err := l.AppendAll(t.Context(), audit.Event{Type: "d"}, audit.Event{Type: audit.TypeCreated}); err == nil {
		t.Error("an event that is the log's own is taken")
	}
	if none, err := l.AppendAll(t.Context()); none != nil || err != nil {
		t.Errorf("nothing: %v, %v", none, err)
	}
	if rep := verify(t, dir); rep.Entries != 5 {
		t.Errorf("%d entries, want that of the log's beginning and four", rep.Entries)
	}
}

func TestVerifyBesideWriter(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, _ = l.Append(ctx, audit.Event{Type: "x", Data: map[string]int{"a": 1}})
			}
		})
	}
	var last uint64
	for last < 300 {
		rep := verify(t, dir)
		if rep.Entries < last || rep.Torn != 0 || rep.Uncovered != 0 {
			t.Fatalf("%+v after %d entries", rep, last)
		}
		last = rep.Entries
		for _, err := range audit.Read(dir) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	wg.Wait()
}

func TestGolden(t *testing.T) {
	want, err := os.ReadFile("testdata/format1.jsonl") // written by format 1; never to be made anew
	if err != nil {
		t.Fatal(err)
	}
	wantHead, err := os.ReadFile("testdata/format1.head")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	fixture(t, dir, fixed())
	for name, w := range map[string][]byte{"log.jsonl": want, "head": wantHead} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(got, w) {
			t.Error(name, err, cmp.Diff(string(w), string(got)))
		}
	}
	rep, err := audit.VerifyLines(bytes.NewReader(want))
	if err != nil || rep.Entries != 6 || rep.Root != "5b028f6cdc858e3176872589fd951a1f229d32428604f144faa44110d4d84f1e" || rep.Head != "da40ca1ca596c7105c8a4a85064b152a5895ee7ddcbe09e1550ea64202d8fd66" || rep.Log != "00000000000000000000000000000001" {
		t.Errorf("%+v %v", rep, err)
	}
}
