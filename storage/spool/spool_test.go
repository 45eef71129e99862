package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/storage/spool"
)

var key = [32]byte{1, 2, 3}

// rec is a Record that may be kept.
type rec struct {
	Kind    byte
	Payload string
}

func open(t testing.TB, dir string, o spool.Options) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func create(t testing.TB, s *spool.Spool, id string) *spool.Writer {
	t.Helper()
	w, err := s.Create(id, key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func appendAll(t testing.TB, w *spool.Writer, rs ...rec) {
	t.Helper()
	for _, r := range rs {
		half := len(r.Payload) / 2
		if err := w.Append(r.Kind, []byte(r.Payload[:half]), []byte(r.Payload[half:])); err != nil {
			t.Fatal(err)
		}
	}
}

// collect returns the records up to the first error, and that error.
func collect(r *spool.Reader) (got []rec, err error) {
	for x, err := range r.All() {
		if err != nil {
			return got, err
		}
		got = append(got, rec{x.Kind, string(x.Payload)})
	}
	return got, nil
}

// salvage returns every record and every error.
func salvage(r *spool.Reader) (got []rec, errs []error) {
	for x, err := range r.All() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		got = append(got, rec{x.Kind, string(x.Payload)})
	}
	return got, errs
}

func readAll(t testing.TB, s *spool.Spool, id string) []rec {
	t.Helper()
	var got []rec
	for x, err := range s.Read(id, key) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec{x.Kind, string(x.Payload)})
	}
	return got
}

func recordPath(dir, id string) string { return filepath.Join(dir, "recordings", id, "record") }

func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	want := []rec{{0, ""}, {255, "journal"}, {1, strings.Repeat("x", spool.MaxRecord)}, {2, ""}}
	for range 50 {
		b := make([]byte, rng.IntN(20000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		want = append(want, rec{byte(rng.Uint32()), string(b)})
	}
	w := create(t, s, "call-1")
	appendAll(t, w, want...)
	if diff := cmp.Diff(want, readAll(t, s, "call-1")); diff != "" {
		t.Error("read beside the open writer:", diff)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, readAll(t, s, "call-1")); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(recordPath(dir, "call-1"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != w.Size() || info.Mode().Perm() != 0o600 {
		t.Errorf("record file: size %d and mode %v, Size says %d", info.Size(), info.Mode(), w.Size())
	}
	if info, err := os.Stat(filepath.Dir(recordPath(dir, "call-1"))); err != nil || info.Mode().Perm() != 0o700 {
		t.Error("folder:", info.Mode(), err)
	}
}

func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	w := create(t, s, "a")
	appendAll(t, w, rec{1, "the voice of Marie Dupont"}, rec{1, strings.Repeat("A", 4000)})
	b, err := os.ReadFile(recordPath(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("Dupont")) || bytes.Contains(b, []byte("AAAAAAAA")) {
		t.Error("plaintext on the disk")
	}
}

func TestAppendConcurrently(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{SyncInterval: time.Millisecond})
	w := create(t, s, "a")
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if err := w.Append(byte(g), fmt.Appendf(nil, "%d", i)); err != nil {
					t.Error(err)
				}
				if i%50 == 0 {
					if err := w.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	var next [4]int
	for _, r := range readAll(t, s, "a") {
		if r.Payload != fmt.Sprint(next[r.Kind]) {
			t.Fatalf("goroutine %d: record %q where %d is due", r.Kind, r.Payload, next[r.Kind])
		}
		next[r.Kind]++
	}
	if next != [4]int{200, 200, 200, 200} {
		t.Error("records:", next)
	}
}

func TestAppendRefuses(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{})
	w := create(t, s, "a")
	if err := w.Append(1, make([]byte, spool.MaxRecord), []byte{1}); err == nil {
		t.Error("a record above the limit was taken")
	}
	appendAll(t, w, rec{1, "still fine"})
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error("close:", err)
		}
	}
	if err := w.Append(1, nil); !errors.Is(err, spool.ErrClosed) {
		t.Error("append after close:", err)
	}
	if err := w.Sync(); !errors.Is(err, spool.ErrClosed) {
		t.Error("sync after close:", err)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{SyncInterval: time.Hour})
	w := create(t, s, "a")
	head, body := make([]byte, 40), make([]byte, 6400)
	if n := testing.AllocsPerRun(200, func() {
		if err := w.Append(1, head, body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per Append", n)
	}
}

func TestOneUserPerRecording(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{})
	w := create(t, s, "a")
	if _, err := s.Create("a", key); !errors.Is(err, spool.ErrInUse) {
		t.Error("create an open recording:", err)
	}
	if _, err := s.Reopen("a", key); !errors.Is(err, spool.ErrInUse) {
		t.Error("reopen an open recording:", err)
	}
	if err := s.Remove("a"); !errors.Is(err, spool.ErrInUse) {
		t.Error("remove an open recording:", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("a", key); !errors.Is(err, spool.ErrExists) {
		t.Error("create an existing recording:", err)
	}
	if _, err := s.Reopen("b", key); !errors.Is(err, spool.ErrNotFound) {
		t.Error("reopen what is not there:", err)
	}
	for _, err := range s.Read("b", key) {
		if !errors.Is(err, spool.ErrNotFound) {
			t.Error("read what is not there:", err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "-a", ".x", "a\x00", "é", strings.Repeat("a", 129)} {
		if _, err := s.Create(id, key); err == nil {
			t.Errorf("id %q was taken", id)
		}
	}
}

func TestWrongKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	w := create(t, s, "a")
	appendAll(t, w, rec{1, "x"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader("a", [32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := collect(r); !errors.Is(err, spool.ErrDamaged) || got != nil {
		t.Error("wrong key:", got, err)
	}
	if _, err := s.Reopen("a", [32]byte{9}); !errors.Is(err, spool.ErrDamaged) || !strings.Contains(err.Error(), "wrong key") {
		t.Error("reopen with the wrong key:", err)
	}
	// The id is part of the key: one recording's file is not readable as another's.
	w = create(t, s, "b")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(recordPath(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collect(spool.BytesReader("b", key, b)); !errors.Is(err, spool.ErrDamaged) {
		t.Error("file of another recording:", err)
	}
}

func TestSyncEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := spool.Open(t.TempDir(), spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var ws []*spool.Writer
		for i := range 10 {
			ws = append(ws, create(t, s, fmt.Sprint("r", i)))
		}
		advance := func(d time.Duration) { // synctest's clock: this waits for nothing real
			<-time.After(d)
			synctest.Wait()
		}
		step := func(d time.Duration, want uint64) {
			t.Helper()
			advance(d)
			if got := s.Stats().Syncs; got != want {
				t.Errorf("%d syncs, want %d", got, want)
			}
		}
		step(500*time.Millisecond, 0)
		for _, w := range ws {
			appendAll(t, w, rec{1, "x"})
		}
		step(time.Second, 10)
		step(5*time.Second, 10) // nothing dirty, nothing synced
		appendAll(t, ws[3], rec{1, "y"})
		step(time.Second, 11)
		appendAll(t, ws[4], rec{1, "z"})
		if err := s.Close(); err != nil { // closes what is open
			t.Fatal(err)
		}
		if st := s.Stats(); st != (spool.Stats{Writers: 0, Syncs: 12}) {
			t.Errorf("after Close: %+v", st)
		}
		if err := ws[0].Append(1, nil); !errors.Is(err, spool.ErrClosed) {
			t.Error("append after the spool was closed:", err)
		}
		if _, err := s.Create("late", key); !errors.Is(err, spool.ErrClosed) {
			t.Error("create after the spool was closed:", err)
		}
	})
}

func TestGolden(t *testing.T) {
	b, err := os.ReadFile("testdata/format1.record") // written by format 1; never to be made anew
	if err != nil {
		t.Fatal(err)
	}
	r := spool.BytesReader("golden", key, b)
	got, err := collect(r)
	want := []rec{{1, "first"}, {2, ""}, {1, "after a reopening"}, {255, strings.Repeat("0123456789", 20)}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || r.Dropped() != 0 {
		t.Error(err, diff, r.Dropped())
	}
}
