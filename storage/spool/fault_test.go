package spool_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/storage/spool"
)

// faults fails chosen calls on record files, and remembers every byte that anybody may have seen on the disk.
type faults struct {
	t testing.TB

	mu          sync.Mutex
	write, sync map[int]error // call number, from 1 → error
	truncate    map[int]error
	short       int // bytes that a failing write leaves in the file
	nw, ns, nt  int
	nonces      map[string]string // salt and counter → frame
	salt        string
}

func newFaults(t testing.TB) *faults {
	return &faults{
		t: t, write: map[int]error{}, sync: map[int]error{}, truncate: map[int]error{}, nonces: map[string]string{},
	}
}

func (x *faults) wrap(f spool.File) spool.File { return &faulty{f, x} }

type faulty struct {
	spool.File
	x *faults
}

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	f.x.nw++
	f.x.witness(p)
	if err := f.x.write[f.x.nw]; err != nil {
		n, werr := f.File.WriteAt(p[:min(f.x.short, len(p))], off)
		return n, errors.Join(err, werr)
	}
	return f.File.WriteAt(p, off)
}

// witness fails the test when two different frames use one key and nonce.
func (x *faults) witness(p []byte) {
	for _, f := range split(p) {
		if string(f[:4]) == spool.EpochMagic {
			x.salt = string(f[48:80])
			continue
		}
		id := fmt.Sprintf("%x/%d", x.salt, binary.BigEndian.Uint64(f[8:]))
		if was, ok := x.nonces[id]; ok && was != string(f) {
			x.t.Errorf("nonce used twice: %s", id)
		}
		x.nonces[id] = string(f)
	}
}

func (f *faulty) Truncate(n int64) error {
	f.x.mu.Lock()
	defer f.x.mu.Unlock()
	f.x.nt++
	if err := f.x.truncate[f.x.nt]; err != nil {
		return err
	}
	return f.File.Truncate(n)
}

func (f *faulty) Datasync() error {
	f.x.mu.Lock()
	f.x.ns++
	err := f.x.sync[f.x.ns]
	f.x.mu.Unlock()
	if err != nil {
		return err
	}
	return f.File.Datasync()
}

func TestFullDisk(t *testing.T) {
	for _, short := range []int{0, 1, 20, 100, 133} {
		for _, stuck := range []bool{false, true} { // can the partial record be truncated away at once?
			x := newFaults(t)
			x.short = short
			x.write[3], x.write[5], x.write[6], x.write[8] = syscall.ENOSPC, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS
			if stuck {
				x.truncate[1], x.truncate[2] = syscall.EIO, syscall.EIO
			}
			s := open(t, t.TempDir(), spool.Options{}.WithFaults(x.wrap))
			w := create(t, s, "a")
			var want []rec
			failed := 0
			for i := range 10 {
				r := rec{1, fmt.Sprint("record number ", i)}
				switch err := w.Append(r.Kind, []byte(r.Payload)); {
				case err == nil:
					want = append(want, r)
				case errors.Is(err, spool.ErrFull), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
					failed++
				default:
					t.Fatal(err)
				}
				// The file is whole whenever nothing keeps it from being so.
				if got := readAll(t, s, "a"); !stuck && !cmp.Equal(want, got) {
					t.Fatalf("short %d: after record %d: %v", short, i, got)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, readAll(t, s, "a")); diff != "" || failed < 4 {
				t.Errorf("short %d, stuck %v: %d failed; %s", short, stuck, failed, diff)
			}
		}
	}
}

func TestCreateFails(t *testing.T) {
	for name, set := range map[string]func(*faults){
		"write": func(x *faults) { x.write[1] = syscall.ENOSPC },
		"sync":  func(x *faults) { x.sync[1] = syscall.ENOSPC },
	} {
		t.Run(name, func(t *testing.T) {
			x := newFaults(t)
			set(x)
			s := open(t, t.TempDir(), spool.Options{}.WithFaults(x.wrap))
			if _, err := s.Create("a", key); !errors.Is(err, spool.ErrFull) {
				t.Fatal(err)
			}
			if ids, err := s.List(); len(ids) != 0 || err != nil {
				t.Error("a recording that was not made is listed:", ids, err)
			}
			appendAll(t, create(t, s, "a"), rec{1, "second try"})
		})
	}
}

func TestSyncFails(t *testing.T) {
	x := newFaults(t)
	x.sync[2], x.sync[4] = syscall.EIO, syscall.EIO // 1 is Create's
	s := open(t, t.TempDir(), spool.Options{SyncInterval: time.Hour}.WithFaults(x.wrap))
	w := create(t, s, "a")
	appendAll(t, w, rec{1, "one"})
	if err := w.Sync(); !errors.Is(err, spool.ErrSync) || !errors.Is(err, syscall.EIO) {
		t.Fatal("first sync:", err)
	}
	if err := w.Sync(); err != nil { // it is tried again although nothing was written meanwhile
		t.Fatal("second sync:", err)
	}
	appendAll(t, w, rec{2, "two"})
	if err := w.Close(); !errors.Is(err, spool.ErrSync) {
		t.Error("close:", err)
	}
	if st := s.Stats(); st.SyncErrors != 2 || st.Syncs != 3 || st.Writers != 0 {
		t.Errorf("%+v", st)
	}
}

func TestBackgroundSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFaults(t)
		x.sync[2] = syscall.EIO
		s, err := spool.Open(t.TempDir(), spool.Options{}.WithFaults(x.wrap))
		if err != nil {
			t.Fatal(err)
		}
		w := create(t, s, "a")
		appendAll(t, w, rec{1, "one"})
		<-time.After(1500 * time.Millisecond)
		synctest.Wait()
		if err := w.Append(2, []byte("two")); !errors.Is(err, spool.ErrSync) {
			t.Error("the failed sync was not told:", err)
		}
		appendAll(t, w, rec{3, "three"}) // told once
		if diff := cmp.Diff([]rec{{1, "one"}, {2, "two"}, {3, "three"}}, readAll(t, s, "a")); diff != "" {
			t.Error("an ErrSync says that the record is in:", diff)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
