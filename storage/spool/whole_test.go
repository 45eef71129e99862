package spool_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greffier/greffier/storage/spool"
)

// A disk is a file system whose syncing a test decides about. It counts.
type disk struct {
	each  atomic.Int64                 // syncs of one file
	whole atomic.Int64                 // syncs of all
	takes atomic.Int64                 // nanoseconds, each
	next  atomic.Pointer[func() error] // what happens during the next one
}

// A counted is a record file whose syncs are counted.
type counted struct {
	spool.File
	d *disk
}

func (f counted) Datasync() error {
	f.d.each.Add(1)
	return f.File.Datasync()
}

func (d *disk) sync() error {
	d.whole.Add(1)
	if takes := d.takes.Load(); takes > 0 {
		<-time.After(time.Duration(takes))
	}
	if f := d.next.Swap(nil); f != nil {
		return (*f)()
	}
	return nil
}

// during sets what happens during the next sync of all.
func (d *disk) during(f func() error) { d.next.Store(&f) }

// onDisk runs a test with a spool of n recordings on a disk, by synctest's clock.
func onDisk(t *testing.T, n int, test func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer)) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		wrap := func(f spool.File) spool.File { return counted{f, d} }
		s, err := spool.Open(t.TempDir(), spool.Options{}.WithFaults(wrap).WithWholeSync(d.sync))
		if err != nil {
			t.Fatal(err)
		}
		var ws []*spool.Writer
		for i := range n {
			ws = append(ws, create(t, s, fmt.Sprint("r", i)))
		}
		<-time.After(time.Second / 2) // from here on half a second after each sync
		d.each.Store(0)               // those of Create
		test(t, d, s, ws)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func second() {
	<-time.After(time.Second)
	synctest.Wait()
}

func TestManyAreSyncedAtOnce(t *testing.T) {
	const n = spool.WholeLeast
	onDisk(t, n, func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer) {
		want := func(whole, each int64) {
			t.Helper()
			second()
			if d.whole.Load() != whole || d.each.Load() != each || s.Stats().Syncs != uint64(whole+each) {
				t.Errorf("%d of all and %d of one, want %d and %d; %+v", d.whole.Load(), d.each.Load(), whole, each, s.Stats())
			}
		}
		for _, w := range ws {
			appendAll(t, w, rec{1, "x"})
		}
		want(1, 0)
		want(1, 0) // nothing is dirty
		for _, w := range ws[1:] {
			appendAll(t, w, rec{1, "y"})
		}
		want(1, n-1) // too few
		for _, w := range ws {
			if err := w.Sync(); err != nil {
				t.Error(err)
			}
		}
		want(1, n-1) // they were all on the disk
	})
}

// Whoever has written since the last sync of all is told that it failed, once, those who did so meanwhile too.
func TestSyncOfAllFails(t *testing.T) {
	const n = spool.WholeLeast + 3
	onDisk(t, n, func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer) {
		for _, w := range ws[3:] {
			appendAll(t, w, rec{1, "before"})
		}
		d.during(func() error {
			appendAll(t, ws[1], rec{1, "meanwhile"})
			appendAll(t, ws[2], rec{1, "meanwhile, and synced alone"})
			if err := ws[2].Sync(); err != nil {
				t.Error(err)
			}
			return syscall.EIO
		})
		second()
		for i, w := range ws {
			err := w.Append(2, []byte("after"))
			if told := i == 1 || i > 2; errors.Is(err, spool.ErrSync) != told || errors.Is(err, syscall.EIO) != told {
				t.Errorf("recording %d: %v", i, err)
			}
			appendAll(t, w, rec{3, "again"})
		}
		if st := s.Stats(); st.SyncErrors != 1 {
			t.Errorf("%+v", st)
		}
		second() // all are synced again
		if d.whole.Load() != 2 {
			t.Errorf("%d syncs of all", d.whole.Load())
		}
		for _, w := range ws {
			appendAll(t, w, rec{3, "well"})
		}
	})
}

// A sync of one writer does not count on one of all that has not ended, and does not wait for it.
func TestSyncDuringSyncOfAll(t *testing.T) {
	onDisk(t, spool.WholeLeast, func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer) {
		for _, w := range ws {
			appendAll(t, w, rec{1, "x"})
		}
		d.during(func() error {
			if err := ws[0].Sync(); err != nil || d.each.Load() != 1 {
				t.Errorf("%v, %d syncs", err, d.each.Load())
			}
			if err := ws[1].Close(); err != nil || d.each.Load() != 2 {
				t.Errorf("%v, %d syncs", err, d.each.Load())
			}
			appendAll(t, ws[2], rec{1, "later"})
			return nil
		})
		second()
		if d.whole.Load() != 1 {
			t.Fatalf("%d syncs of all", d.whole.Load())
		}
		second() // what came later
		if d.each.Load() != 3 {
			t.Errorf("%d syncs of one, want 3", d.each.Load())
		}
	})
}

// Where others write so much that a sync of all takes long, files are synced one by one for a while.
func TestSlowSyncOfAll(t *testing.T) {
	const n = spool.WholeLeast
	onDisk(t, n, func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer) {
		d.takes.Store(int64(600 * time.Millisecond))
		for i := range spool.WholeRest + 2 {
			for _, w := range ws {
				appendAll(t, w, rec{1, "x"})
			}
			second()
			whole := int64(1)
			if i > spool.WholeRest {
				whole = 2
			}
			if each := n * (int64(i) + 1 - whole); d.whole.Load() != whole || d.each.Load() != each {
				t.Fatalf("second %d: %d of all and %d of one, want %d and %d", i, d.whole.Load(), d.each.Load(), whole, each)
			}
		}
		<-time.After(time.Second) // the last has ended
	})
}

// While a sync of all hangs, files are synced one by one: what a loss of power costs stays a second.
func TestSyncOfAllThatHangs(t *testing.T) {
	onDisk(t, spool.WholeLeast, func(t *testing.T, d *disk, s *spool.Spool, ws []*spool.Writer) {
		d.takes.Store(int64(20 * time.Second))
		for i := range 10 {
			for _, w := range ws {
				appendAll(t, w, rec{1, "x"})
			}
			second()
			if want := int64(i * spool.WholeLeast); d.whole.Load() != 1 || d.each.Load() != want {
				t.Fatalf("second %d: %d of all and %d of one, want 1 and %d", i, d.whole.Load(), d.each.Load(), want)
			}
		}
		<-time.After(12 * time.Second) // it ends
	})
}

// What the kernel does for us, on the file system that the tests run on.
func TestSystemSyncsAll(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{SyncInterval: time.Hour})
	for i := range spool.WholeLeast {
		appendAll(t, create(t, s, fmt.Sprint("r", i)), rec{1, "x"})
	}
	want := uint64(spool.WholeLeast)
	if s.WholeSyncs() {
		want = 1
	}
	s.SyncAll()
	s.SyncAll()
	if st := s.Stats(); st.Syncs != want || st.SyncErrors != 0 {
		t.Errorf("%+v, want %d syncs", st, want)
	}
}
