package storagetest

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// MinIO is a real service on a loopback port, with TLS, object lock and a key for server-side encryption. It is a process of its
// own and ends with the test.
type MinIO struct{ service }

// FindMinIO gives the path of the minio program: $GREFFIER_MINIO, or minio in the PATH, or greffier/bin/minio in the user's cache.
func FindMinIO() (string, error) { return findProgram("minio", "GREFFIER_MINIO") }

// StartMinIO starts the service and waits until it is ready. Without the program the test fails.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	binary, err := FindMinIO()
	if err != nil {
		t.Fatalf("this test needs the minio program: `make tools` installs it, or set GREFFIER_MINIO to its path (%v)", err)
	}
	var key [32]byte
	rand.Read(key[:])
	kmsKey := "greffier-test:" + base64.StdEncoding.EncodeToString(key[:])
	m := &MinIO{service{name: "minio", ready: "/minio/health/ready"}}
	m.command = func(s *service) *exec.Cmd {
		cmd := exec.Command(binary, "server", "--certs-dir", filepath.Join(s.dir, "certs"), "--address", s.address, filepath.Join(s.dir, "data"))
		cmd.Env = append(os.Environ(),
			"MINIO_ROOT_USER="+s.Config.AccessKey, "MINIO_ROOT_PASSWORD="+string(s.Config.SecretKey),
			"MINIO_KMS_SECRET_KEY="+kmsKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME="+s.dir)
		return cmd
	}
	m.open(t)
	return m
}
