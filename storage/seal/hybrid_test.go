package seal_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greffier/greffier/storage/seal"
)

// A well-known hybrid identity. It protects nothing either.
const (
	hybridIdentity  = "AGE-SECRET-KEY-PQ-137EPS5NZX50KDFKPGLCY25PFVSJLWG4JLRU9MZEFY0KJKQ7YGZ2SAXPS4D"
	hybridSpoolKey  = "ca960188a8be0241939506c1dbde77f39adb6388e60d67f21485f3a496a7316d"
	hybridRecipient = "age1pq1"
)

func TestNewKeysAreHybrid(t *testing.T) {
	dir := t.TempDir()
	keys := newKeys(t, dir)
	k := create(t, keys, testID)
	if !strings.HasPrefix(k.Recipient(), hybridRecipient) {
		t.Errorf("recipient %.20s, want %s", k.Recipient(), hybridRecipient)
	}
	file := sealed(t, k, noise(1000))
	header, _, _ := bytes.Cut(file, []byte("\n--- "))
	if !bytes.Contains(header, []byte("-> mlkem768x25519 ")) || bytes.Contains(header, []byte("-> X25519 ")) {
		t.Errorf("a recording's header is %.80q", header)
	}
	pinned, err := seal.ParseIdentity(testID, hybridIdentity)
	if err != nil {
		t.Fatal(err)
	}
	if spool := pinned.SpoolKey(); hex.EncodeToString(spool[:]) != hybridSpoolKey {
		t.Errorf("spool key %x, want %s", spool, hybridSpoolKey)
	}
	if again, err := seal.ParsePayload(testID, seal.Payload(pinned)); err != nil || again.Recipient() != pinned.Recipient() {
		t.Errorf("payload: %v, or another key", err)
	}
}

// TestOlderKeysStayReadable: a directory of X25519 keys under an X25519 key-encryption key, as the age program would write them.
func TestOlderKeysStayReadable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "payload"), seal.Payload(testKey(t)))
	old := ageCommand(t, "-r", testRecipient, filepath.Join(dir, "payload"))
	if seal.MarkOf(old) != "" {
		t.Errorf("a key of an older version names %s", seal.MarkOf(old))
	}
	keys := newKeys(t, dir) // makes the directory of the shard below, too
	create(t, keys, testID)
	write(t, filepath.Join(dir, "kek.txt"), []byte(testIdentity+"\n"))
	kek, err := seal.LocalFile(filepath.Join(dir, "kek.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.Destroy(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	write(t, keys.Path(testID, ".age"), old)
	write(t, filepath.Join(dir, "check"), []byte("# greffier key v1\n# recording check\n"+testIdentity+"\n"))
	write(t, filepath.Join(dir, "keys", "check.age"), ageCommand(t, "-r", testRecipient, filepath.Join(dir, "check")))
	keys, err = seal.OpenKeys(t.Context(), filepath.Join(dir, "keys"), kek)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.Get(t.Context(), testID)
	if err != nil || got.Recipient() != testRecipient || got.SpoolKey() != testKey(t).SpoolKey() {
		t.Fatalf("Get: %v, or another key", err)
	}
	plain := noise(chunk + 5)
	if opened, err := readAll(got, sealed(t, testKey(t), plain)); err != nil || !bytes.Equal(opened, plain) {
		t.Errorf("a recording of before: %v, or other bytes", err)
	}
}

// perRecording is the work with keys that one recording costs: made and wrapped, unwrapped once to finish, two headers sealed and opened.
func perRecording(tb testing.TB, kek *seal.Key, hybrid bool) {
	k, err := seal.NewKey(testID, hybrid)
	if err != nil {
		tb.Fatal(err)
	}
	wrapped, err := seal.WrapFor(kek, seal.Payload(k))
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := seal.UnwrapBy(kek, wrapped)
	if err != nil {
		tb.Fatal(err)
	}
	if k, err = seal.ParsePayload(testID, payload); err != nil {
		tb.Fatal(err)
	}
	k.SpoolKey()
	for range 2 {
		if _, err := k.Encrypt(io.Discard); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkKeysOfARecording(b *testing.B) {
	for name, hybrid := range map[string]bool{"X25519": false, "hybrid": true} {
		b.Run(name, func(b *testing.B) {
			kek, err := seal.NewKey("kek", hybrid)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				perRecording(b, kek, hybrid)
			}
		})
	}
}
