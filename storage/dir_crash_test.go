package storage_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/storage"
)

// The crash tests run this test binary again, as a process that dies at a step of a change.
const (
	crashDirVariable  = "GREFFIER_TEST_CRASH_DIR"
	crashStepVariable = "GREFFIER_TEST_CRASH_STEP"
	crashExitCode     = 87
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDirVariable); dir != "" {
		os.Exit(crash(dir, os.Getenv(crashStepVariable)))
	}
	os.Exit(m.Run())
}

func crashRetention() storage.Retention {
	return storage.Retention{Mode: storage.Governance, Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// crash puts, locks and deletes, and ends the process at the step.
func crash(dir, step string) int {
	ctx := context.Background()
	d, err := storage.NewDir(dir, storage.DirOptions{})
	if err != nil {
		return 1
	}
	d.OnStep(func(s string) {
		if s == step {
			os.Exit(crashExitCode)
		}
	})
	put := func(key string) storage.Ref {
		ref, err := d.Put(ctx, key, strings.NewReader("content"), 7, storage.PutOptions{Metadata: map[string]string{"id": "1"}})
		if err != nil {
			os.Exit(1)
		}
		return ref
	}
	free, locked := put("rec/free"), put("rec/locked")
	if d.Lock(ctx, locked, crashRetention()) != nil || d.Delete(ctx, free) != nil {
		return 1
	}
	return 0
}

func TestDirSurvivesCrashes(t *testing.T) {
	for _, step := range []string{
		"put: created", "put: data written", "put: metadata written", "put: key made", "put: renamed",
		"change: begin", "change: done", "delete: begin", "delete: renamed", "delete: bytes gone",
	} {
		t.Run(step, func(t *testing.T) {
			root := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), crashDirVariable+"="+root, crashStepVariable+"="+step)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != crashExitCode {
				t.Fatalf("process did not stop at the step: %v\n%s", err, out)
			}
			d := newDir(t, root, storage.DirOptions{})
			for _, name := range tree(t, root) {
				if strings.HasPrefix(name, "tmp/") {
					t.Errorf("%s was left", name)
				}
			}
			checkAfterCrash(t, d, step)
		})
	}
}

// checkAfterCrash wants every visible version whole, and every operation to finish when it is repeated.
func checkAfterCrash(t *testing.T, d *storage.Dir, step string) {
	n := 0
	for info, err := range d.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if _, err := storage.Verify(t.Context(), d, info.Ref); err != nil || info.Metadata["id"] != "1" {
			t.Errorf("%+v: %v", info, err)
		}
		wantLock := strings.HasPrefix(step, "delete") || step == "change: done"
		if got := info.Key == "rec/locked" && info.Retention.Equal(crashRetention()); info.Key == "rec/locked" && got != wantLock {
			t.Errorf("locked is %t, want %t", got, wantLock)
		}
	}
	want := map[string]int{"put: renamed": 1, "change: begin": 2, "change: done": 2, "delete: begin": 2, "delete: renamed": 1, "delete: bytes gone": 1}[step]
	if n != want {
		t.Errorf("%d versions, want %d", n, want)
	}
	locked := put(t, d, "rec/locked", "content", storage.PutOptions{})
	if err := d.Lock(t.Context(), locked, crashRetention()); err != nil {
		t.Error(err)
	}
	free := put(t, d, "rec/free", "content", storage.PutOptions{})
	if err := d.Delete(t.Context(), free); err != nil {
		t.Error(err)
	}
	if err := d.Delete(t.Context(), locked); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete of the locked version: %v", err)
	}
}
