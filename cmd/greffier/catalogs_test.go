package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// onPostgres writes a configuration whose catalog is in a database, reached at an address, with the password in a file.
func onPostgres(t *testing.T, database, address string) (config string) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username())
	if address != "" {
		u.Host = address
	}
	dir := t.TempDir()
	config, secret := filepath.Join(dir, "greffier.yaml"), filepath.Join(dir, "password")
	text := fmt.Sprintf("catalog: {url: %q, password_file: %s}\n", u, secret)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.WriteFile(secret, []byte(password+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestCatalogSettings: what is wrong with the settings is told with what to do, and without a password.
func TestCatalogSettings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"catalog: {password_file: x}":                                    "which is missing",
		"catalog: {url: 'postgres://g:hush@db.example/greffier'}":        "catalog.password_file",
		"catalog: {url: 'postgres://g@db.example/g?password=hush'}":      "catalog.password_file",
		"catalog: {url: 'postgres://g:hush@db.example:port/g'}":          "cannot be read",
		"catalog: {url: 'mysql://db.example/hush'}":                      "postgres://user@host:5432/database",
		"catalog: {url: 'postgres://g@db.example/g?sslmode=sometimes'}":  "sslmode",
		"catalog: {url: 'postgres://g@db.example/g', password_file: ''}": "",
	} {
		config := filepath.Join(t.TempDir(), "greffier.yaml")
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadConfig(config, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCatalogOnPostgres: with its catalog in a database a server does what it does with one in a file, every command finds it there, and
// no other is taken for it. It moves from one to the other by being rebuilt; who objects to being recorded moves with it.
func TestCatalogOnPostgres(t *testing.T) {
	t.Parallel()
	dir, config := t.TempDir(), onPostgres(t, postgres.Server(t).Database(t), "")
	s := startWith(t, config, dir, recordAll)
	truth := converse(t, s.src("udp"), bursts(), time.Second)
	var rows []listedRecording
	eventually(t, "the recording is locked", 20*time.Second, func() bool {
		rows = list(t, dir, "--config", config, "--state", "locked")
		return len(rows) == 1
	})
	if lost := truth.Length - time.Duration(rows[0].DurationMS)*time.Millisecond; lost > 20*time.Millisecond {
		t.Errorf("it lasts %d ms, and the call lasted %s", rows[0].DurationMS, truth.Length)
	}
	s.objections(exitOK, "add", "+33611223344", "--proof", "DOC-17", "-c", config)
	if _, err := os.Stat(filepath.Join(dir, catalogFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file, too: %v", err)
	}
	if out, code := cliRun(t, "verify", "--data-dir", dir, "--config", config); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	if text := refusedStart(t, config, t.TempDir(), recordAll); !strings.Contains(text, "of another server") {
		t.Errorf("a second server on the same database: %s", text)
	}
	s.stop()
	other := onPostgres(t, postgres.Server(t).Database(t), "")
	for _, args := range [][]string{{}, {"--config", other}} {
		if out, code := cliRun(t, append([]string{"recordings", "list", "--data-dir", dir}, args...)...); code == exitOK {
			t.Errorf("another catalog is read with %v: %s", args, out)
		}
	}
	if err := os.Remove(filepath.Join(dir, catalogID)); err != nil {
		t.Fatal(err)
	}
	out, code := cliRun(t, "catalog", "rebuild", "--data-dir", dir, "--config", other)
	if code != exitOK {
		t.Fatalf("rebuild: exit %d: %s", code, out)
	}
	expect(t, out, "1 recordings", "1 objections")
	if out, code := cliRun(t, "verify", "--data-dir", dir, "--config", other); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	if out, code := cliRun(t, "objections", "check", "+33611223344", "--data-dir", dir, "--config", other); code != exitOK || !strings.Contains(out, "DOC-17") {
		t.Errorf("who objects: exit %d: %s", code, out)
	}
}
