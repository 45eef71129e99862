package storagetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// VersityGW is another real service, versitygw on a directory of its own: a second reading of what S3 promises, with holes in its
// object lock that a probe has to find. It is a process of its own and ends with the test.
type VersityGW struct{ service }

// FindVersityGW gives the path of the versitygw program: $GREFFIER_VERSITYGW, or versitygw in the PATH, or greffier/bin/versitygw in
// the user's cache.
func FindVersityGW() (string, error) { return findProgram("versitygw", "GREFFIER_VERSITYGW") }

// StartVersityGW starts the service and waits until it is ready. Without the program the test fails.
func StartVersityGW(t testing.TB) *VersityGW {
	t.Helper()
	binary, err := FindVersityGW()
	if err != nil {
		t.Fatalf("this test needs the versitygw program: `make tools` installs it, or set GREFFIER_VERSITYGW to its path (%v)", err)
	}
	v := &VersityGW{service{name: "versitygw", ready: "/health"}}
	v.command = func(s *service) *exec.Cmd {
		root, versions, certs := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "versions"), filepath.Join(s.dir, "certs")
		if err := errors.Join(os.MkdirAll(root, 0o700), os.MkdirAll(versions, 0o700)); err != nil {
			s.t.Fatal(err)
		}
		cmd := exec.Command(binary, "--port", s.address, "--health", s.ready, "--cert", filepath.Join(certs, "public.crt"), "--key", filepath.Join(certs, "private.key"),
			"--quiet", "posix", "--versioning-dir", versions, root)
		cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.Config.AccessKey, "ROOT_SECRET_KEY="+string(s.Config.SecretKey), "HOME="+s.dir)
		return cmd
	}
	v.open(t)
	return v
}
