package spool_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/spool"
)

// BenchmarkAppend is 400 recordings that flush 400 ms of two G.711 channels in turn, with the syncing that goes on.
func BenchmarkAppend(b *testing.B) {
	s := open(b, b.TempDir(), spool.Options{})
	var ws []*spool.Writer
	for i := range 400 {
		ws = append(ws, create(b, s, fmt.Sprint("r", i)))
	}
	payload := make([]byte, 6400)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := ws[i%len(ws)].Append(1, payload); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkRead(b *testing.B) {
	s := open(b, b.TempDir(), spool.Options{})
	w := create(b, s, "a")
	payload := make([]byte, 6400)
	const records = 2000
	for range records {
		if err := w.Append(1, payload); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(records * int64(len(payload)))
	for b.Loop() {
		for _, err := range s.Read("a", key) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSyncAll is one pass over 400 recordings of which each has grown by 16 KB, the audio of a second.
func BenchmarkSyncAll(b *testing.B) {
	s := open(b, b.TempDir(), spool.Options{SyncInterval: time.Hour})
	var ws []*spool.Writer
	for i := range 400 {
		ws = append(ws, create(b, s, fmt.Sprint("r", i)))
	}
	payload := make([]byte, 16000)
	for b.Loop() {
		b.StopTimer()
		for _, w := range ws {
			if err := w.Append(1, payload); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		s.SyncAll()
	}
}
