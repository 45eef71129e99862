package storage_test

import (
	"bytes"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/storage"
)

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{
		"rec/qa/2026/11/23/0193f1f0/recording.wav.age", "a", "", "/", "a//b", "a/../b", ".", "..", ".a", "a/.b", "a b", "é", "a\x00", "@v", strings.Repeat("a", 129),
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := storage.CheckKey(key)
		if err != nil {
			if !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("CheckKey(%q): %v", key, err)
			}
			return
		}
		// What is accepted stays where it belongs, on any system.
		if path.Clean(key) != key || path.IsAbs(key) || !filepath.IsLocal(filepath.FromSlash(key)) || strings.ContainsAny(key, "@\\: %\x00") || len(key) > storage.MaxKeyBytes {
			t.Errorf("CheckKey(%q) accepts it", key)
		}
		for i := range len(key) {
			if err := storage.CheckPrefix(key[:i]); err != nil {
				t.Errorf("CheckPrefix(%q): %v", key[:i], err)
			}
		}
	})
}

const goodMeta = `{
  "format": 1,
  "key": "rec/qa/x",
  "version_id": "18a1b2c3d4e5f60718a1b2c3d4e5f607",
  "size": 7,
  "sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
  "modified": "2026-11-23T10:00:00.5Z",
  "content_type": "application/octet-stream",
  "metadata": {
    "id": "1"
  },
  "retention": {
    "mode": "COMPLIANCE",
    "until": "2031-11-23T10:00:00Z"
  },
  "legal_hold": true
}
`

func FuzzParseDirMeta(f *testing.F) {
	f.Add([]byte(goodMeta))
	for _, change := range [][2]string{
		{`"format": 1`, `"format": 2`}, {"COMPLIANCE", "compliance"}, {"2031-11-23T10:00:00Z", "2031-11-23T10:00:00.1+02:00"}, {"rec/qa/x", "../x"},
		{`"size": 7`, `"size": -7`}, {`"legal_hold"`, `"hold"`}, {"}\n", "}{}"}, {`"modified"`, `"MODIFIED"`},
	} {
		f.Add([]byte(strings.Replace(goodMeta, change[0], change[1], 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := storage.ParseDirMeta(b)
		if err != nil {
			if !errors.Is(err, storage.ErrMismatch) {
				t.Errorf("error %v does not wrap ErrMismatch", err)
			}
			return
		}
		again, err := storage.EncodeAgain(m)
		if err != nil {
			t.Fatal(err)
		}
		n, err := storage.ParseDirMeta(again)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		if diff := cmp.Diff(m, n); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDirMetaForm(t *testing.T) {
	m, err := storage.ParseDirMeta([]byte(goodMeta))
	if err != nil {
		t.Fatal(err)
	}
	b, err := storage.EncodeAgain(m)
	if err != nil || !bytes.Equal(b, []byte(goodMeta)) {
		t.Errorf("the form of meta.json changed: %v\n%s", err, cmp.Diff(goodMeta, string(b)))
	}
	for _, change := range [][2]string{
		{`"format": 1`, `"format": 2`}, {`"format": 1,`, ``}, {"COMPLIANCE", "compliance"}, {"10:00:00Z", "10:00:00.1Z"}, {"rec/qa/x", "../x"}, {`"size": 7`, `"size": -7`},
		{`"legal_hold"`, `"hold"`}, {"true\n}\n", "true\n}\n{}"}, {`"18a1`, `"8a1`}, {"ed70", "ED70"}, {`"2026-11-23T10:00:00.5Z"`, `null`}, {`"mode": "COMPLIANCE",`, ``},
	} {
		bad := strings.Replace(goodMeta, change[0], change[1], 1)
		if bad == goodMeta {
			t.Fatalf("%q is not there", change[0])
		}
		if _, err := storage.ParseDirMeta([]byte(bad)); !errors.Is(err, storage.ErrMismatch) {
			t.Errorf("%q instead of %q: %v, want ErrMismatch", change[1], change[0], err)
		}
	}
}
