package spool_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/greffier/greffier/storage/spool"
)

// childDir, in the environment, makes the test binary append to a spool there until it is killed.
const childDir = "SPOOL_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child appends records for ever, and prints the number of each once it is in.
func child(dir string) error {
	s, err := spool.Open(dir, spool.Options{})
	if err != nil {
		return err
	}
	w, err := s.Reopen("a", key)
	if errors.Is(err, spool.ErrNotFound) {
		w, err = s.Create("a", key)
	}
	if err != nil {
		return err
	}
	n := 0
	for _, err := range s.Read("a", key) {
		if err != nil {
			return err
		}
		n++
	}
	for {
		if err := w.Append(1, fmt.Appendf(nil, "%d", n), make([]byte, n%9000)); err != nil {
			return err
		}
		n++
		fmt.Println(n)
	}
}

// start runs a child and returns it with what it prints.
func start(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := 0
	for range 20 {
		cmd, out := start(t, dir)
		for range 1 + rand.IntN(50) {
			if !out.Scan() {
				t.Fatal("the child ended by itself")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		last := out.Text()
		for out.Scan() { // what it said before it died
			last = out.Text()
		}
		_ = cmd.Wait()
		if n, err := strconv.Atoi(last); err == nil { // the last line may be torn, too
			acked = max(acked, n)
		}
		s, err := spool.Open(dir, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range readAll(t, s, "a") {
			if !strings.HasPrefix(r.Payload, strconv.Itoa(n)) {
				t.Fatalf("record %d holds %.10q", n, r.Payload)
			}
			n++
		}
		if n < acked {
			t.Fatalf("%d records, %d were acknowledged", n, acked)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	cmd, out := start(t, dir)
	if !out.Scan() {
		t.Fatal("the child ended by itself")
	}
	_, err := spool.Open(dir, spool.Options{})
	pid := strconv.Itoa(cmd.Process.Pid)
	if !errors.Is(err, spool.ErrLocked) || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	open(t, dir, spool.Options{})
}
