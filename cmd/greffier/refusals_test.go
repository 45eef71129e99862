package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/storagetest"
)

// refused runs the program, which must end by itself with a failure, and gives what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err == nil || ctx.Err() != nil {
		t.Errorf("greffier %s: %v, want a refusal: %s", strings.Join(args, " "), err, &out)
	}
	return out.String()
}

func serveArgs(dir string, more ...string) []string {
	return append([]string{"serve", "--data-dir", dir, "--policy", recordAll, "--sip-listen", "udp://127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--media-ports", "0-0", "--log-level", "warn"}, more...)
}

// TestRefusals starts the program where it must not start. It says what is wrong and what to do, and leaves all as it is.
func TestRefusals(t *testing.T) {
	made := func(t *testing.T) string { // a data directory that was used
		dir := t.TempDir()
		start(t, dir, recordAll).stop()
		return dir
	}
	t.Run("wrong key", func(t *testing.T) {
		dir, other := made(t), made(t)
		kek := readFile(t, filepath.Join(other, secretsDir, kekFile))
		if err := os.WriteFile(filepath.Join(dir, secretsDir, kekFile), []byte(kek), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, refused(t, serveArgs(dir)...), "another key-encryption key", "restore that one")
	})
	t.Run("no key", func(t *testing.T) {
		dir := made(t)
		if err := os.Remove(filepath.Join(dir, secretsDir, kekFile)); err != nil {
			t.Fatal(err)
		}
		says(t, refused(t, serveArgs(dir)...), kekFile, "is missing", "backup")
	})
	t.Run("wrong key in Vault", func(t *testing.T) {
		dir, v := t.TempDir(), storagetest.StartVault(t)
		args := serveArgs(dir, "--keys-kek", v.URL("transit/greffier"), "--keys-token-file", v.TokenFile(t))
		spawn(t, args...).kill(t)
		v.Forget("transit/greffier")
		v.Rotate("transit/greffier")
		out := refused(t, args...)
		says(t, out, "another key-encryption key", "wrong key")
		if strings.Contains(out, storagetest.VaultToken) {
			t.Error("the token is shown")
		}
	})
	t.Run("Vault away at the first start", func(t *testing.T) {
		v := storagetest.StartVault(t)
		v.Fail(503)
		says(t, refused(t, serveArgs(t.TempDir(), "--keys-kek", v.URL("transit/greffier"), "--keys-token-file", v.TokenFile(t))...), "first start", "unseal Vault")
	})
	t.Run("newer spool", func(t *testing.T) {
		dir := made(t)
		version := filepath.Join(dir, spoolDir, "VERSION")
		text := readFile(t, version)
		newer := strings.Replace(text, "1", "2", 1)
		if newer == text || os.WriteFile(version, []byte(newer), 0o600) != nil {
			t.Fatalf("VERSION is %q", text)
		}
		says(t, refused(t, serveArgs(dir)...), "spool", "2", "newer")
		if readFile(t, version) != newer {
			t.Error("the version was changed")
		}
	})
	t.Run("two processes", func(t *testing.T) {
		dir := t.TempDir()
		spawn(t, serveArgs(dir)...)
		says(t, refused(t, serveArgs(dir)...), "spool", "process")
	})
	t.Run("bucket without lock", func(t *testing.T) {
		s3 := startFakeS3(t, 0)
		says(t, refused(t, serveArgs(t.TempDir(), s3.args(t)...)...), "object lock is not enabled", "enable it")
	})
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		t.Run("clock wrong by "+skew.String(), func(t *testing.T) {
			s3 := startFakeS3(t, skew)
			s3.locks = true
			says(t, refused(t, serveArgs(t.TempDir(), s3.args(t)...)...), "clock", "1h0m0s")
		})
	}
}

func says(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("it does not say %q: %s", w, out)
		}
	}
}
