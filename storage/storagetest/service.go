package storagetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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
	output *lockedBuffer
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
	if err := errors.Join(os.Mkdir(certs, 0o700), writeCertificate(certs)); err != nil {
		t.Fatalf("make certificate: %v", err)
	}
	// After the cleanup of TempDir was registered, so that the process ends before its directory goes.
	t.Cleanup(s.Stop)
	var err error
	for range serviceStartTries {
		if s.address, err = freeAddress(); err != nil {
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
	s.output = new(lockedBuffer)
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

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// writeCertificate makes a self-signed certificate for loopback, under the names that minio looks for.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "public.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(filepath.Join(dir, "private.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// lockedBuffer keeps what a process says, while it says it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
