package recorder_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
)

// onDir opens a bench on a directory, whose files a test may change.
func onDir(t *testing.T) later {
	t.Helper()
	clock := &stoppedClock{at: callEnd}
	dir := t.TempDir()
	store, err := storage.NewDir(filepath.Join(dir, "store"), storage.DirOptions{Clock: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return newLaterOn(t, dir, store, clock)
}

// lockedCall makes a call that is locked at once.
func (l later) lockedCall() string {
	l.t.Helper()
	class := training()
	class.Quarantine = policy.Period{}
	return l.call(class)
}

// version gives the directory of a version in a directory store.
func (l later) version(ref storage.Ref) string {
	return filepath.Join(l.dir, "store", "objects", filepath.FromSlash(ref.Key), "@"+ref.VersionID)
}

// edit changes what stands beside the bytes of a version, as somebody with an editor.
func (l later) edit(ref storage.Ref, change func(meta map[string]any)) {
	l.t.Helper()
	file := filepath.Join(l.version(ref), "meta.json")
	b, err := os.ReadFile(file)
	l.must(err)
	var meta map[string]any
	l.must(json.Unmarshal(b, &meta))
	change(meta)
	b, err = json.Marshal(meta)
	l.must(err)
	l.must(os.WriteFile(file, b, 0o600))
}

func (l later) audioOf(id string) storage.Ref {
	row := l.row(id)
	return storage.Ref{Key: row.Audio.Key, VersionID: row.Audio.Version}
}

// round makes one, and gives what it found and what became an event of it.
func (l later) round(a recorder.Archive) (found []recorder.Finding, events []audit.Entry) {
	l.t.Helper()
	a.Holder = "test"
	var last uint64
	for e, err := range audit.Read(a.AuditDir) {
		l.must(err)
		last = uint64(e.Seq)
	}
	rep, err := a.Round(l.t.Context(), atOnce)
	l.must(err)
	for e, err := range audit.Read(a.AuditDir) {
		l.must(err)
		if uint64(e.Seq) > last {
			events = append(events, e)
		}
	}
	return rep.Problems, events
}

// TestFindingsBecomeEvents: what somebody did behind our back is found, by its kind, and stands in the audit log with the recording that it
// is about and without what a stranger named it.
func TestFindingsBecomeEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		kind recorder.FindingKind
		text string
		do   func(l later, id string, a *recorder.Archive)
	}{
		{"a version was deleted", recorder.RetentionEarlyLoss, "is not in the store", func(l later, id string, _ *recorder.Archive) {
			l.must(os.RemoveAll(l.version(l.audioOf(id))))
		}},
		{"a key was deleted", recorder.RetentionEarlyLoss, "its key", func(l later, id string, _ *recorder.Archive) {
			files, _ := filesOf(l.t, filepath.Join(l.dir, "keys"), id+".age")
			l.must(os.Remove(files[0]))
		}},
		{"a key was destroyed and nobody witnessed it", recorder.RetentionEarlyLoss, "its key", func(l later, id string, a *recorder.Archive) {
			l.must(a.Keys.Destroy(l.t.Context(), id))
		}},
		{"a lock was taken off", recorder.RetentionEarlyLoss, "is locked", func(l later, id string, _ *recorder.Archive) {
			l.edit(l.audioOf(id), func(m map[string]any) { delete(m, "retention") })
		}},
		{"a lock was made shorter", recorder.RetentionEarlyLoss, "is locked", func(l later, id string, _ *recorder.Archive) {
			l.edit(l.audioOf(id), func(m map[string]any) { m["retention"].(map[string]any)["until"] = "2028-01-01T00:00:00Z" })
		}},
		{"a strange object was put", recorder.Orphan, "nothing that Greffier stores", func(l later, _ string, a *recorder.Archive) {
			_, err := a.Store.Put(l.t.Context(), "rec/Ada.Customer/recording.wav.age", strings.NewReader("x"), 1, storage.PutOptions{})
			l.must(err)
		}},
		{"a strange file was put", recorder.Orphan, "no version of an object", func(l later, id string, _ *recorder.Archive) {
			l.must(os.WriteFile(filepath.Join(filepath.Dir(l.version(l.audioOf(id))), "Ada.Customer"), []byte("x"), 0o600))
		}},
		{"an object was put beside a recording", recorder.Orphan, "does not belong to the recording", func(l later, id string, a *recorder.Archive) {
			_, err := a.Store.Put(l.t.Context(), filepath.Dir(l.audioOf(id).Key)+"/notes.txt", strings.NewReader("x"), 1, storage.PutOptions{})
			l.must(err)
		}},
		{"a newer version was put over a recording", recorder.Orphan, "another version", func(l later, id string, _ *recorder.Archive) {
			ref := l.audioOf(id)
			newer := ref
			newer.VersionID = "ffff" + ref.VersionID[4:]
			l.must(os.CopyFS(l.version(newer), os.DirFS(l.version(ref))))
			l.edit(newer, func(m map[string]any) { m["version_id"], m["modified"] = newer.VersionID, "2030-01-01T00:00:00Z" })
		}},
		{"a row was taken out of the catalog", recorder.Orphan, "not in the catalog", func(l later, id string, a *recorder.Archive) {
			l.must(a.Catalog.Delete(l.t.Context(), id))
		}},
		{"a strange key was made", recorder.Orphan, "a key of which neither", func(l later, _ string, a *recorder.Archive) {
			_, err := a.Keys.Create(l.t.Context(), "Ada-Customer")
			l.must(err)
		}},
		{"bytes were changed", recorder.HashMismatch, "its bytes have changed", func(l later, id string, _ *recorder.Archive) {
			file := filepath.Join(l.version(l.audioOf(id)), "data")
			b, err := os.ReadFile(file)
			l.must(err)
			b[len(b)/2] ^= 1
			l.must(os.WriteFile(file, b, 0o600))
		}},
		{"the term has ended and the key is there", recorder.RetentionOverdue, "its term ended 2h0m0s ago", func(l later, id string, a *recorder.Archive) {
			late := l.row(id).RetainUntil.Add(2 * time.Hour)
			a.Clock = func() time.Time { return late } // the recorder's goes on to stand still
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := onDir(t)
			id := l.lockedCall()
			l.agree()
			a := *l.archive
			c.do(l, id, &a)
			found, events := l.round(a)
			if !slices.ContainsFunc(found, func(f recorder.Finding) bool { return f.Kind == c.kind && strings.Contains(f.Text, c.text) }) {
				t.Errorf("found %+v, want %s: %s", found, c.kind, c.text)
			}
			l.toldOf(c.kind, found, events)
		})
	}
}

// toldOf expects the events of a round: one of a kind, at least, and the last, which counts.
func (l later) toldOf(kind recorder.FindingKind, found []recorder.Finding, events []audit.Entry) {
	l.t.Helper()
	n := 0
	for _, e := range events {
		if e.Type == string(kind) {
			n++
		}
		if bytes.Contains(e.Line, []byte("Ada")) || bytes.Contains(e.Line, []byte("Customer")) {
			l.t.Errorf("the log names somebody: %s", e.Line)
		}
	}
	var done recorder.Round
	last := events[len(events)-1]
	l.must(json.Unmarshal(last.Data, &done))
	if n == 0 || last.Type != recorder.EventVerified || done.Findings[kind] < n || done.Head == "" || done.Versions == 0 {
		l.t.Errorf("%d events of %s, and at the end %s %s; found %+v", n, kind, last.Type, last.Data, found)
	}
}

// TestClearTextIsVerified: whichever of the words that stand in clear beside an object is changed, it is found.
func TestClearTextIsVerified(t *testing.T) {
	l := onDir(t)
	id := l.lockedCall()
	doc, err := l.archive.Annotate(t.Context(), id, recorder.Analysis{Kind: recorder.Note, Text: "calm"}, "eve")
	l.must(err)
	l.agree()
	row := l.row(id)
	entry, err := l.archive.Catalog.GetAnalysis(t.Context(), doc)
	l.must(err)
	changed := 0
	for _, ref := range []storage.Ref{
		l.audioOf(id), {Key: row.Sidecar.Key, VersionID: row.Sidecar.Version}, {Key: entry.Object.Key, VersionID: entry.Object.Version},
	} {
		file := filepath.Join(l.version(ref), "meta.json")
		before, err := os.ReadFile(file)
		l.must(err)
		info, err := l.archive.Store.Stat(t.Context(), ref)
		l.must(err)
		for name, value := range info.Metadata {
			for i := range value {
				wrong := []byte(value)
				wrong[i] ^= 1
				l.edit(ref, func(m map[string]any) { m["metadata"].(map[string]any)[name] = string(wrong) })
				v, err := l.archive.Verifying(t.Context())
				l.must(err)
				got, err := v.Recording(t.Context(), id)
				l.must(err)
				docs, err := v.Document(t.Context(), doc)
				l.must(err)
				if !slices.ContainsFunc(append(got, docs...), func(f recorder.Finding) bool { return f.Kind == recorder.HashMismatch }) {
					t.Errorf("%s of %s is %q, and found is %+v", name, ref.Key, wrong, got)
				}
				changed++
			}
		}
		l.must(os.WriteFile(file, before, 0o600))
	}
	if changed < 300 {
		t.Errorf("%d bytes were changed", changed)
	}
	l.agree()
}
