package spool_test

import (
	"testing"
	"time"

	"github.com/greffier/greffier/storage/spool"
)

// TestBacklog counts what has ended and is still there, with its staged files.
func TestBacklog(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{})
	check := func(recordings int, atLeast int64) {
		t.Helper()
		b, err := s.Backlog()
		if b.Oldest.IsZero() != (recordings == 0) || time.Since(b.Oldest) > time.Minute && recordings > 0 {
			t.Errorf("the oldest of %d is of %s", recordings, b.Oldest)
		}
		if err != nil || b.Recordings != recordings || b.Bytes < atLeast || recordings == 0 && b.Bytes != 0 {
			t.Errorf("%+v, %v; want %d recordings of %d bytes or more", b, err, recordings, atLeast)
		}
	}
	check(0, 0)
	w := create(t, s, "a")
	appendAll(t, w, rec{1, "hello"})
	check(0, 0) // it is being recorded
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	check(1, 5)
	stage(t, s, "a", "recording.wav.age", string(make([]byte, 10000)))
	check(1, 10005)
	if err := s.Remove("a"); err != nil {
		t.Fatal(err)
	}
	check(0, 0)
}
