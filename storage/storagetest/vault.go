package storagetest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// VaultToken is the one token that a Vault takes.
const VaultToken = "hvs.test-0123456789"

// A Vault speaks the encrypt and decrypt of HashiCorp Vault's Transit engine as that does: AES-256-GCM under named keys with versions,
// "vault:v1:...", its statuses and errors. And it can be made to fail. It is http://, on a loopback address.
type Vault struct {
	server  *httptest.Server
	stopped chan struct{} // closed at the test's end

	mu       sync.Mutex
	keys     map[string]*vaultKey // "transit/greffier"
	token    string
	status   int  // answered to everything; 0: none
	hangs    bool // answers nothing until the client or the test gives up
	requests int
}

type vaultKey struct {
	versions []cipher.AEAD // version 1 first
	least    int           // min_decryption_version
}

// StartVault starts one with the key transit/greffier, and stops it at the test's end.
func StartVault(t testing.TB) *Vault {
	t.Helper()
	v := &Vault{keys: make(map[string]*vaultKey), token: VaultToken, stopped: make(chan struct{})}
	v.server = httptest.NewServer(v)
	t.Cleanup(func() {
		close(v.stopped)
		v.server.Close()
	})
	v.Rotate("transit/greffier")
	return v
}

// URL is that of a key, as seal.OpenService takes it.
func (v *Vault) URL(key string) string {
	return "hashivault+http://" + v.server.Listener.Addr().String() + "/" + key
}

// TokenFile writes the token into a new file.
func (v *Vault) TokenFile(t testing.TB) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "vault-token")
	if err := os.WriteFile(name, []byte(VaultToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Rotate gives a key a new version, and makes the key if there is none.
func (v *Vault) Rotate(key string) {
	secret := make([]byte, 32)
	rand.Read(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // only for another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.keys[key]
	if k == nil {
		k = &vaultKey{least: 1}
		v.keys[key] = k
	}
	k.versions = append(k.versions, aead)
}

// Require takes versions of a key before the least away, as min_decryption_version does.
func (v *Vault) Require(key string, least int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[key].least = least
}

// Forget deletes a key.
func (v *Vault) Forget(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.keys, key)
}

// Fail answers every request with a status from now on: 503 as a sealed Vault, 403 as for a token that has ended. 0 ends that.
func (v *Vault) Fail(status int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.status = status
}

// Hang keeps every request from now on without an answer.
func (v *Vault) Hang(on bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hangs = on
}

// Requests is how many there were.
func (v *Vault) Requests() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.requests
}

// ServeHTTP implements http.Handler.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	v.requests++
	status, hangs, token := v.status, v.hangs, v.token
	v.mu.Unlock()
	var body struct{ Plaintext, Ciphertext string }
	err := json.NewDecoder(r.Body).Decode(&body)
	if hangs {
		select {
		case <-r.Context().Done():
		case <-v.stopped:
		}
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	n := len(parts)
	switch {
	case status != 0:
		vaultError(w, status, map[int]string{503: "Vault is sealed", 403: "permission denied"}[status])
	case r.Header.Get("X-Vault-Token") != token:
		vaultError(w, http.StatusForbidden, "permission denied")
	case r.Method != http.MethodPost || n < 3 || parts[0] != "transit":
		vaultError(w, http.StatusNotFound, "no handler for route")
	case err != nil:
		vaultError(w, http.StatusBadRequest, "failed to parse JSON input")
	case parts[n-2] == "encrypt":
		v.encrypt(w, parts[0]+"/"+parts[n-1], body.Plaintext)
	case parts[n-2] == "decrypt":
		v.decrypt(w, parts[0]+"/"+parts[n-1], body.Ciphertext)
	default:
		vaultError(w, http.StatusNotFound, "unsupported path")
	}
}

func (v *Vault) encrypt(w http.ResponseWriter, key, plaintext string) {
	plain, err := base64.StdEncoding.DecodeString(plaintext)
	if err != nil {
		vaultError(w, http.StatusBadRequest, "failed to base64-decode plaintext")
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.keys[key]
	if k == nil {
		vaultError(w, http.StatusForbidden, "1 error occurred: permission denied") // of a policy without create
		return
	}
	version := len(k.versions)
	aead := k.versions[version-1]
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	sealed := aead.Seal(nonce, nonce, plain, nil)
	vaultData(w, map[string]any{"ciphertext": fmt.Sprintf("vault:v%d:%s", version, base64.StdEncoding.EncodeToString(sealed)), "key_version": version})
}

func (v *Vault) decrypt(w http.ResponseWriter, key, ciphertext string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.keys[key]
	if k == nil {
		vaultError(w, http.StatusBadRequest, "encryption key not found")
		return
	}
	rest, ok := strings.CutPrefix(ciphertext, "vault:v")
	number, text, cut := strings.Cut(rest, ":")
	version, err := strconv.Atoi(number)
	sealed, err64 := base64.StdEncoding.DecodeString(text)
	switch {
	case !ok || !cut || err != nil || err64 != nil:
		vaultError(w, http.StatusBadRequest, "invalid ciphertext: no prefix")
		return
	case version < k.least:
		vaultError(w, http.StatusBadRequest, "ciphertext or signature version is disallowed by policy (too old)")
		return
	case version > len(k.versions):
		vaultError(w, http.StatusBadRequest, "invalid ciphertext: version is too new")
		return
	}
	aead := k.versions[version-1]
	if len(sealed) < aead.NonceSize() {
		vaultError(w, http.StatusBadRequest, "invalid ciphertext: too short")
		return
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], nil)
	if err != nil {
		vaultError(w, http.StatusBadRequest, "cipher: message authentication failed")
		return
	}
	vaultData(w, map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain)})
}

func vaultData(w http.ResponseWriter, data map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"request_id": rand.Text(), "lease_id": "", "renewable": false, "data": data}) // the client may be gone
}

func vaultError(w http.ResponseWriter, status int, errs ...string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"errors": errs})
}
