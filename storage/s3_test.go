package storage_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/storagetest"
)

// rawTransport trusts the service, and nobody else.
func rawTransport(t *testing.T, caFile string) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// rawClient talks to the service without our care.
func rawClient(t *testing.T, cfg storage.S3Config) *minio.Client {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(cfg.Endpoint, "https://"), &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), ""), Secure: true, Transport: rawTransport(t, cfg.CAFile).Transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newStore(t *testing.T, cfg storage.S3Config) *storage.S3 {
	t.Helper()
	s, err := storage.NewS3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3(t *testing.T) {
	m := storagetest.StartMinIO(t)
	raw := rawClient(t, m.Config)
	t.Run("KeepsTheContract", func(t *testing.T) {
		buckets := make(map[storage.Store]string)
		storagetest.Run(t, func(t *testing.T) storage.Store {
			s := m.NewBucket(t)
			buckets[s] = s.Bucket()
			return s
		}, storagetest.Options{
			Mark: func(t *testing.T, s storage.Store, key string) {
				if err := raw.RemoveObject(t.Context(), buckets[s], key, minio.RemoveObjectOptions{}); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
	t.Run("Check", func(t *testing.T) { testS3Check(t, m, raw) })
	t.Run("ServiceItselfRefuses", func(t *testing.T) { testServiceItselfRefuses(t, m, raw) })
	t.Run("ForeignObjects", func(t *testing.T) { testForeignObjects(t, m, raw) })
	t.Run("LostAnswers", func(t *testing.T) { testLostAnswers(t, m) })
	t.Run("CutOff", func(t *testing.T) { testCutOff(t, m, raw) })
	t.Run("ContentChanges", func(t *testing.T) { testContentChanges(t, m) })
	t.Run("Credentials", func(t *testing.T) { testS3Credentials(t, m) })
	t.Run("Untrusted", func(t *testing.T) {
		cfg := m.Config
		cfg.CAFile = ""
		if err := newStore(t, cfg).Check(t.Context()); !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("Check: %v, want an error about the certificate", err)
		}
	})
	t.Run("Outage", func(t *testing.T) { testS3Outage(t, m) }) // last: it stops the service
}

func testS3Check(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	ctx := t.Context()
	with := func(bucket string) *storage.S3 {
		cfg := m.Config
		cfg.Bucket = bucket
		return newStore(t, cfg)
	}
	for bucket, make := range map[string]func(string) error{
		"no-bucket":   func(string) error { return nil },
		"no-versions": func(b string) error { return raw.MakeBucket(ctx, b, minio.MakeBucketOptions{}) },
		"no-lock": func(b string) error {
			return errors.Join(raw.MakeBucket(ctx, b, minio.MakeBucketOptions{}), raw.EnableVersioning(ctx, b))
		},
		"default-retention": func(b string) error {
			mode, days, unit := minio.Governance, uint(3), minio.Days
			return errors.Join(raw.MakeBucket(ctx, b, minio.MakeBucketOptions{ObjectLocking: true}), raw.SetObjectLockConfig(ctx, b, &mode, &days, &unit))
		},
	} {
		if err := make(bucket); err != nil {
			t.Fatal(err)
		}
		err := with(bucket).Check(ctx)
		if err == nil || errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s: %v", bucket, err)
		} else {
			t.Log(err)
		}
	}
	_, err := with("no-bucket").Put(ctx, "k", strings.NewReader("x"), 1, storage.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "bucket") || errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("put without bucket: %v", err)
	}
	if _, err := with("no-versions").Put(ctx, "k", strings.NewReader("x"), 1, storage.PutOptions{}); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("put without versioning: %v, want ErrMismatch", err)
	}
	s := with("ensured")
	for range 2 {
		if err := s.EnsureBucket(ctx); err != nil {
			t.Error(err)
		}
	}
}

// testServiceItselfRefuses asks the service without our own checks in the way: the promise must be its own.
func testServiceItselfRefuses(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	ctx := t.Context()
	s := m.NewBucket(t)
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	ref := put(t, s, "key", "content", storage.PutOptions{Retention: storage.Retention{Mode: storage.Compliance, Until: until}})
	if err := raw.RemoveObject(ctx, s.Bucket(), "key", minio.RemoveObjectOptions{VersionID: ref.VersionID, GovernanceBypass: true}); err == nil {
		t.Error("deleted under COMPLIANCE")
	}
	mode, sooner := minio.Compliance, until.Add(-time.Minute)
	err := raw.PutObjectRetention(ctx, s.Bucket(), "key", minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &sooner, VersionID: ref.VersionID, GovernanceBypass: true})
	if err == nil {
		t.Error("shortened under COMPLIANCE")
	}
	if info, err := storage.Verify(ctx, s, ref); err != nil || !info.Retention.Until.Equal(until) {
		t.Errorf("%+v, %v", info, err)
	}
}

func testForeignObjects(t *testing.T, m *storagetest.MinIO, raw *minio.Client) {
	ctx := t.Context()
	s := m.NewBucket(t)
	up, err := raw.PutObject(ctx, s.Bucket(), "foreign", strings.NewReader("content"), 7, minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ref := storage.Ref{Key: "foreign", VersionID: up.VersionID}
	if info, err := s.Stat(ctx, ref); err != nil || info.SHA256 != "" {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	if _, err := storage.Verify(ctx, s, ref); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("Verify: %v, want ErrMismatch", err)
	}
	if _, err := s.Put(ctx, "foreign", strings.NewReader("content"), 7, storage.PutOptions{}); !errors.Is(err, storage.ErrExists) {
		t.Errorf("Put: %v, want ErrExists", err)
	}
	// A key that we would not make ourselves is reported, and the list goes on.
	if _, err := raw.PutObject(ctx, s.Bucket(), "a key of others", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	good, bad := 0, 0
	for info, err := range s.List(ctx, "") {
		switch {
		case err == nil:
			good++
		case errors.Is(err, storage.ErrInvalid) && info.Key == "a key of others":
			bad++
		default:
			t.Error(err)
		}
	}
	if good != 1 || bad != 1 {
		t.Errorf("listed %d objects and %d errors, want 1 and 1", good, bad)
	}
}

func testS3Credentials(t *testing.T, m *storagetest.MinIO) {
	file := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[recorder]\naws_access_key_id = %s\naws_secret_access_key = %s\n", m.Config.AccessKey, string(m.Config.SecretKey))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bucket := m.NewBucket(t).Bucket()
	without := m.Config
	without.Bucket, without.AccessKey, without.SecretKey = bucket, "", ""

	t.Run("file", func(t *testing.T) {
		cfg := without
		cfg.CredentialsFile, cfg.Profile = file, "recorder"
		if err := newStore(t, cfg).Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", m.Config.AccessKey)
		t.Setenv("AWS_SECRET_ACCESS_KEY", string(m.Config.SecretKey))
		if err := newStore(t, without).Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("wrong", func(t *testing.T) {
		cfg := without
		cfg.AccessKey, cfg.SecretKey = m.Config.AccessKey, "not-the-secret"
		s := newStore(t, cfg)
		_, err := s.Put(t.Context(), "k", strings.NewReader("x"), 1, storage.PutOptions{})
		for _, err := range []error{err, s.Check(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "check the credentials") || strings.Contains(err.Error(), "not-the-secret") {
				t.Errorf("%v, want an error that says to check the credentials", err)
			}
		}
	})
}

func testS3Outage(t *testing.T, m *storagetest.MinIO) {
	ctx := t.Context()
	s := m.NewBucket(t)
	ref := put(t, s, "before", "content", storage.PutOptions{})
	object, err := s.Open(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	m.Stop()
	_, err = s.Put(ctx, "during", strings.NewReader("content"), 7, storage.PutOptions{})
	errs := map[string]error{"Put": err, "Check": s.Check(ctx), "Delete": s.Delete(ctx, ref), "Hold": s.Hold(ctx, ref, true)}
	_, errs["Stat"] = s.Stat(ctx, ref)
	_, errs["ReadAt"] = object.ReadAt(make([]byte, 1), 0)
	for _, err := range s.List(ctx, "") {
		errs["List"] = err
	}
	for what, err := range errs {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("%s during the outage: %v, want ErrUnavailable", what, err)
		}
	}
	m.Start()
	put(t, s, "during", "content", storage.PutOptions{})
	if _, err := storage.Verify(ctx, s, ref); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(io.NewSectionReader(object, 0, 7)); err != nil || string(b) != "content" {
		t.Errorf("read after the outage: %q, %v", b, err)
	}
}

func TestS3ConfigIsRefused(t *testing.T) {
	good := storage.S3Config{Endpoint: "s3.example.com", Bucket: "recordings", Region: "eu", AccessKey: "a", SecretKey: "b"}
	for name, change := range map[string]func(*storage.S3Config){
		"good":                nil,
		"plain http":          func(c *storage.S3Config) { c.Endpoint = "http://s3.example.com" },
		"other scheme":        func(c *storage.S3Config) { c.Endpoint = "ftp://s3.example.com" },
		"path":                func(c *storage.S3Config) { c.Endpoint = "https://s3.example.com/bucket" },
		"user in URL":         func(c *storage.S3Config) { c.Endpoint = "https://u:hunter2@s3.example.com" },
		"no endpoint":         func(c *storage.S3Config) { c.Endpoint = "" },
		"no bucket":           func(c *storage.S3Config) { c.Bucket = "" },
		"half of credentials": func(c *storage.S3Config) { c.SecretKey = "" },
		"small parts":         func(c *storage.S3Config) { c.PartSize = 1 << 20 },
		"no CA file":          func(c *storage.S3Config) { c.CAFile = "/nonexistent" },
		"no certificate":      func(c *storage.S3Config) { c.CAFile = "/dev/null" },
		"no credentials file": func(c *storage.S3Config) { c.AccessKey, c.SecretKey, c.CredentialsFile = "", "", "/nonexistent" },
		"negative timeout":    func(c *storage.S3Config) { c.Timeout = -1 },
	} {
		cfg := good
		if change != nil {
			change(&cfg)
		}
		_, err := storage.NewS3(cfg)
		if (err == nil) != (change == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
	for _, endpoint := range []string{"http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://s3.example.com/", "s3.example.com:9000"} {
		cfg := good
		cfg.Endpoint = endpoint
		if _, err := storage.NewS3(cfg); err != nil {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	insecure := good
	insecure.Endpoint, insecure.Insecure = "http://s3.example.com", true
	if _, err := storage.NewS3(insecure); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	cfg := storage.S3Config{SecretKey: "hunter2", SessionToken: "hunter2"}
	js, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(cfg), fmt.Sprintf("%+v", cfg), fmt.Sprintf("%#v", cfg), string(js), cfg.SecretKey.String()} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("secret shown: %s", s)
		}
	}
}

// answering is a service that says one thing.
func answering(t *testing.T, f http.HandlerFunc) *storage.S3 {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return newStore(t, storage.S3Config{
		Endpoint: server.URL, Bucket: "bucket", Region: "eu", AccessKey: "a", SecretKey: "b", PathStyle: true, Timeout: 200 * time.Millisecond,
	})
}

func TestS3IsUnavailable(t *testing.T) {
	release := make(chan struct{})
	for name, f := range map[string]http.HandlerFunc{
		"500":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"503":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"429":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) },
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"stalls": func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, f)
			if name == "stalls" {
				t.Cleanup(func() { close(release) }) // before the server ends, which waits for its handlers
			}
			_, err := s.Put(t.Context(), "key", strings.NewReader("content"), 7, storage.PutOptions{})
			if !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Put: %v, want ErrUnavailable", err)
			}
			if _, err := s.Stat(t.Context(), storage.Ref{Key: "key"}); !errors.Is(err, storage.ErrUnavailable) {
				t.Errorf("Stat: %v, want ErrUnavailable", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s := newStore(t, storage.S3Config{Endpoint: "https://" + l.Addr().String(), Bucket: "b00", Region: "eu", AccessKey: "a", SecretKey: "b", Timeout: 100 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Check(ctx); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("Check: %v, want ErrUnavailable", err)
		}
	})
}

// A service that ignores what it was asked for must not be believed.
func TestS3LiesAreNoticed(t *testing.T) {
	const hash = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
	retention := storage.Retention{Mode: storage.Compliance, Until: time.Now().Add(time.Hour)}.Rounded()
	for _, test := range []struct {
		name   string
		header map[string]string
		want   error
	}{
		{"truth", nil, nil},
		{"no retention", map[string]string{"X-Amz-Object-Lock-Mode": "", "X-Amz-Object-Lock-Retain-Until-Date": ""}, storage.ErrMismatch},
		{"weaker mode", map[string]string{"X-Amz-Object-Lock-Mode": "GOVERNANCE"}, storage.ErrMismatch},
		{"shorter", map[string]string{"X-Amz-Object-Lock-Retain-Until-Date": time.Now().Add(time.Minute).UTC().Format(time.RFC3339)}, storage.ErrMismatch},
		{"no date", map[string]string{"X-Amz-Object-Lock-Retain-Until-Date": "soon"}, storage.ErrMismatch},
		{"no metadata", map[string]string{"X-Amz-Meta-Id": ""}, storage.ErrMismatch},
		{"other hash", map[string]string{"X-Amz-Meta-Sha256": strings.Repeat("0", 64)}, storage.ErrMismatch},
		{"other size", map[string]string{"Content-Length": "8"}, storage.ErrMismatch},
		{"other version", map[string]string{"X-Amz-Version-Id": "v2"}, storage.ErrMismatch},
		{"no version", map[string]string{"X-Amz-Version-Id": ""}, storage.ErrMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			var written atomic.Bool
			s := answering(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if r.Method == http.MethodHead && !written.Load() {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.Header().Set("X-Amz-Version-Id", "v1")
				if r.Method != http.MethodHead {
					written.Store(r.Method == http.MethodPut)
					return
				}
				h := map[string]string{
					"X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Object-Lock-Retain-Until-Date": retention.Until.Format(time.RFC3339),
					"X-Amz-Meta-Id": "1", "X-Amz-Meta-Sha256": hash, "Content-Length": "7", "Last-Modified": time.Now().UTC().Format(http.TimeFormat),
				}
				for k, v := range test.header {
					h[k] = v
				}
				for k, v := range h {
					w.Header().Del(k)
					if v != "" {
						w.Header().Set(k, v)
					}
				}
			})
			_, err := s.Put(t.Context(), "key", strings.NewReader("content"), 7, storage.PutOptions{Retention: retention, Metadata: map[string]string{"id": "1"}})
			if !errors.Is(err, test.want) {
				t.Errorf("Put: %v, want %v", err, test.want)
			}
		})
	}
}
