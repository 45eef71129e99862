package storagetest

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/internal/testserver"
	"github.com/greffier/greffier/storage"
)

const (
	serviceStartTimeout = 30 * time.Second
	serviceStopTimeout  = 10 * time.Second
	serviceStartTries   = 3 // another process may take the free port first
)

// A service is a program of somebody else's that speaks S3 with TLS on a loopback port. It is a process of its own and ends with
// the test.
type service struct {
	// Config reaches the service; its bucket does not exist yet: see EnsureBucket, and NewBucket.
	Config storage.S3Config

	t       testing.TB
	name    string
	dir     string // absolute; certs has the certificate, under minio's names
	address string
	ready   string                   // path that is answered 200 when the service is ready
	command func(*service) *exec.Cmd // a new one for each start

	patience time.Duration // with its start; zero means serviceStartTimeout

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	output *testserver.Output
}

// findProgram gives the path of a program that only tests need: what the variable names, or name in the PATH, or greffier/bin/name in
// the user's cache.
func findProgram(name, variable string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return exec.LookPath(path)
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	return exec.LookPath(filepath.Join(cache, "greffier", "bin", name))
}

// open starts the service and waits until it is ready.
func (s *service) open(t testing.TB) {
	t.Helper()
	s.t, s.dir = t, t.TempDir()
	certs := filepath.Join(s.dir, "certs")
	s.Config = storage.S3Config{
		Bucket: "greffier", Region: "us-east-1", AccessKey: "greffier-test", SecretKey: storage.Secret(rand.Text()),
		CAFile: filepath.Join(certs, "public.crt"), PartSize: storage.MinPartSize,
	}
	if err := errors.Join(os.Mkdir(certs, 0o700), testserver.WriteCertificate(filepath.Join(certs, "public.crt"), filepath.Join(certs, "private.key"))); err != nil {
		t.Fatalf("make certificate: %v", err)
	}
	// After the cleanup of TempDir was registered, so that the process ends before its directory goes.
	t.Cleanup(s.Stop)
	var err error
	for range serviceStartTries {
		if s.address, err = testserver.FreeAddress(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			s.Config.Endpoint = "https://" + s.address
			return
		}
	}
	t.Fatalf("start %s: %v", s.name, err)
}

// NewBucket makes a bucket of its own for a test and gives a store on it.
func (s *service) NewBucket(t testing.TB) *storage.S3 {
	t.Helper()
	cfg := s.Config
	cfg.Bucket = "test-" + strings.ToLower(rand.Text())
	store, err := storage.NewS3(cfg)
	if err == nil {
		err = store.EnsureBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// NewKeyBucket makes a bucket for keys, without versions, and gives it with what reaches it.
func (s *service) NewKeyBucket(t testing.TB) (*storage.KeyBucket, storage.S3Config) {
	t.Helper()
	cfg := s.Config
	cfg.Bucket = "keys-" + strings.ToLower(rand.Text())
	bucket, err := storage.NewKeyBucket(cfg)
	if err == nil {
		err = bucket.EnsureBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return bucket, cfg
}

// Stop kills the service, as a power cut would. Its objects stay for Start.
func (s *service) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	select {
	case <-s.exited:
	case <-time.After(serviceStopTimeout):
		s.t.Errorf("%s (process %d) does not end", s.name, s.cmd.Process.Pid)
	}
	s.cmd = nil
}

// Start starts a service that was stopped, at the same address.
func (s *service) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("start %s: %v", s.name, err)
	}
}

func (s *service) start() error {
	s.output = new(testserver.Output)
	cmd := s.command(s)
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait()
	}(s.exited)
	if err := s.waitReady(); err != nil {
		s.Stop()
		return fmt.Errorf("%w; it said:\n%s", err, s.output)
	}
	return nil
}

func (s *service) waitReady() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), cmp.Or(s.patience, serviceStartTimeout))
	defer cancel()
	pem, err := os.ReadFile(s.Config.CAFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+s.ready, nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v", cmp.Or(s.patience, serviceStartTimeout))
		case <-tick.C:
		}
	}
}
