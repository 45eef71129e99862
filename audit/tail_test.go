package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/greffier/greffier/audit"
)

// TestTail: the newest entries come whole and in order, however few bytes are looked at, and what is torn at the end is none.
func TestTail(t *testing.T) {
	dir := t.TempDir()
	l, err := audit.Open(dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 20
	for i := range n {
		if _, err := l.Append(t.Context(), audit.Event{Type: "test.done", Subject: fmt.Sprint(i), Data: map[string]int{"n": i}}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "log.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"specversion":"1.0","id":"torn`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	all, err := l.Tail(1 << 20)
	if err != nil || len(all) != n+1 || all[0].Seq != 0 {
		t.Fatalf("%d entries, %v", len(all), err)
	}
	size := int64(len(`{"specversion":"1.0","id":"torn`))
	for take := 1; take <= n; take++ {
		size += int64(len(all[n+1-take].Line)) + 1
		for _, extra := range []int64{1, 50} {
			got, err := l.Tail(size + extra)
			if err != nil || len(got) != take || got[take-1].Subject != fmt.Sprint(n-1) || got[0].Hash != all[n+1-take].Hash {
				t.Errorf("%d entries of the last %d bytes, want %d: %v", len(got), size+extra, take, err)
			}
		}
	}
	if got, err := l.Tail(10); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
