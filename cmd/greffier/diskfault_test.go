//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/siprectest"
)

// A disk is one that a server has for itself: it is mounted where only that server sees it.
type disk struct {
	*process
	t      *testing.T
	mount  string
	config string
}

// onDisk starts a server whose data directory is a disk of some bytes.
func onDisk(t *testing.T, bytes int, config, policy string) *disk {
	t.Helper()
	d := &disk{t: t, mount: t.TempDir(), config: config}
	cmd := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"`, "sh", fmt.Sprint(bytes), d.mount,
		os.Args[0], "serve", "-c", config, "--data-dir", d.mount, "--policy", policy, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "warn")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	d.process = spawnCommand(t, cmd)
	return d
}

// cli runs a command of the program where the disk is.
func (d *disk) cli(args ...string) (string, error) {
	d.t.Helper()
	enter := []string{"-t", fmt.Sprint(d.cmd.Process.Pid), "-U", "-m", "--preserve-credentials", os.Args[0]}
	cmd := exec.Command("nsenter", append(append(enter, args...), "-c", d.config, "--data-dir", d.mount)...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.Output()
	return string(out), err
}

// path is the way to a file on the disk from outside.
func (d *disk) path(name string) string {
	return filepath.Join("/proc", fmt.Sprint(d.cmd.Process.Pid), "root", d.mount, name)
}

// TestDiskFull: the disk of a server fills while it records, to the mark and then to its last byte. At the mark new calls are turned away, and
// those in progress go on. What the full disk does not take is missing from the recording, which says so; it is never invented, and the
// server goes on. When there is room again calls are taken by itself, and everything agrees.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	const size, mark, full = 64 << 20, 32 << 20, 3 * time.Second
	const slack = 500 * time.Millisecond // of a busy machine
	config := filepath.Join(t.TempDir(), "greffier.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "store: {type: dir, dir: %s}\nspool: {min_free: %d}\n", filepath.Join(t.TempDir(), "store"), mark), 0o600); err != nil {
		t.Fatal(err)
	}
	d := onDisk(t, size, config, recordAll)
	src, err := siprectest.Dial(t.Context(), siprectest.Config{Server: d.sip, T1: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	converse(t, src, bursts(), time.Second)
	call, err := src.Invite(t.Context(), bursts())
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan error, 1)
	playing, stop := context.WithCancel(t.Context())
	go func() { played <- call.Play(playing, time.Minute) }()
	taken := func() bool { // is a new call?
		other, err := src.Invite(t.Context(), bursts())
		var refused *siprectest.ResponseError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if err == nil {
			err = other.Bye(t.Context(), nil)
		}
		return err == nil
	}
	ballast := d.path("ballast")
	fill(t, ballast, size-mark)
	eventually(t, "new calls are turned away", 20*time.Second, func() bool { return !taken() })
	fill(t, ballast, size)
	<-time.After(full)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "calls are taken again", 20*time.Second, taken)
	<-time.After(time.Second)
	stop()
	if err := <-played; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := call.Bye(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	converse(t, src, bursts(), time.Second)
	var rows []listedRecording
	eventually(t, "all is stored", 30*time.Second, func() bool {
		out, err := d.cli("recordings", "list", "--json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &rows)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return !slices.ContainsFunc(rows, func(r listedRecording) bool { return r.State != "locked" })
	})
	missing := func(r listedRecording) time.Duration { return time.Duration(r.Gaps.TotalMS) * time.Millisecond }
	found := false
	for _, row := range rows {
		switch length := call.Truth().Length; {
		case !slices.Contains(row.CallIDs, call.CallID()):
			if missing(row) > slack { // at their edges
				t.Errorf("%s of %s are missing, which began and ended while there was room", missing(row), row.ID)
			}
		case missing(row) > 2*full: // of two channels
			t.Errorf("%s are missing of a call during which the disk was full for %s", missing(row), full)
		case length-time.Duration(row.DurationMS)*time.Millisecond > slack:
			t.Errorf("it lasts %d ms, and the call lasted %s", row.DurationMS, length)
		default:
			found = true
			t.Logf("the disk was full for %s; %s are missing of two channels of %s", full, missing(row), length)
		}
	}
	if !found {
		t.Error("the call during which the disk was full is not recorded as it should be")
	}
	if out, err := d.cli("verify"); err != nil {
		t.Errorf("verify: %v: %s", err, out)
	}
}

// fill writes a file until it has some bytes, or the disk is full.
func fill(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for written := 0; written < size; written += len(block) {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
