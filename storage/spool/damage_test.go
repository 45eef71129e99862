package spool_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/storage/spool"
)

// sample writes a record file with two epochs and returns its bytes and what was written.
func sample(t testing.TB) ([]byte, []rec) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	want := []rec{{1, "one"}, {2, ""}, {3, strings.Repeat("three", 30)}, {4, "four"}, {5, "five"}, {6, strings.Repeat("6", 70)}}
	w := create(t, s, "a")
	appendAll(t, w, want[:3]...)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := s.Reopen("a", key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, want[3:]...)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(recordPath(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	return b, want
}

// split takes a record file apart into its frames.
func split(b []byte) (frames [][]byte) {
	for len(b) > 0 {
		n := spool.EpochSize
		if string(b[:4]) != spool.EpochMagic {
			n = int(binary.BigEndian.Uint32(b)) + spool.RecordExtra
		}
		frames = append(frames, b[:n])
		b = b[n:]
	}
	return frames
}

// checkHonest fails unless reading b gives a prefix of want, then perhaps an error, and goes on with nothing that is
// not in want, in order.
func checkHonest(t *testing.T, what string, b []byte, want []rec) (prefix int, err error) {
	t.Helper()
	r := spool.BytesReader("a", key, b)
	got, err := collect(r)
	if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
		t.Fatalf("%s: wrong records: %v", what, got)
	}
	rest := want
	all, _ := salvage(r)
	for _, x := range all {
		i := slices.Index(rest, x)
		if i < 0 {
			t.Fatalf("%s: behind damage: %v in %v", what, x, all)
		}
		rest = rest[i+1:]
	}
	return len(got), err
}

func TestTruncateAtEveryByte(t *testing.T) {
	b, want := sample(t)
	ends := map[int]int{0: -1} // length of the file after a frame → records in it
	n, at := 0, 0
	for _, f := range split(b) {
		at += len(f)
		if string(f[:4]) != spool.EpochMagic {
			n++
		}
		ends[at] = n
	}
	for cut := range b {
		n, err := checkHonest(t, fmt.Sprint("cut at ", cut), b[:cut], want)
		r := spool.BytesReader("a", key, b[:cut])
		_, _ = collect(r)
		full, whole := ends[cut]
		switch {
		case cut < spool.EpochSize:
			if !errors.Is(err, spool.ErrDamaged) {
				t.Errorf("cut at %d: without its first header: %v", cut, err)
			}
		case err != nil:
			t.Errorf("cut at %d: a torn tail is no error: %v", cut, err)
		case whole && (n != full || r.Dropped() != 0):
			t.Errorf("cut at %d, between records: %d records, %d dropped, want %d, 0", cut, n, r.Dropped(), full)
		case !whole && r.Dropped() == 0:
			t.Errorf("cut at %d: dropped bytes are not told", cut)
		}
	}
}

func TestZeroedTail(t *testing.T) { // a power loss can leave the length of the file and not the bytes
	b, want := sample(t)
	for cut := spool.EpochSize; cut < len(b); cut++ {
		z := slices.Concat(b[:cut], make([]byte, len(b)-cut))
		if _, err := checkHonest(t, fmt.Sprint("zeros from ", cut), z, want); err != nil {
			t.Errorf("zeros from %d: %v", cut, err)
		}
	}
}

func TestFlipEveryByte(t *testing.T) {
	b, want := sample(t)
	frames := split(b)
	last := len(b) - len(frames[len(frames)-1])
	for i := range b {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= mask
			n, err := checkHonest(t, fmt.Sprintf("byte %d ^ %#x", i, mask), c, want)
			if i < last && !errors.Is(err, spool.ErrDamaged) && n == len(want) {
				t.Errorf("byte %d ^ %#x: a change in the middle went unseen", i, mask)
			}
			second := len(frames[0]) + len(frames[1]) + len(frames[2]) + len(frames[3])
			header := i >= second && i < second+spool.EpochSize // its records cannot be told from a torn tail
			if i < last && !header && !errors.Is(err, spool.ErrDamaged) {
				t.Errorf("byte %d ^ %#x: error %v, %d records", i, mask, err, n)
			}
		}
	}
}

func TestFramesMoved(t *testing.T) {
	b, want := sample(t)
	f := split(b) // E0 0 1 2 E1 3 4 5
	join := func(idx ...int) (out []byte) {
		for _, i := range idx {
			out = append(out, f[i]...)
		}
		return out
	}
	if !bytes.Equal(join(0, 1, 2, 3, 4, 5, 6, 7), b) {
		t.Fatal("the sample has other frames")
	}
	for name, tt := range map[string]struct {
		file   []byte
		prefix int
		all    []rec
	}{
		"removed":                 {join(0, 1, 3, 4, 5, 6, 7), 1, slices.Concat(want[:1], want[2:])},
		"removed first":           {join(0, 2, 3, 4, 5, 6, 7), 0, want[1:]},
		"removed before an epoch": {join(0, 1, 2, 4, 5, 6, 7), 2, slices.Concat(want[:2], want[3:])},
		"swapped":                 {join(0, 1, 3, 2, 4, 5, 6, 7), 1, slices.Concat(want[:1], want[2:])},
		"duplicated":              {join(0, 1, 2, 2, 3, 4, 5, 6, 7), 2, want},
		"duplicated last":         {join(0, 1, 2, 3, 4, 5, 6, 7, 7), 6, want},
		"replayed first epoch":    {join(0, 1, 2, 3, 4, 5, 0, 1, 2, 3), 4, want[:4]},
		"garbage between":         {slices.Concat(join(0, 1, 2), []byte("garbage"), join(3, 4, 5, 6, 7)), 2, want},
		"zeros between":           {slices.Concat(join(0, 1, 2), make([]byte, 100), join(3, 4, 5, 6, 7)), 2, want},
		"first epoch gone":        {join(4, 5, 6, 7), 0, want[3:]},
		"first header gone":       {join(1, 2, 3, 4, 5, 6, 7), 0, want[3:]},
		"second header gone":      {join(0, 1, 2, 3, 5, 6, 7), 3, want[:3]},
		"empty":                   {nil, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := spool.BytesReader("a", key, tt.file)
			got, err := collect(r)
			if !slices.Equal(got, want[:tt.prefix]) {
				t.Errorf("prefix %v, want %d records", got, tt.prefix)
			}
			// The records of an epoch whose header was taken out look like noise: reading ends there, and says so.
			if unseen := name == "second header gone"; unseen != (err == nil) {
				t.Error("error:", err)
			} else if unseen && r.Dropped() == 0 {
				t.Error("dropped bytes are not told")
			}
			all, _ := salvage(r)
			if diff := cmp.Diff(tt.all, all); diff != "" {
				t.Error("behind the damage:", diff)
			}
		})
	}
}

func TestDamageError(t *testing.T) {
	b, _ := sample(t)
	f := split(b)
	c := slices.Concat(f[0], f[1], []byte("garbage"), f[3])
	_, err := collect(spool.BytesReader("a", key, c))
	var d *spool.DamageError
	if !errors.As(err, &d) {
		t.Fatal(err)
	}
	want := spool.DamageError{ID: "a", Offset: int64(len(f[0]) + len(f[1])), Bytes: 7, Lost: 1}
	if diff := cmp.Diff(want, *d); diff != "" {
		t.Error(diff)
	}
}

func TestReopenAfterEveryCut(t *testing.T) {
	b, want := sample(t)
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	w := create(t, s, "a")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for cut := spool.EpochSize; cut <= len(b); cut += 3 {
		if err := os.WriteFile(recordPath(dir, "a"), b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		before := spool.BytesReader("a", key, b[:cut])
		kept, err := collect(before)
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.Reopen("a", key)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if w.Dropped() != before.Dropped() {
			t.Errorf("cut at %d: Reopen dropped %d, the reader %d", cut, w.Dropped(), before.Dropped())
		}
		more := []rec{{7, "seven"}, {8, "eight"}}
		appendAll(t, w, more...)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Concat(want[:len(kept)], more), readAll(t, s, "a")); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
	}
}

func TestReopenKeepsDamage(t *testing.T) {
	b, want := sample(t)
	dir := t.TempDir()
	s := open(t, dir, spool.Options{})
	w := create(t, s, "a")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	c := bytes.Clone(b)
	c[spool.EpochSize+20] ^= 1 // the first record
	c = append(c, split(b)[7]...)
	if err := os.WriteFile(recordPath(dir, "a"), c, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := s.Reopen("a", key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, w, rec{9, "finished"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Reader("a", key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, errs := salvage(r)
	if diff := cmp.Diff(slices.Concat(want[1:], []rec{{9, "finished"}}), got); diff != "" || len(errs) != 2 {
		t.Error(diff, errs)
	}
}

func FuzzReader(f *testing.F) {
	b, want := sample(f)
	f.Add(b)
	f.Add(b[:spool.EpochSize])
	f.Add(slices.Concat(b, b))
	f.Add([]byte("GSPL\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		checkHonest(t, "fuzzed", b, want)
	})
}
