package spool_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/storage/spool"
)

func list(t testing.TB, s *spool.Spool) []string {
	t.Helper()
	ids, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestListOldestFirst(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dir := t.TempDir()
	s := open(t, dir, spool.Options{Now: func() time.Time { return now }})
	for _, id := range []string{"z", "m2", "m1", "a"} {
		if err := create(t, s, id).Close(); err != nil {
			t.Fatal(err)
		}
		if id != "m2" { // m1 and m2 are of the same instant
			now = now.Add(time.Second)
		}
	}
	want := []string{"z", "m1", "m2", "a"}
	if diff := cmp.Diff(want, list(t, s)); diff != "" {
		t.Error(diff)
	}
	// What happens to a recording later does not move it.
	w, err := s.Reopen("z", key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, rec{1, "x"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "recordings", "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, list(t, s)); diff != "" {
		t.Error(diff)
	}
	if err := s.Remove("m1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"z", "m2", "a"}, list(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	w := create(t, s, "a")
	appendAll(t, w, rec{1, "x"})
	stage(t, s, "a", "recording.wav.age", "sealed")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // repeatable
		if err := s.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"recordings", "trash", "new"} {
		if left, err := os.ReadDir(filepath.Join(dir, sub)); len(left) != 0 || err != nil {
			t.Error(sub, left, err)
		}
	}
	if _, ok := s.Staged("a", "recording.wav.age"); ok {
		t.Error("staged file outlives its recording")
	}
	create(t, s, "a") // the id is free again
}

func stage(t testing.TB, s *spool.Spool, id, name, content string) {
	t.Helper()
	f, err := s.Stage(id, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	if _, err := io.WriteString(f, content); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestStage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	create(t, s, "a")
	f, err := s.Stage("a", "x.age")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Staged("a", "x.age"); ok {
		t.Error("there before Commit")
	}
	stage(t, s, "a", "x.age", "first")
	stage(t, s, "a", "x.age", "second")
	for range 2 {
		if err := f.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(); !errors.Is(err, spool.ErrClosed) {
		t.Error("commit after abort:", err)
	}
	path, ok := s.Staged("a", "x.age")
	b, err := os.ReadFile(path)
	if !ok || err != nil || string(b) != "second" {
		t.Error(ok, err, string(b))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error("mode of a staged file:", info.Mode(), err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "recordings", "a", "*"))
	if err != nil || len(names) != 2 {
		t.Error("left in the folder:", names, err)
	}
	if _, err := s.Stage("b", "x.age"); !errors.Is(err, spool.ErrNotFound) {
		t.Error("stage for a recording that is not there:", err)
	}
	for _, name := range []string{"record", "x.tmp", "../x", ""} {
		if _, err := s.Stage("a", name); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
}

func TestOpenClearsAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "[spool]")
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := create(t, s, "a").Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error("second close:", err)
	}
	for _, left := range []string{"new/b.X/record", "trash/c.Y/record", "trash/c.Y/x.age", "recordings/a/x.age.1.tmp", "VERSION.2.tmp"} {
		path := filepath.Join(dir, left)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, spool.Options{})
	if diff := cmp.Diff([]string{"a"}, list(t, s)); diff != "" {
		t.Error(diff)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if diff := cmp.Diff([]string{"VERSION", "lock", "recordings/a/record"}, files); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestVersion(t *testing.T) {
	for name, tt := range map[string]struct {
		write, says string
	}{
		"newer":   {"greffier-spool 2\n", "run the newer program"},
		"foreign": {"15\n", "is"},
		"garbled": {"greffier-spool x\n", "is"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "VERSION"), []byte(tt.write), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := spool.Open(dir, spool.Options{})
			if !errors.Is(err, spool.ErrVersion) || !strings.Contains(err.Error(), tt.says) {
				t.Error(err)
			}
		})
	}
	dir := t.TempDir()
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "VERSION")); err != nil {
		t.Fatal(err)
	}
	if _, err := spool.Open(dir, spool.Options{}); !errors.Is(err, spool.ErrVersion) {
		t.Error("recordings without VERSION:", err)
	}
}

func TestFree(t *testing.T) {
	s := open(t, t.TempDir(), spool.Options{})
	if n, err := s.Free(); n == 0 || err != nil {
		t.Error(n, err)
	}
}
