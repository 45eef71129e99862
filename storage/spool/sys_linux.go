package spool

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// datasync makes the bytes and the length of a file durable.
func datasync(f *os.File) error { return control(f, "fdatasync", syscall.Fdatasync) }

// control makes a system call with a file's number, again when a signal interrupts it.
func control(f *os.File, name string, call func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError(name, failed)
}

// wholeSystems are the file systems of which syncfs(2) tells every write error. Not overlayfs, whose errors lie with the
// file system below it, nor what is on a network.
var wholeSystems = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC}

// wholeSyncOf syncs the file system that an open file is on; nil when that would not tell of every error. The kernel tells
// an open file of each error that came since it was opened, once, so it must be one that stays open.
func wholeSyncOf(f *os.File) wholeSync {
	var st unix.Statfs_t
	err := control(f, "fstatfs", func(fd int) error { return unix.Fstatfs(fd, &st) })
	if err != nil || !slices.Contains(wholeSystems, int64(st.Type)) || !syncfsTells() {
		return nil
	}
	return func() error {
		if err := control(f, "syncfs", unix.Syncfs); err != nil {
			return err
		}
		// Ext4 without a journal writes inodes after it has emptied the disk's cache: this does so again.
		return datasync(f)
	}
}

// syncfsTells is whether the kernel is 5.8 or later: before that syncfs reported no error of writing.
func syncfsTells() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	return releaseTells(unix.ByteSliceToString(name.Release[:]))
}

// releaseTells judges a kernel's release, such as 6.1.0-13-amd64.
func releaseTells(release string) bool {
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	if i := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = minor[:i]
	}
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return errA == nil && errB == nil && (a > 5 || a == 5 && b >= 8)
}
