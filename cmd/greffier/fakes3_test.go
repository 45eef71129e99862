package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A fakeS3 answers what is asked of a bucket at the start, with a clock of its own.
type fakeS3 struct {
	server *httptest.Server
	skew   time.Duration
	locks  bool // it has object lock
}

func startFakeS3(t *testing.T, skew time.Duration) *fakeS3 {
	t.Helper()
	s := &fakeS3{skew: skew}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

// args point the program at it.
func (s *fakeS3) args(t *testing.T) []string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "s3-secret")
	if err := os.WriteFile(secret, []byte("secret-key"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--store-type", "s3", "--store-s3-endpoint", s.server.URL, "--store-s3-bucket", "calls", "--store-s3-region", "here",
		"--store-s3-path-style", "--store-s3-access-key", "access", "--store-s3-secret-key-file", secret}
}

// ServeHTTP implements http.Handler.
func (s *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/xml")
	switch query := r.URL.Query(); {
	case query.Has("versioning"):
		fmt.Fprint(w, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
	case query.Has("object-lock") && s.locks:
		fmt.Fprint(w, `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>`)
	case query.Has("object-lock"):
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>ObjectLockConfigurationNotFoundError</Code><Message>none</Message></Error>`)
	}
}
