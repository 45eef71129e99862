package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
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
	// CephDay is as long as a day is for the lifecycle rules of a Ceph that this package starts: its locks and its clock go on in real time.
	CephDay = 10 * time.Second

	cephStartTimeout = 2 * time.Minute // it makes its pools first, one by one
	cephMemory       = 2 << 30         // bytes that its objects may take, as is told; they are in memory
)

// cephPrograms are what a cluster of one is made of, and Debian's packages.
var cephPrograms = []string{"ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin"}

// Ceph is Ceph's object gateway, with one monitor and one store of objects in memory: a third reading of what S3 promises, which has
// lifecycle rules, and whose day can be made short. Its processes end with the test.
type Ceph struct {
	service
	monitor  string // address
	children []*exec.Cmd
}

// FindCeph tells which of Ceph's programs are missing from the PATH.
func FindCeph() error {
	var missing []string
	for _, name := range cephPrograms {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not found: %s", strings.Join(missing, ", "))
	}
	return nil
}

// StartCeph starts the processes and waits until they are ready. Without the programs the test fails.
func StartCeph(t testing.TB) *Ceph {
	t.Helper()
	if err := FindCeph(); err != nil {
		t.Fatalf("this test needs Ceph's programs: `make tools` installs them (%v)", err)
	}
	c := &Ceph{service: service{name: "radosgw", ready: "/swift/healthcheck", patience: cephStartTimeout}}
	c.command = func(s *service) *exec.Cmd {
		if c.children == nil {
			c.startCluster()
		}
		certs := filepath.Join(s.dir, "certs")
		return exec.Command("radosgw", "-f", "-n", "client.rgw", "-c", c.config(), "--rgw_frontends",
			fmt.Sprintf("beast ssl_endpoint=%s ssl_certificate=%s ssl_private_key=%s", s.address, filepath.Join(certs, "public.crt"), filepath.Join(certs, "private.key")))
	}
	c.open(t)
	c.run("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", "greffier", "--display-name", "Greffier",
		"--access-key", c.Config.AccessKey, "--secret-key", string(c.Config.SecretKey))
	return c
}

// NewUser makes another account, which owns nothing, and gives a configuration with its credentials for a bucket.
func (c *Ceph) NewUser(name, bucket string) storage.S3Config {
	c.t.Helper()
	cfg := c.Config
	cfg.Bucket, cfg.AccessKey, cfg.SecretKey = bucket, "greffier-"+name, storage.Secret(rand.Text())
	c.run("radosgw-admin", "-n", "client.rgw", "user", "create", "--uid", name, "--display-name", name,
		"--access-key", cfg.AccessKey, "--secret-key", string(cfg.SecretKey))
	return cfg
}

func (c *Ceph) config() string { return filepath.Join(c.dir, "ceph.conf") }

// startCluster makes and starts a monitor and what keeps objects.
func (c *Ceph) startCluster() {
	c.t.Helper()
	var err error
	if c.monitor, err = testserver.FreeAddress(); err != nil {
		c.t.Fatal(err)
	}
	cluster, store := newUUID(), newUUID()
	keyring, monmap := filepath.Join(c.dir, "keyring"), filepath.Join(c.dir, "monmap")
	if err := errors.Join(os.Mkdir(filepath.Join(c.dir, "osd"), 0o700), os.WriteFile(c.config(), []byte(cephConfig(cluster, c.monitor, c.dir)), 0o600)); err != nil {
		c.t.Fatal(err)
	}
	all := func(service string) []string { return []string{"--cap", service, "allow *"} }
	for i, name := range []string{"mon.", "client.admin", "client.rgw", "osd.0"} {
		args := append([]string{keyring, "--gen-key", "-n", name}, all("mon")...)
		if i == 0 {
			args = append(args, "--create-keyring")
		} else {
			args = append(args, all("osd")...)
		}
		c.run("ceph-authtool", args...)
	}
	c.run("monmaptool", "--create", "--fsid", cluster, "--addv", "a", "[v2:"+c.monitor+"]", monmap)
	c.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
	c.spawn("ceph-mon", "-f", "-i", "a")
	c.run("ceph", "--connect-timeout", fmt.Sprint(int(cephStartTimeout.Seconds())), "osd", "new", store)
	c.run("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", store)
	c.spawn("ceph-osd", "-f", "-i", "0")
}

// run runs one of Ceph's programs to its end.
func (c *Ceph) run(program string, args ...string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), cephStartTimeout)
	defer cancel()
	if program != "ceph-authtool" && program != "monmaptool" {
		args = append([]string{"-c", c.config()}, args...)
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		c.t.Fatalf("%s %s: %v\n%s", program, args[len(args)-1], err, out)
	}
}

// spawn starts one of Ceph's programs. It ends after the gateway, whose cleanup was registered before its directory's.
func (c *Ceph) spawn(program string, args ...string) {
	c.t.Helper()
	output := new(testserver.Output)
	cmd := exec.Command(program, append([]string{"-c", c.config()}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = output, output, dieWithParent()
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.children = append(c.children, cmd)
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("%s said:\n%s", program, output)
		}
	})
}

// cephConfig is for a cluster of one, which keeps one copy of everything, in memory.
func cephConfig(cluster, monitor, dir string) string {
	return fmt.Sprintf(`[global]
fsid = %s
mon host = [v2:%s]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = %[3]s/keyring
run dir = %[3]s
admin socket =
log file = %[3]s/$name.log
mon data = %[3]s/mon
osd data = %[3]s/osd
rgw data = %[3]s/rgw
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon data avail crit = 1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = %[4]d
rgw lc debug interval = %[5]d
rgw thread pool size = 64
`, cluster, monitor, dir, cephMemory, int(CephDay.Seconds()))
}

func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
