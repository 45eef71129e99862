package spool_test

import (
	"bytes"
	"testing"

	"github.com/greffier/greffier/storage/spool"
)

// A lookout is a file that sees the memory that it is written from.
type lookout struct {
	spool.File
	see func([]byte)
}

func (l lookout) WriteAt(p []byte, off int64) (int, error) {
	l.see(p[:cap(p)])
	return l.File.WriteAt(p, off)
}

// Of a record nothing is left in clear: not in the memory in which it was encrypted, and not in that in which it was read.
func TestNothingIsLeftInMemory(t *testing.T) {
	secret := []byte("what may be in the file, and nowhere else")
	writes := 0
	s := open(t, t.TempDir(), spool.Options{}.WithFaults(func(f spool.File) spool.File {
		return lookout{f, func(p []byte) {
			if writes++; bytes.Contains(p, secret) {
				t.Error("it is in the memory that is written from")
			}
		}}
	}))
	w := create(t, s, "a")
	for _, n := range []int{1, 1000, 2, 5000, 3} { // shorter ones come to memory that held longer ones
		if err := w.Append(1, bytes.Repeat(secret, n)); err != nil {
			t.Fatal(err)
		}
	}
	if writes != 6 { // and one of the epoch
		t.Errorf("%d writes were seen", writes)
	}
	var memory [][]byte
	for record, err := range s.Read("a", key) {
		if err != nil || !bytes.Contains(record.Payload, secret) {
			t.Fatalf("%q, %v", record.Payload, err)
		}
		memory = append(memory, record.Payload)
	}
	for i, m := range memory {
		if bytes.Contains(m, secret) {
			t.Errorf("record %d is in the memory that it was read to", i)
		}
	}
	for record := range s.Read("a", key) {
		memory = [][]byte{record.Payload}
		break
	}
	if bytes.Contains(memory[0], secret) {
		t.Error("a record is in memory although nobody reads on")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
