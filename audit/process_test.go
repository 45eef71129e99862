package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/greffier/greffier/audit"
)

// In the environment, these make the test binary append to a log: so many entries, or until it is killed.
const (
	childDir   = "AUDIT_TEST_CHILD_DIR"
	childCount = "AUDIT_TEST_CHILD_COUNT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		n, _ := strconv.Atoi(os.Getenv(childCount))
		if err := child(dir, n); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child appends n entries from each of two goroutines, and prints the id of each once it is acknowledged.
func child(dir string, n int) error {
	l, err := audit.Open(dir, audit.Options{Source: fmt.Sprint("pid-", os.Getpid())})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	var out sync.Mutex
	for range 2 {
		wg.Go(func() {
			for i := 0; n == 0 || i < n/2; i++ {
				e, err := l.Append(context.Background(), audit.Event{Type: "x", Data: map[string]string{"pad": string(bytes.Repeat([]byte("x"), i%3000))}})
				if err != nil {
					errs <- err
					return
				}
				out.Lock()
				fmt.Println(e.ID)
				out.Unlock()
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	return l.Close()
}

// start runs a child and returns it with what it prints.
func start(t *testing.T, dir string, n int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childCount+"="+strconv.Itoa(n))
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

func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]bool{}
	const each = 200
	for range 2 {
		cmd, out := start(t, dir, each)
		wg.Go(func() {
			for out.Scan() {
				mu.Lock()
				acked[out.Text()] = true
				mu.Unlock()
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	l := open(t, dir, audit.Options{}) // and a third, here
	for range 20 {
		e := add(t, l, audit.Event{Type: "here"})
		mu.Lock()
		acked[e.ID] = true
		mu.Unlock()
		verify(t, dir)
	}
	wg.Wait()
	rep := verify(t, dir)
	if rep.Entries != 2*each+21 || rep.Uncovered != 0 || rep.Torn != 0 {
		t.Errorf("%+v", rep)
	}
	sources := map[string]int{}
	for _, e := range readAll(t, dir) {
		sources[e.Source]++
		delete(acked, e.ID)
	}
	if len(acked) != 0 || len(sources) != 3 {
		t.Error(len(acked), "acknowledged and not in the log;", sources)
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range 50 {
		cmd, out := start(t, dir, 0)
		for range 1 + rand.IntN(12) {
			if !out.Scan() {
				t.Fatal("the child ended by itself")
			}
			acked[out.Text()] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // what it said before it died; the last line may be torn
			if len(out.Text()) == 32 {
				acked[out.Text()] = true
			}
		}
		_ = cmd.Wait()
		if _, err := audit.Verify(dir); err != nil {
			t.Fatalf("round %d: verify as the kill left it: %v", round, err)
		}
		l, err := audit.Open(dir, audit.Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for _, e := range readAll(t, dir) {
			there[e.ID] = true
		}
		for id := range acked {
			if !there[id] {
				t.Fatalf("round %d: %s was acknowledged and is not in the log", round, id)
			}
		}
	}
}
