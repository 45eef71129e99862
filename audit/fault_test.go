package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/greffier/greffier/audit"
)

// faults stands behind the files of a Log: it counts, delays and fails calls.
type faults struct {
	mu    sync.Mutex
	syncs int
	gate  chan struct{} // when set, a sync takes one value first
	calls int
	fail  int  // number of the call, from 1, that fails
	lost  bool // the failing call does nothing at all; else half of it, or all of a sync, is done
	log   func(op string, name string, b []byte, off int64)
}

func (x *faults) set(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

func (x *faults) wrap(name string, f audit.File) audit.File { return &faulty{f, name, x} }

// due counts a call that changes something and tells whether it has to fail.
func (x *faults) due(op, name string, b []byte, off int64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.log != nil {
		x.log(op, name, b, off)
	}
	x.calls++
	return x.calls == x.fail
}

type faulty struct {
	audit.File
	name string
	x    *faults
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if !f.x.due("write", f.name, b, off) {
		return f.File.WriteAt(b, off)
	}
	n := 0
	if !f.x.lost {
		n, _ = f.File.WriteAt(b[:len(b)/2], off)
	}
	return n, syscall.ENOSPC
}

func (f *faulty) Datasync() error {
	fail := f.x.due("sync", f.name, nil, 0)
	f.x.mu.Lock()
	f.x.syncs++
	gate := f.x.gate
	f.x.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if fail {
		return syscall.EIO
	}
	return f.File.Datasync()
}

func (f *faulty) Truncate(size int64) error {
	if f.x.due("truncate", f.name, nil, size) {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

// Each call that a Log makes fails once. Whatever was acknowledged is there, whole, in order; the Log goes on.
func TestEveryCallFails(t *testing.T) {
	for _, lost := range []bool{true, false} {
		for fail := 1; ; fail++ {
			dir := t.TempDir()
			x := &faults{fail: fail, lost: lost}
			o := audit.Options{}.WithFaults(x.wrap)
			var acked []string
			l, err := audit.Open(dir, o)
			if err != nil { // a process that could not start is started again
				x.set(func() { x.fail = 0 })
				if l, err = audit.Open(dir, o); err != nil {
					t.Fatalf("call %d: second Open: %v", fail, err)
				}
			}
			failed := 0
			for i := range 5 {
				e, err := l.Append(t.Context(), audit.Event{Type: "x", Subject: fmt.Sprint("s", i)})
				switch {
				case err == nil:
					acked = append(acked, e.ID)
				case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO):
					failed++
				default:
					t.Fatalf("call %d: %v", fail, err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if failed > 1 {
				t.Errorf("call %d: one fault, %d failed appends", fail, failed)
			}
			checkAcked(t, fmt.Sprint("call ", fail), dir, acked)
			if x.calls < fail {
				break // nothing was left to fail
			}
		}
	}
}

// checkAcked opens the log, verifies it, and looks for acknowledged entries in order.
func checkAcked(t *testing.T, what, dir string, acked []string) {
	t.Helper()
	l, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if rep, err := audit.Verify(dir); err != nil || rep.Torn != 0 || rep.Uncovered != 0 {
		t.Fatalf("%s: %+v %v", what, rep, err)
	}
	for e, err := range audit.Read(dir) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(acked) > 0 && e.ID == acked[0] {
			acked = acked[1:]
		}
	}
	if len(acked) > 0 {
		t.Fatalf("%s: acknowledged, and not in the log: %v", what, acked)
	}
}

// An op is a change to a file, as the kernel saw it.
type op struct {
	kind, name string
	data       []byte
	off        int64
	acked      int // appends that had been acknowledged before it
}

// TestPowerLoss replays what a Log did up to every point, with the last unsynced write on the disk in part, in whole, as
// zeros, or not at all, and starts the program again.
func TestPowerLoss(t *testing.T) {
	dir := t.TempDir()
	var ops []op
	var acked []string
	x := &faults{}
	l, err := audit.Open(dir, audit.Options{}.WithFaults(x.wrap))
	if err != nil {
		t.Fatal(err)
	}
	base := map[string][]byte{}
	for _, name := range []string{"log.jsonl", "head"} {
		if base[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	x.set(func() {
		x.log = func(kind, name string, b []byte, off int64) {
			ops = append(ops, op{kind, name, append([]byte(nil), b...), off, len(acked)})
		}
	})
	for i := range 4 {
		e, err := l.Append(t.Context(), audit.Event{Type: "x", Subject: fmt.Sprint("s", i)})
		if err != nil {
			t.Fatal(err)
		}
		x.set(func() { acked = append(acked, e.ID) })
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	disk := map[string][]byte{"log.jsonl": base["log.jsonl"], "head": base["head"]}
	again := t.TempDir()
	for i, o := range ops {
		if o.kind != "write" {
			continue // every write is synced before the next: one at most is in doubt
		}
		if ops[i+1].kind != "sync" || ops[i+1].name != o.name {
			t.Fatal("a write is not followed by its sync")
		}
		for cut := 0; cut <= len(o.data); cut += max(1, len(o.data)/60) {
			for _, zeros := range []bool{false, true} {
				for name, b := range disk {
					if name == o.name {
						b = torn(b, o, cut, zeros)
					}
					if err := os.WriteFile(filepath.Join(again, name), b, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := audit.Verify(again); err != nil && !zeros {
					t.Fatalf("op %d, cut at %d: verify before the restart: %v", i, cut, err)
				}
				checkAcked(t, fmt.Sprintf("op %d %s %s, cut at %d, zeros %v", i, o.kind, o.name, cut, zeros), again, acked[:o.acked])
			}
		}
		disk[o.name] = torn(disk[o.name], o, len(o.data), false)
	}
}

// torn returns b after a write of which only a part came to the disk.
func torn(b []byte, o op, cut int, zeros bool) []byte {
	data := append([]byte(nil), o.data[:cut]...)
	if zeros {
		data = append(data, make([]byte, len(o.data)-cut)...)
	}
	out := append([]byte(nil), b...)
	if need := int(o.off) + len(data); need > len(out) {
		out = append(out, make([]byte, need-len(out))...)
	}
	copy(out[o.off:], data)
	return out
}

func TestRepairIsWitnessed(t *testing.T) {
	dir := t.TempDir()
	fixture(t, dir, audit.Options{})
	path := filepath.Join(dir, "log.jsonl")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, `{"specversion":"1.0",`...), 0o600); err != nil {
		t.Fatal(err)
	}
	if rep := verify(t, dir); rep.Entries != 6 || rep.Torn != 21 {
		t.Errorf("%+v", rep)
	}
	open(t, dir, audit.Options{})
	es := readAll(t, dir)
	if len(es) != 7 || es[6].Type != audit.TypeRepaired || string(es[6].Data) != `{"cut":21}` {
		t.Error(es[len(es)-1])
	}
	if rep := verify(t, dir); rep.Torn != 0 {
		t.Errorf("%+v", rep)
	}
}

// Entries that a crash has left behind the head are taken over by Open, and by an Append of a process that runs.
func TestUncoveredEntriesAreTakenOver(t *testing.T) {
	for _, running := range []bool{false, true} {
		dir := t.TempDir()
		l := open(t, dir, audit.Options{})
		head, err := os.ReadFile(filepath.Join(dir, "head"))
		if err != nil {
			t.Fatal(err)
		}
		other := open(t, dir, audit.Options{})
		add(t, other, audit.Event{Type: "a"})
		if err := os.WriteFile(filepath.Join(dir, "head"), head, 0o600); err != nil {
			t.Fatal(err)
		}
		if rep := verify(t, dir); rep.Entries != 2 || rep.Uncovered != 1 {
			t.Errorf("%+v", rep)
		}
		if !running {
			l = open(t, dir, audit.Options{})
		}
		if rep := verify(t, dir); running == (rep.Uncovered == 0) {
			t.Errorf("%+v", rep)
		}
		if e := add(t, l, audit.Event{Type: "b"}); e.Seq != 2 {
			t.Error(e.Seq)
		}
		if rep := verify(t, dir); rep.Entries != 3 || rep.Uncovered != 0 {
			t.Errorf("%+v", rep)
		}
	}
}

func TestLogGoesBackUnderWriter(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, audit.Options{})
	old := map[string][]byte{}
	for _, name := range []string{"log.jsonl", "head"} {
		var err error
		if old[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, audit.Event{Type: "a"})
	for name, b := range old {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := l.Append(t.Context(), audit.Event{Type: "b"})
	var v *audit.VerifyError
	if !errors.As(err, &v) || v.Problem != audit.Truncated || !strings.Contains(err.Error(), "has seen") {
		t.Error(err)
	}
}
