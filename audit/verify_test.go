package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greffier/greffier/audit"
)

// logCopy is a log whose files can be changed.
type logCopy struct {
	t     *testing.T
	dir   string
	lines []byte
}

func newLogCopy(t *testing.T) *logCopy {
	t.Helper()
	c := &logCopy{t: t, dir: t.TempDir()}
	fixture(t, c.dir, audit.Options{})
	var err error
	if c.lines, err = os.ReadFile(filepath.Join(c.dir, "log.jsonl")); err != nil {
		t.Fatal(err)
	}
	return c
}

// verify judges other lines under the same head.
func (c *logCopy) verify(lines []byte) error {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, "log.jsonl"), lines, 0o600); err != nil {
		c.t.Fatal(err)
	}
	_, err := audit.Verify(c.dir)
	return err
}

func TestFlipEveryByte(t *testing.T) {
	c := newLogCopy(t)
	seq := int64(0)
	for i, was := range c.lines {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			b := bytes.Clone(c.lines)
			b[i] ^= mask
			err := c.verify(b)
			var v *audit.VerifyError
			if !errors.As(err, &v) {
				t.Fatalf("byte %d ^ %#x of entry %d: %v", i, mask, seq, err)
			}
			if v.Seq < seq-1 || v.Seq > seq+1 {
				t.Errorf("byte %d ^ %#x of entry %d: blames entry %d: %v", i, mask, seq, v.Seq, err)
			}
			// Without a head the last entry cannot be judged.
			if _, err := audit.VerifyLines(bytes.NewReader(b)); err == nil && seq < 5 {
				t.Errorf("byte %d ^ %#x of entry %d: VerifyLines saw nothing", i, mask, seq)
			}
		}
		if was == '\n' {
			seq++
		}
	}
	if err := c.verify(c.lines); err != nil {
		t.Error("unchanged:", err)
	}
}

func TestTruncateAtEveryByte(t *testing.T) {
	c := newLogCopy(t)
	for n := range c.lines {
		err := c.verify(c.lines[:n])
		var v *audit.VerifyError
		if !errors.As(err, &v) || v.Problem != audit.Truncated || v.Seq != int64(bytes.Count(c.lines[:n], []byte("\n"))) {
			t.Fatalf("cut at %d: %v", n, err)
		}
		if _, err := audit.Open(c.dir, audit.Options{}); !errors.As(err, &v) {
			t.Fatalf("cut at %d: Open: %v", n, err)
		}
	}
}

func TestLinesMoved(t *testing.T) {
	c := newLogCopy(t)
	l := bytes.SplitAfter(c.lines, []byte("\n")) // 6 entries and an empty rest
	pick := func(idx ...int) (b []byte) {
		for _, i := range idx {
			b = append(b, l[i]...)
		}
		return b
	}
	for name, tt := range map[string]struct {
		lines   []byte
		problem audit.Problem
		seq     int64
		export  bool // does it show without the head, too?
	}{
		"removed":         {pick(0, 1, 3, 4, 5), audit.Removed, 2, true},
		"first removed":   {pick(1, 2, 3, 4, 5), audit.Removed, 0, true},
		"last removed":    {pick(0, 1, 2, 3, 4), audit.Truncated, 5, false},
		"all removed":     {nil, audit.Truncated, 0, true},
		"swapped":         {pick(0, 1, 3, 2, 4, 5), audit.Removed, 2, true},
		"moved back":      {pick(0, 1, 2, 3, 1, 4, 5), audit.Reordered, 1, true},
		"duplicated":      {pick(0, 1, 2, 2, 3, 4, 5), audit.Duplicated, 2, true},
		"last duplicated": {pick(0, 1, 2, 3, 4, 5, 5), "", 0, true},
		"garbage":         {slices.Concat(pick(0, 1), []byte("garbage\n"), pick(2, 3, 4, 5)), audit.Garbage, 2, true},
		"empty line":      {slices.Concat(pick(0, 1), []byte("\n"), pick(2, 3, 4, 5)), audit.Garbage, 2, true},
		"no newline":      {slices.Concat(pick(0, 1, 2, 3, 4), bytes.TrimSpace(l[5])), audit.Truncated, 5, true},
		"zeros":           {slices.Concat(pick(0, 1), make([]byte, 3), pick(2, 3, 4, 5)), audit.Garbage, 2, true},
		"endless line":    {slices.Concat(pick(0), bytes.Repeat([]byte("x"), 200_000)), audit.Altered, 1, true},
		"carriage return": {slices.Concat(pick(0), bytes.ReplaceAll(l[1], []byte("\n"), []byte("\r\n")), pick(2, 3, 4, 5)), audit.Garbage, 1, true},
		"white space":     {slices.Concat(pick(0), bytes.Replace(l[1], []byte(`,"id"`), []byte(`, "id"`), 1), pick(2, 3, 4, 5)), audit.Garbage, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.verify(tt.lines)
			var v *audit.VerifyError
			if tt.problem == "" { // behind the head: like what a crash leaves, cut off by the next Open
				rep, err := audit.Verify(c.dir)
				if err != nil || rep.Torn == 0 {
					t.Errorf("%+v %v", rep, err)
				}
			} else if !errors.As(err, &v) || v.Problem != tt.problem || v.Seq != tt.seq {
				t.Errorf("%v, want %s at %d", err, tt.problem, tt.seq)
			}
			if _, err := audit.VerifyLines(bytes.NewReader(tt.lines)); (err != nil) != tt.export {
				t.Error("VerifyLines:", err)
			}
		})
	}
}

// Somebody rewrites an entry and every hash behind it, but not the head.
func TestRewrittenChain(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	fixture(t, one, fixed())
	n := 0
	o := fixed().WithRandom(func() string { n++; return fmt.Sprintf("%032x", 7*n) })
	fixture(t, two, o)
	b, err := os.ReadFile(filepath.Join(two, "log.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.VerifyLines(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(one, "log.jsonl"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(one); err == nil || !strings.Contains(err.Error(), "altered") {
		t.Error(err)
	}
	if _, err := audit.Open(one, audit.Options{}); err == nil {
		t.Error("opened")
	}
}

// Any one byte of the head may go: the other slot is there, and the lines behind it are judged by their chain.
func TestFlipEveryByteOfHead(t *testing.T) {
	c := newLogCopy(t)
	path := filepath.Join(c.dir, "head")
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(was); i += 13 {
		b := bytes.Clone(was)
		b[i] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if rep, err := audit.Verify(c.dir); err != nil || rep.Entries != 6 {
			t.Fatalf("byte %d: %+v %v", i, rep, err)
		}
	}
	for name, b := range map[string][]byte{
		"empty": nil, "zeros": make([]byte, len(was)), "swapped": slices.Concat(was[4096:], was[:4096]), "half": was[:4000],
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var v *audit.VerifyError
		if _, err := audit.Verify(c.dir); !errors.As(err, &v) || v.Problem != audit.BadHead {
			t.Error(name, err)
		}
		if _, err := audit.Open(c.dir, audit.Options{}); !errors.As(err, &v) || v.Problem != audit.BadHead {
			t.Error(name, err)
		}
	}
}

func TestMissingFiles(t *testing.T) {
	for name, want := range map[string]audit.Problem{"head": audit.BadHead, "log.jsonl": audit.Truncated} {
		c := newLogCopy(t)
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil {
			t.Fatal(err)
		}
		var v *audit.VerifyError
		if _, err := audit.Verify(c.dir); !errors.As(err, &v) || v.Problem != want {
			t.Error(name, err)
		}
		if _, err := audit.Open(c.dir, audit.Options{}); !errors.As(err, &v) || v.Problem != want {
			t.Error(name, err)
		}
	}
	c := newLogCopy(t)
	if err := os.Remove(filepath.Join(c.dir, "lock")); err != nil { // a copy for an auditor
		t.Fatal(err)
	}
	if err := c.verify(c.lines); err != nil {
		t.Error(err)
	}
	empty := t.TempDir()
	if _, err := audit.Verify(empty); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for _, err := range audit.Read(empty) {
		if !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
}

func TestReadStopsAtDamage(t *testing.T) {
	c := newLogCopy(t)
	b := bytes.Replace(c.lines, []byte("recording.stored"), []byte("recording.stolen"), 1) // entry 2
	_ = c.verify(b)
	var seqs []int64
	var last error
	for e, err := range audit.Read(c.dir) {
		if last = err; err == nil {
			seqs = append(seqs, e.Seq)
		}
	}
	if !slices.Equal(seqs, []int64{0, 1, 2}) || last == nil || !strings.Contains(last.Error(), "entry 2: altered") {
		t.Error(seqs, last)
	}
	for range audit.Read(c.dir) {
		break // and no panic
	}
}

func FuzzVerifyLines(f *testing.F) {
	b, err := os.ReadFile("testdata/format1.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.SplitAfter(b, []byte("\n"))[0])
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rep, err := audit.VerifyLines(bytes.NewReader(b))
		if err == nil && int(rep.Entries) != bytes.Count(b, []byte("\n")) {
			t.Errorf("%d entries", rep.Entries)
		}
		for line := range bytes.Lines(b) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if again, err := audit.Rewrite(line); err == nil && !bytes.Equal(line, again) {
				t.Errorf("two ways to write an entry:\n%q\n%q", line, again)
			}
		}
	})
}
