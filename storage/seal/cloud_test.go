//go:build cloudkms

package seal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	_ "gocloud.dev/secrets/localsecrets"

	"github.com/greffier/greffier/storage/seal"
)

// TestCloudServices takes the way of the clouds' drivers with the one driver that needs no cloud.
func TestCloudServices(t *testing.T) {
	const url = "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4="
	s, err := seal.OpenService(t.Context(), url, seal.ServiceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.Name+fmt.Sprint(s), "smGbjm") {
		t.Errorf("it shows its key: %v", s)
	}
	dir := t.TempDir()
	ring, err := seal.OpenRing(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), dir, ring)
	if err != nil {
		t.Fatal(err)
	}
	k := create(t, keys, "one")
	again, err := seal.OpenRing(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	keys, err = seal.OpenKeys(t.Context(), dir, again)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keys.Get(t.Context(), "one"); err != nil || got.Recipient() != k.Recipient() {
		t.Errorf("Get: %v, or another key", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Unwrap(ended, "one", []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Unwrap: %v", err)
	}
	if _, err := s.Unwrap(t.Context(), "one", []byte("x")); !errors.Is(err, seal.ErrUnavailable) {
		t.Errorf("Unwrap of nonsense: %v", err)
	}
	// The three clouds are known by their schemes: what is missing is said, not that there is no such thing.
	for _, url := range []string{"awskms://", "gcpkms://x", "azurekeyvault://"} {
		if _, err := seal.OpenService(t.Context(), url, seal.ServiceOptions{}); err != nil && strings.Contains(err.Error(), "tags") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
