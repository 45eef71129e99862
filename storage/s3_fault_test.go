package storage_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// losing stands between a client and the service: it passes every request on, and drops the answer of the first that is lost.
type losing struct {
	proxy *httputil.ReverseProxy
	lost  func(*http.Request) bool

	mu   sync.Mutex
	done bool
}

func (l *losing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	lose := !l.done && l.lost(r)
	l.done = l.done || lose
	l.mu.Unlock()
	if !lose {
		l.proxy.ServeHTTP(w, r)
		return
	}
	l.proxy.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

func newLosing(t *testing.T, m *storagetest.MinIO, lost func(*http.Request) bool) (*losing, string) {
	t.Helper()
	pem, err := os.ReadFile(m.Config.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	target, err := url.Parse(m.Config.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	l := &losing{lost: lost, proxy: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
	}}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return l, server.URL
}

// An answer that is lost must not make a difference: the client asks again, and finds what it did.
func testLostAnswers(t *testing.T, m *storagetest.MinIO) {
	hour := storage.Retention{Mode: storage.Governance, Until: time.Now().Add(time.Hour)}.Rounded()
	for _, test := range []struct {
		name string
		lost func(*http.Request) bool
	}{
		{"put", func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.RawQuery == "" }},
		{"new upload", func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }},
		{"part", func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" }},
		{"complete upload", func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }},
		{"retention", func(r *http.Request) bool { return r.URL.Query().Has("retention") }},
		{"legal hold", func(r *http.Request) bool { return r.URL.Query().Has("legal-hold") }},
		{"delete", func(r *http.Request) bool { return r.Method == http.MethodDelete && r.URL.Query().Has("versionId") }},
		{"head", func(r *http.Request) bool { return r.Method == http.MethodHead }},
		{"get", func(r *http.Request) bool { return r.Method == http.MethodGet && r.Header.Get("Range") != "" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			bucket := m.NewBucket(t).Bucket()
			proxy, address := newLosing(t, m, test.lost)
			cfg := m.Config
			cfg.Endpoint, cfg.Bucket, cfg.CAFile = address, bucket, ""
			s := newStore(t, cfg)

			const size = 11 << 20
			big, err := s.Put(ctx, "big", zeros{}, size, storage.PutOptions{})
			if err != nil {
				t.Fatal(err)
			}
			small := put(t, s, "small", "content", storage.PutOptions{Retention: hour})
			gone := put(t, s, "gone", "content", storage.PutOptions{})
			for _, err := range []error{s.Lock(ctx, big, hour), s.Hold(ctx, big, true), s.Delete(ctx, gone)} {
				if err != nil {
					t.Error(err)
				}
			}
			var got []storage.Info
			for info, err := range s.List(ctx, "") {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := storage.Verify(ctx, s, info.Ref); err != nil {
					t.Error(err)
				}
				got = append(got, info)
			}
			if len(got) != 2 || got[0].Ref != big || got[1].Ref != small || !got[0].LegalHold || !got[0].Retention.Equal(hour) || !got[1].Retention.Equal(hour) {
				t.Errorf("versions: %+v", got)
			}
			if !proxy.done {
				t.Error("no answer was lost: the test did not test it")
			}
		})
	}
}

// zeros has no end and takes no memory.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// An upload that is cut off leaves neither an object nor parts, and its reader alone.
func testCutOff(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	const size = 20 << 20
	s := m.NewBucket(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cut := &cutting{after: size + size/2, cancel: cancel} // the first pass is the hash
	_, err := s.Put(ctx, "cut", cut, size, storage.PutOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want context.Canceled", err)
	}
	cut.finish(t)
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("left: %+v, %v", info, err)
	}
	for upload := range raw.ListIncompleteUploads(t.Context(), s.Bucket(), "", true) {
		t.Errorf("left: %+v", upload)
	}
	// A source that breaks in the second pass is no fault of the store's.
	fire := errors.New("disk on fire")
	_, err = s.Put(t.Context(), "cut", &cutting{after: size + size/2, cancel: func() {}, err: fire}, size, storage.PutOptions{})
	if !errors.Is(err, fire) || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Put with a broken source: %v", err)
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("left: %+v, %v", info, err)
	}
}

// cutting cancels, or breaks, after so many bytes were read in all.
type cutting struct {
	zeros
	after  int64
	cancel func()
	err    error

	mu   sync.Mutex
	read int64
	over bool
	late bool
}

func (c *cutting) ReadAt(p []byte, offset int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = c.late || c.over
	if c.read += int64(len(p)); c.read > c.after {
		c.cancel()
		if c.err != nil {
			return 0, c.err
		}
	}
	return c.zeros.ReadAt(p, offset)
}

// finish notes that Put has returned.
func (c *cutting) finish(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.late {
			t.Error("read after Put had returned")
		}
	})
}

// Content that changes between the hash and the sending must not be stored under the hash.
func testContentChanges(t *testing.T, m *storagetest.MinIO) {
	s := m.NewBucket(t)
	for _, size := range []int64{1000, 11 << 20} {
		_, err := s.Put(t.Context(), "changing", &changing{size: size}, size, storage.PutOptions{})
		if !errors.Is(err, storage.ErrMismatch) {
			t.Errorf("%d bytes: %v, want ErrMismatch", size, err)
		}
	}
	for info, err := range s.List(t.Context(), "") {
		t.Errorf("stored: %+v, %v", info, err)
	}
}

type changing struct {
	size int64
	mu   sync.Mutex
	read int64
}

func (c *changing) ReadAt(p []byte, offset int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := max(min(int64(len(p)), c.size-offset), 0)
	for i := range n {
		p[i] = 'a'
		if c.read+i >= c.size {
			p[i] = 'b'
		}
	}
	c.read += n
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func TestS3ErrorsAreShort(t *testing.T) {
	s := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, strings.Repeat("<html>", 100_000))
	})
	_, err := s.Put(t.Context(), "key", strings.NewReader("x"), 1, storage.PutOptions{})
	if err == nil || len(err.Error()) > 2000 || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("%d bytes of error: %.200v", len(err.Error()), err)
	}
}
