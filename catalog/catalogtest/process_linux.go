package catalogtest

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// attributes are those of a process that PostgreSQL runs in: it refuses to be root. A server ends when the test process is killed and cannot
// end it.
func attributes(server bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if server {
		attr.Pdeathsig = syscall.SIGQUIT
	}
	if uid, gid, err := other(); err == nil && os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return attr
}

// own gives a file or a directory to the user that PostgreSQL runs as.
func own(path string) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid, err := other()
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// other finds the user that PostgreSQL runs as when we are root.
func other() (uid, gid int, err error) {
	u, err := user.Lookup(administrator)
	if err != nil {
		return 0, 0, fmt.Errorf("PostgreSQL cannot run as root: run the tests as another user, or make the user %s: %w", administrator, err)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, err
}
