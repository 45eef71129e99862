package storage_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7/pkg/lifecycle"

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

// FuzzLifecycle reads rules as a service may have them. One of ours that is not altered is written as it was read.
func FuzzLifecycle(f *testing.F) {
	for _, rule := range []string{
		"<ID>greffier-class-qa</ID><Status>Enabled</Status><Filter><Prefix>rec/qa/</Prefix></Filter><Expiration><Days>181</Days></Expiration><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
		"<ID>greffier-markers</ID><Status>Enabled</Status><Prefix>rec/</Prefix><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
		"<ID>greffier-uploads</ID><Status>Disabled</Status><Filter><Prefix>rec/</Prefix></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
		"<ID>others</ID><Status>Enabled</Status><Filter><And><Prefix>r</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter><Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration>",
		"<Status>Enabled</Status><Expiration><Days>-1</Days></Expiration>",
	} {
		f.Add([]byte("<LifecycleConfiguration><Rule>" + rule + "</Rule></LifecycleConfiguration>"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var config lifecycle.Configuration
		if xml.Unmarshal(b, &config) != nil {
			return
		}
		have := storage.ReadRules(config.Rules)
		if len(have.Ours)+len(have.Others) != len(config.Rules) || len(have.Covering) > len(have.Others) {
			t.Errorf("%d rules became %+v", len(config.Rules), have)
		}
		for _, r := range have.Ours {
			if r.Altered {
				continue
			}
			if again := storage.ReadRules([]lifecycle.Rule{storage.WriteRule(r)}); len(again.Ours) != 1 || again.Ours[0] != r {
				t.Errorf("%+v is written and read as %+v", r, again)
			}
		}
	})
}
