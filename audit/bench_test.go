package audit_test

import (
	"sync"
	"testing"

	"github.com/greffier/greffier/audit"
)

var sample = audit.Event{
	Type: "recording.decision", Subject: "01J9ZZZZZZZZZZZZZZZZZZZZZZ", Outcome: audit.Done,
	Data: map[string]any{"class": "qa", "rule": "sample", "record": true, "digest": "sha256:0123456789abcdef"},
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, b.TempDir(), audit.Options{})
	for b.Loop() {
		add(b, l, sample)
	}
}

// BenchmarkAppend16 is the time per entry when 16 callers append at once.
func BenchmarkAppend16(b *testing.B) {
	l := open(b, b.TempDir(), audit.Options{})
	var wg sync.WaitGroup
	work := make(chan struct{})
	for range 16 {
		wg.Go(func() {
			for range work {
				add(b, l, sample)
			}
		})
	}
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	l := open(b, dir, audit.Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 100 {
				add(b, l, sample)
			}
		})
	}
	wg.Wait()
	b.ReportAllocs()
	for b.Loop() {
		rep := verify(b, dir)
		b.SetBytes(int64(rep.Entries) * 500)
	}
}
