package storagetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
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
	minioStartTimeout = 30 * time.Second
	minioStopTimeout  = 10 * time.Second
	minioStartTries   = 3 // another process may take the free port first
)

// MinIO is a real service on a loopback port, with TLS, object lock and a key for server-side encryption. It is a process of its
// own and ends with the test.
type MinIO struct {
	// Config reaches the service; its bucket does not exist yet: see EnsureBucket, and NewBucket.
	Config storage.S3Config

	t       testing.TB
	binary  string
	dir     string
	address string
	kmsKey  string

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	output *lockedBuffer
}

// FindMinIO gives the path of the minio program: $GREFFIER_MINIO, or minio in the PATH, or greffier/bin/minio in the user's cache.
func FindMinIO() (string, error) {
	if path := os.Getenv("GREFFIER_MINIO"); path != "" {
		return exec.LookPath(path)
	}
	if path, err := exec.LookPath("minio"); err == nil {
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
	return exec.LookPath(filepath.Join(cache, "greffier", "bin", "minio"))
}

// StartMinIO starts the service and waits until it is ready. Without the program the test fails.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	binary, err := FindMinIO()
	if err != nil {
		t.Fatalf("this test needs the minio program: `make tools` installs it, or set GREFFIER_MINIO to its path (%v)", err)
	}
	m := &MinIO{t: t, binary: binary, dir: t.TempDir()}
	certs := filepath.Join(m.dir, "certs")
	m.Config = storage.S3Config{
		Bucket: "greffier", Region: "us-east-1", AccessKey: "greffier-test", SecretKey: storage.Secret(rand.Text()),
		CAFile: filepath.Join(certs, "public.crt"), PartSize: storage.MinPartSize,
	}
	var key [32]byte
	rand.Read(key[:])
	m.kmsKey = "greffier-test:" + base64.StdEncoding.EncodeToString(key[:])
	if err := errors.Join(os.Mkdir(certs, 0o700), writeCertificate(certs)); err != nil {
		t.Fatalf("make certificate: %v", err)
	}
	// After the cleanup of TempDir was registered, so that the process ends before its directory goes.
	t.Cleanup(m.Stop)
	for range minioStartTries {
		if m.address, err = freeAddress(); err != nil {
			break
		}
		if err = m.start(); err == nil {
			m.Config.Endpoint = "https://" + m.address
			return m
		}
	}
	t.Fatalf("start minio: %v", err)
	return nil
}

// NewBucket makes a bucket of its own for a test and gives a store on it.
func (m *MinIO) NewBucket(t testing.TB) *storage.S3 {
	t.Helper()
	cfg := m.Config
	cfg.Bucket = "test-" + strings.ToLower(rand.Text())
	s, err := storage.NewS3(cfg)
	if err == nil {
		err = s.EnsureBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Stop kills the service, as a power cut would. Its objects stay for Start.
func (m *MinIO) Stop() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	select {
	case <-m.exited:
	case <-time.After(minioStopTimeout):
		m.t.Errorf("minio (process %d) does not end", m.cmd.Process.Pid)
	}
	m.cmd = nil
}

// Start starts a service that was stopped, at the same address.
func (m *MinIO) Start() {
	m.t.Helper()
	if err := m.start(); err != nil {
		m.t.Fatalf("start minio: %v", err)
	}
}

func (m *MinIO) start() error {
	m.output = new(lockedBuffer)
	cmd := exec.Command(m.binary, "server", "--certs-dir", filepath.Join(m.dir, "certs"), "--address", m.address, filepath.Join(m.dir, "data"))
	cmd.Env = append(os.Environ(),
		"MINIO_ROOT_USER="+m.Config.AccessKey, "MINIO_ROOT_PASSWORD="+string(m.Config.SecretKey),
		"MINIO_KMS_SECRET_KEY="+m.kmsKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME="+m.dir)
	cmd.Stdout, cmd.Stderr = m.output, m.output
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	m.cmd, m.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait()
	}(m.exited)
	if err := m.waitReady(); err != nil {
		m.Stop()
		return fmt.Errorf("%w; it said:\n%s", err, m.output)
	}
	return nil
}

func (m *MinIO) waitReady() error {
	ctx, cancel := context.WithTimeout(m.t.Context(), minioStartTimeout)
	defer cancel()
	pem, err := os.ReadFile(m.Config.CAFile)
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
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+m.address+"/minio/health/ready", nil)
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
		case <-m.exited:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v", minioStartTimeout)
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
