package recorder_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

// TestR15DocumentsOutliveTheSound: a year after the call, and half a year after the sound, its evaluation opens and says so; then it
// goes, key first.
func TestR15DocumentsOutliveTheSound(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		id := l.call(training())
		doc, err := recorder.NewAnalysis(recorder.Evaluation, []byte(`{"greeting": 5, "said by Ada": "secret words"}`))
		if err != nil {
			t.Fatal(err)
		}
		docID, err := l.archive.Annotate(t.Context(), id, doc, "os:eve")
		if err != nil {
			t.Fatal(err)
		}
		open := func(want catalog.State) {
			t.Helper()
			got, err := l.archive.Analysis(t.Context(), docID, "os:eve")
			if err != nil || got.Audio != want || got.Kind != recorder.Evaluation || got.WrittenBy != "os:eve" || got.Recording != id || !bytes.Contains(got.JSON, []byte("secret words")) {
				t.Errorf("opened %+v, %v, want sound that is %s", got, err, want)
			}
		}
		open(catalog.StateStored)
		l.at(callEnd.AddDate(0, 0, 1))
		l.at(l.row(id).RetainUntil)
		l.at(l.row(id).RetainUntil.Add(10 * time.Second))
		open(catalog.StateExpired)
		if n := l.objects("rec/"); n != 0 {
			t.Errorf("%d objects of the recording are left", n)
		}
		l.agree()
		l.rebuild()
		open(catalog.StateExpired)
		end := callEnd.AddDate(1, 0, 0).Truncate(time.Second).Add(time.Second)
		if docs, err := l.archive.Analyses(t.Context(), id); err != nil || len(docs) != 1 || !docs[0].RetainUntil.Equal(end) || docs[0].Kind != "evaluation" {
			t.Errorf("documents %+v, %v", docs, err)
		}
		l.at(end.Add(-time.Second))
		open(catalog.StateExpired)
		l.at(end)
		l.keyIs(docID, seal.ErrDestroyed)
		l.at(end.Add(10 * time.Second))
		if n := l.objects("ana/"); n != 0 {
			t.Errorf("%d documents are left", n)
		}
		if _, err := l.archive.Analysis(t.Context(), docID, "os:eve"); !errors.Is(err, catalog.ErrNotFound) {
			t.Errorf("opened after its term: %v", err)
		}
		if n := l.tells(id, recorder.EventAnalysisExpired, audit.Done); n != 1 {
			t.Errorf("it expired %d times", n)
		}
		if w, v := l.tells(id, recorder.EventAnalysisWritten, audit.Done), l.tells(id, recorder.EventViewed, ""); w != 1 || v < 4 {
			t.Errorf("it is witnessed that it was written %d times and viewed %d times", w, v)
		}
		l.namesNobody()
		l.agree()
		l.rebuild()
		l.agree()
	})
}

// TestR15Terms: without a term of their own documents go with the recording, and with what is destroyed they go at once.
func TestR15Terms(t *testing.T) {
	onBoth(t, func(t *testing.T, l later) {
		class := training()
		class.AnalysisRetention = policy.Period{}
		id, other := l.call(class), l.call(training())
		docID, err := l.archive.Annotate(t.Context(), id, note(t, "as long as the sound"), "eve")
		if err != nil {
			t.Fatal(err)
		}
		gone, err := l.archive.Annotate(t.Context(), other, note(t, "what was said"), "eve")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.DestroyStored(t.Context(), other, "objected"); err != nil {
			t.Fatal(err)
		}
		l.keyIs(gone, seal.ErrDestroyed)
		l.at(callEnd.AddDate(0, 0, 1))
		if n := l.objects("ana/"); n != 1 {
			t.Errorf("%d documents are left", n)
		}
		l.agree()
		l.at(l.row(id).RetainUntil)
		l.keyIs(id, seal.ErrDestroyed)
		l.keyIs(docID, seal.ErrDestroyed)
	})
}

// TestAnnotateFails: whatever call of the store fails, there is a document or none, and verification finds nothing wrong.
func TestAnnotateFails(t *testing.T) {
	for _, effect := range []storagetest.Effect{storagetest.NotDone, storagetest.DoneButLost} {
		t.Run(strings.ReplaceAll(string(effect), " ", "-"), func(t *testing.T) {
			l := newLater(t)
			id := l.call(training())
			l.store.Script(storagetest.Fault{Op: storagetest.OpPut, Suffix: ".json.age", Effect: effect})
			if _, err := l.archive.Annotate(t.Context(), id, note(t, "x"), "eve"); err == nil {
				t.Fatal("written while the store is away")
			}
			docs, err := l.archive.Analyses(t.Context(), id)
			if err != nil || len(docs) != 1 || docs[0].State != catalog.AnalysisWriting {
				t.Fatalf("documents %+v, %v", docs, err)
			}
			if _, err := l.archive.Analysis(t.Context(), docs[0].ID, "eve"); !errors.Is(err, recorder.ErrNotPlayable) {
				t.Errorf("opened: %v", err)
			}
			l.agree()
			l.at(callEnd.AddDate(0, 0, 1))
			l.at(docs[0].RetainUntil)
			l.at(docs[0].RetainUntil.Add(10 * time.Second))
			if n := l.objects("ana/"); n != 0 {
				t.Errorf("%d documents are left", n)
			}
			l.keyIs(docs[0].ID, seal.ErrDestroyed)
			l.agree()
		})
	}
}

// TestNewAnalysis: what can be a document, and what it becomes.
func TestNewAnalysis(t *testing.T) {
	for content, wantJSON := range map[string]bool{`{"a": 1}`: true, "[1, 2]\n": true, "17": false, "hello": false, "{no json": false} {
		if d, err := recorder.NewAnalysis(recorder.Transcript, []byte(content)); err != nil || (len(d.JSON) > 0) != wantJSON {
			t.Errorf("%q is %+v, %v", content, d, err)
		}
	}
	for name, content := range map[string]string{"empty": "", "not UTF-8": "\xff\xfe", "too long": strings.Repeat("x", recorder.MaxAnalysis+1)} {
		if _, err := recorder.NewAnalysis(recorder.Note, []byte(content)); !errors.Is(err, recorder.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := recorder.NewAnalysis("poem", []byte("x")); !errors.Is(err, recorder.ErrRefused) {
		t.Errorf("a poem: %v", err)
	}
}

func FuzzDecodeAnalysis(f *testing.F) {
	f.Add([]byte(`{"format":"greffier-analysis/1","id":"a","kind":"note","text":"x","audio":"stored"}`))
	f.Add([]byte(`{"format":"greffier-analysis/1","json":{"a":[1,null]}}`))
	f.Add([]byte(`{"format":"greffier-analysis/2"}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := recorder.DecodeAnalysis(bytes.NewReader(file))
		if err != nil {
			return
		}
		if d.Format != recorder.AnalysisFormat || d.Audio != "" {
			t.Errorf("decoded %+v", d)
		}
		if _, err := json.Marshal(d); err != nil {
			t.Error(err)
		}
	})
}
