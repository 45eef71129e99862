//go:build !race

// What a processor is busy with is not what the race detector makes of it.

package recorder_test

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
)

// A finishing is what it took to finish calls.
type finishing struct {
	took, busy time.Duration // on the clock, and of the processors
	heap       uint64        // the most bytes that were in use of it
}

// finish makes calls of a length in a spool, and then has another recorder, as after a restart, finish them all.
func finish(t *testing.T, calls int, length time.Duration) (l later, f finishing) {
	t.Helper()
	clock := &stoppedClock{at: callEnd}
	dir := t.TempDir()
	store, err := storage.NewDir(filepath.Join(dir, "store"), storage.DirOptions{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	parts := benchParts{dir: dir, store: store, policyFile: recordAll, ports: media.Config{Addr: loopback}, clock: clock.now, workers: 2}
	b := newBenchWith(t, parts)
	for i := range calls {
		m := recorder.Made{ID: fmt.Sprintf("01990000-0000-7000-8000-%012d", 1_000_000+i), Class: training(), At: callEnd.Add(-length), Length: length, Metadata: []byte(twoParties)}
		if err := b.Make(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	debug.FreeOSMemory()
	parts.run = true
	began, used := time.Now(), processorTime(t)
	f.heap = peakHeap(func() {
		l = later{newBenchWith(t, parts), clock}
		l.settle()
	})
	f.took, f.busy = time.Since(began), processorTime(t)-used
	return l, f
}

// processorTime is what this process has used of the processors.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestFinishingKeepsPace: two processors finish a hundred calls a second: read, assembled, hashed, sealed, stored, indexed, witnessed. What
// counts is what they are busy with, so that others on the machine do not decide about it.
func TestFinishingKeepsPace(t *testing.T) {
	const calls, processors, pace = 400, 2, 100
	l, f := finish(t, calls, 10*time.Second)
	each := f.busy / calls
	t.Logf("%d calls of 10 s: %.0f a second as the machine was; %s of a processor for each, which is %.0f a second on two", calls, calls/f.took.Seconds(), each, processors/each.Seconds())
	if each > processors*time.Second/pace {
		t.Errorf("%s for each call: two processors do not finish %d a second", each, pace)
	}
	if rows, err := l.archive.Catalog.List(t.Context(), catalog.Query{State: catalog.StateStored}); err != nil || len(rows) != calls {
		t.Errorf("%d of %d are stored, %v", len(rows), calls, err)
	}
}

// TestHourInFlatMemory: a recording of an hour is finished in no more memory than a short one: it is never in memory as a whole.
func TestHourInFlatMemory(t *testing.T) {
	const bound = 8 << 20 // bytes; the sound has 57.6 million
	_, short := finish(t, 1, 10*time.Second)
	_, long := finish(t, 1, time.Hour)
	t.Logf("at most %d KiB in use with ten seconds, %d KiB with an hour", short.heap>>10, long.heap>>10)
	if long.heap > short.heap+bound {
		t.Errorf("%d bytes more than with ten seconds", long.heap-short.heap)
	}
}

// peakHeap is the most that is in use of the heap while something is done, looked at every millisecond.
func peakHeap(do func()) (peak uint64) {
	done, looked := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(sample)
			peak = max(peak, sample[0].Value.Uint64())
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	do()
	close(done)
	<-looked
	return peak
}
