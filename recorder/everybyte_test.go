package recorder_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// shortest is the length of a recording of which every byte is changed.
const shortest = 100 * time.Millisecond

// flipAll changes one bit of every byte of a file, one byte after the other, and expects each change to be found. It gives how many
// bytes it changed.
func flipAll(t *testing.T, path string, found func() bool) (flipped int) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	missed := 0
	for i, b := range whole {
		if _, err := f.WriteAt([]byte{b ^ 1<<(i%8)}, int64(i)); err != nil {
			t.Fatal(err)
		}
		if !found() && missed < 10 {
			missed++
			t.Errorf("byte %d of %d of %s is changed from %q to %q, and nothing is found", i, len(whole), filepath.Base(path), b, b^1<<(i%8))
		}
		flipped++
		if _, err := f.WriteAt([]byte{b}, int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, whole) {
		t.Fatalf("%s is not what it was: %v", path, err)
	}
	return flipped
}

// filesOf lists the files below a directory that have a name, or all, and sums their sizes.
func filesOf(t *testing.T, dir, name string) (files []string, size int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name != "" && d.Name() != name {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			files, size = append(files, path), size+int(info.Size())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, size
}

// TestVerifyFindsEveryFlippedByte: whichever byte changes of the sound, the sidecar or a document in the store, of their keys, or of the
// audit log, verify finds it. Two things need not be found, because they change nothing: one of the two slots of the log's head, of which
// the other says the same or is caught up with the entries, and the tombstone of a key, which stays destroyed.
func TestVerifyFindsEveryFlippedByte(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	clock := &stoppedClock{at: callEnd}
	dir := t.TempDir()
	store, err := storage.NewDir(filepath.Join(dir, "store"), storage.DirOptions{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	l := newLaterOn(t, dir, store, clock)
	const id = "01990000-0000-7000-8000-999999999999"
	class := training()
	class.Quarantine = policy.Period{}
	l.must(l.Make(ctx, recorder.Made{ID: id, Class: class, At: callEnd.Add(-shortest), Length: shortest, Metadata: []byte(twoParties)}))
	l.settle()
	doc, err := l.archive.Annotate(ctx, id, recorder.Analysis{Kind: recorder.Note, Text: "calm"}, "eve")
	l.must(err)
	l.agree()
	v, err := l.archive.Verifying(ctx)
	l.must(err)
	recording := func() bool { got, err := v.Recording(ctx, id); return err == nil && len(got) > 0 }
	document := func() bool { got, err := v.Document(ctx, doc); return err == nil && len(got) > 0 }
	if recording() || document() || len(v.Log()) > 0 {
		t.Fatal("something is found before anything is changed")
	}

	flipped, sizes := 0, 0
	objects, size := filesOf(t, filepath.Join(dir, "store", "objects"), "data")
	sizes += size
	for _, file := range objects {
		found := recording
		if bytes.Contains([]byte(file), []byte(doc)) {
			found = document
		}
		flipped += flipAll(t, file, found)
	}
	for key, found := range map[string]func() bool{id: recording, doc: document} {
		files, size := filesOf(t, filepath.Join(dir, "keys"), key+".age")
		sizes += size
		for _, file := range files {
			flipped += flipAll(t, file, found)
		}
		objects = append(objects, files...)
	}
	log, size := filesOf(t, filepath.Join(dir, "audit"), "")
	sizes += size
	for _, file := range log {
		flipped += flipAll(t, file, func() bool { return len(v.Log()) > 0 || v.Same() && filepath.Base(file) == "head" })
	}
	if len(objects) != 5 || len(log) < 2 || flipped != sizes {
		t.Errorf("%d bytes were changed of %d, in %d objects and keys and %d files of the log", flipped, sizes, len(objects), len(log))
	}
	t.Logf("%d of %d bytes were changed, one at a time: %d objects and keys, %d files of the audit log", flipped, sizes, len(objects), len(log))
	l.agree()
	tombstoneStands(t, l, id)
}

// tombstoneStands destroys a key, and expects it to stay destroyed whatever becomes of its tombstone, and verify to find every change but
// those of its time.
func tombstoneStands(t *testing.T, l later, id string) {
	t.Helper()
	l.must(l.archive.Keys.Destroy(t.Context(), id))
	v, err := l.archive.Verifying(context.Background())
	l.must(err)
	files, _ := filesOf(t, filepath.Join(l.dir, "keys"), id+".destroyed")
	if len(files) != 1 {
		t.Fatalf("tombstones: %v", files)
	}
	unseen := 0
	flipAll(t, files[0], func() bool {
		if _, err := l.archive.Keys.Get(t.Context(), id); !errors.Is(err, seal.ErrDestroyed) {
			t.Errorf("the key is back: %v", err)
		}
		if len(v.Tombstones(t.Context())) == 0 {
			unseen++
		}
		return true
	})
	t.Logf("%d changes of a tombstone are not seen, and change nothing", unseen)
}
