package seal_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greffier/greffier/storage/seal"
	"github.com/greffier/greffier/storage/storagetest"
)

const vaultKey = "transit/greffier"

func vaultService(t testing.TB, v *storagetest.Vault, key string) seal.Service {
	t.Helper()
	s, err := seal.OpenService(t.Context(), v.URL(key), seal.ServiceOptions{TokenFile: v.TokenFile(t)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openRing(t testing.TB, dir string, services ...seal.Service) (*seal.Ring, *seal.Keys) {
	t.Helper()
	ring, err := seal.OpenRing(dir, services...)
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := ring.IDs(t.Context()); err == nil && len(ids) == 0 {
		if err := ring.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := seal.OpenKeys(t.Context(), dir, ring)
	if err != nil {
		t.Fatal(err)
	}
	return ring, keys
}

// TestKeysAreMadeWhileVaultIsAway: neither a server that runs nor one that starts then needs the service to take a call.
func TestKeysAreMadeWhileVaultIsAway(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	_, keys := openRing(t, dir, service)
	before := create(t, keys, "before")
	asked := v.Requests()
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusForbidden, http.StatusTooManyRequests} {
		v.Fail(status)
		create(t, keys, fmt.Sprintf("%d-running", status))
		if _, err := keys.Get(t.Context(), "before"); err != nil {
			t.Errorf("%d: Get by a server that runs: %v", status, err)
		}
		_, fresh := openRing(t, dir, service)
		create(t, fresh, fmt.Sprintf("%d-started", status))
		if _, err := fresh.Get(t.Context(), "before"); !errors.Is(err, seal.ErrUnavailable) || errors.Is(err, seal.ErrWrongKey) {
			t.Errorf("%d: Get by a server that has started: %v, want ErrUnavailable", status, err)
		}
		if err := fresh.Check(t.Context()); !errors.Is(err, seal.ErrUnavailable) {
			t.Errorf("%d: Check: %v, want ErrUnavailable", status, err)
		}
		v.Fail(0)
		if err := fresh.Check(t.Context()); err != nil {
			t.Errorf("after %d: %v", status, err)
		}
		if got, err := fresh.Get(t.Context(), "before"); err != nil || got.Recipient() != before.Recipient() {
			t.Errorf("after %d: Get: %v, or another key", status, err)
		}
	}
	if v.Requests() == asked {
		t.Error("nobody asked the service")
	}
	asked = v.Requests()
	for _, id := range []string{"1", "2", "3"} {
		create(t, keys, id)
		if _, err := keys.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if n := v.Requests() - asked; n != 0 {
		t.Errorf("three recordings cost %d requests, want none", n)
	}
}

// TestVaultHangs: a request ends with its context, and by itself.
func TestVaultHangs(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	openRing(t, dir, service)
	v.Hang(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := service.Unwrap(ctx, "x", []byte("vault:v1:")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a deadline of its own: %v", err)
	}
	_, err := service.Unwrap(t.Context(), "x", []byte("vault:v1:"))
	if !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("without: %v, want ErrUnavailable", err)
	}
	_, keys := openRing(t, dir, service) // waits as long, and starts
	create(t, keys, "one")
}

func TestVaultThatForgets(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	_, keys := openRing(t, dir, service)
	create(t, keys, "one")
	open := func() error {
		ring, err := seal.OpenRing(dir, service)
		if err == nil {
			_, err = seal.OpenKeys(t.Context(), dir, ring)
		}
		return err
	}
	v.Rotate(vaultKey)
	if err := open(); err != nil {
		t.Errorf("after a new version in Vault: %v", err)
	}
	v.Require(vaultKey, 2)
	if err := open(); !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), "min_decryption_version") {
		t.Errorf("with the version taken away: %v", err)
	}
	v.Forget(vaultKey)
	if err := open(); !errors.Is(err, seal.ErrWrongKey) || !strings.Contains(err.Error(), "restore") {
		t.Errorf("with the key deleted: %v", err)
	}
	v.Rotate(vaultKey) // another key of that name
	if err := open(); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("with another key: %v", err)
	}
}

// TestFirstStartNeedsVault: without a member there is nothing to wrap by, and nothing is left behind.
func TestFirstStartNeedsVault(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	ring, err := seal.OpenRing(dir, vaultService(t, v, vaultKey))
	if err != nil {
		t.Fatal(err)
	}
	v.Fail(http.StatusServiceUnavailable)
	if err := ring.Keep(t.Context()); !errors.Is(err, seal.ErrUnavailable) || !strings.Contains(err.Error(), "unseal") {
		t.Errorf("Keep: %v", err)
	}
	if _, err := seal.OpenKeys(t.Context(), dir, ring); err == nil {
		t.Error("keys without a key-encryption key were opened")
	}
	if files, err := filepath.Glob(filepath.Join(dir, "ring", "*")); err != nil || len(files) > 0 {
		t.Errorf("left: %v, %v", files, err)
	}
}

// TestTheRingTurns: a member a day, which another process takes up at once; and yesterday's secret does not stay in memory.
func TestTheRingTurns(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	ring, keys := openRing(t, dir, service)
	_, other := openRing(t, dir, service)
	now := time.Now()
	ring.SetClock(func() time.Time { return now })
	create(t, keys, "monday")
	now = now.Add(seal.RenewAfter - time.Minute)
	if err := ring.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.Fail(http.StatusBadGateway)
	now = now.Add(time.Hour)
	if err := ring.Keep(t.Context()); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Keep while the service is away: %v", err)
	}
	create(t, keys, "still-monday")
	v.Fail(0)
	if err := ring.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, other, "tuesday")
	s, err := keys.Status(t.Context())
	if err != nil || len(s.KEKs) != 2 || s.Wrapped[s.KEKs[0]] != 1 || s.Wrapped[s.KEKs[1]] != 3 {
		t.Fatalf("status %+v, %v: want one key by the new member, and three with the check by the old", s, err)
	}
	asked := v.Requests()
	get := func(id string) {
		t.Helper()
		if _, err := keys.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	get("monday")
	if v.Requests() != asked {
		t.Error("a secret that was just used is asked for again")
	}
	now = now.Add(11 * time.Minute)
	get("tuesday")
	v.Fail(http.StatusBadGateway)
	get("tuesday")
	if _, err := keys.Get(t.Context(), "monday"); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("yesterday's secret is still in memory: %v", err)
	}
}

// TestAnotherPublicHalfIsNoticed: keys must not be wrapped by what somebody has put into the ring.
func TestAnotherPublicHalfIsNoticed(t *testing.T) {
	dir, v := t.TempDir(), storagetest.StartVault(t)
	service := vaultService(t, v, vaultKey)
	ring, _ := openRing(t, dir, service)
	ids, err := ring.IDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ring", ids[0]+".json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), `"recipient":"`)
	mine, _, _ := strings.Cut(rest, `"`)
	other, err := seal.NewKey("x", true)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, []byte(strings.Replace(string(b), mine, other.Recipient(), 1)))
	if _, err := seal.OpenRing(dir, service); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("OpenRing: %v, want ErrDamaged", err)
	}
}

func TestServicesAreRefused(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	write(t, token, []byte("hvs.secret\n"))
	o := seal.ServiceOptions{TokenFile: token}
	for _, test := range []struct {
		url  string
		o    seal.ServiceOptions
		want string
	}{
		{"hashivault://vault.example:8200/transit/greffier", o, ""},
		{"hashivault://vault.example/a/b/greffier?namespace=eu", o, ""},
		{"hashivault://vault.example/greffier", o, "/MOUNT/KEY"},
		{"hashivault://greffier", o, "/MOUNT/KEY"},
		{"hashivault://vault.example/transit/greffier?token=x", o, "/MOUNT/KEY"},
		{"hashivault://user:pass@vault.example/transit/greffier", o, "secret in it"},
		{"hashivault://vault.example/transit/greffier", seal.ServiceOptions{}, "token is missing"},
		{"hashivault+http://vault.example/transit/greffier", o, "loopback"},
		{"hashivault://vault.example/transit/greffier", seal.ServiceOptions{TokenFile: token, CAFile: token}, "holds no certificate"},
		{"vault://x/y/z", o, "is none"},
		{"%", o, "no URL"},
	} {
		_, err := seal.OpenService(t.Context(), test.url, test.o)
		switch {
		case (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want):
			t.Errorf("%s: %v, want %q", test.url, err, test.want)
		case err != nil && strings.Contains(err.Error(), "pass"):
			t.Errorf("%s: shows a secret: %v", test.url, err)
		}
	}
	v := storagetest.StartVault(t)
	for _, test := range []struct {
		text string
		mode os.FileMode
		want string
	}{{"hvs.other", 0o600, "renew the token"}, {"a b", 0o600, "no token"}, {"", 0o600, "no token"}, {storagetest.VaultToken, 0o640, "chmod 600"}} {
		if err := errors.Join(os.WriteFile(token, []byte(test.text), 0o600), os.Chmod(token, test.mode)); err != nil {
			t.Fatal(err)
		}
		s, err := seal.OpenService(t.Context(), v.URL(vaultKey), o)
		if err == nil {
			_, err = s.Wrap(t.Context(), "x", []byte("secret"))
		}
		if !errors.Is(err, seal.ErrUnavailable) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hvs.") {
			t.Errorf("token %q: %v, want %q", test.text, err, test.want)
		}
	}
}

func FuzzParseMember(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"0123456789abcdef","created":"2026-11-28T10:00:00Z","service":"x","recipient":"age1pq1","wrapped":"eA=="}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := seal.ParseMember("0123456789abcdef", b); !errors.Is(err, seal.ErrDamaged) { // no recipient hashes to that
			t.Errorf("%v", err)
		}
	})
}
