package seal

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// serviceTimeout is how long a key-management service may take for an answer.
	serviceTimeout = 5 * time.Second
	// maxAnswerBytes of a service are read; maxReasonBytes of what it says of an error are passed on.
	maxAnswerBytes = 256 << 10
	maxReasonBytes = 200
	maxTokenBytes  = 8 << 10

	transitScheme      = "hashivault"
	plainTransitScheme = "hashivault+http" // of a loopback address only
)

// transit is a key of the Transit engine of HashiCorp Vault or OpenBao. It keeps no token: the file is read for each request, so that
// an agent may renew it.
type transit struct {
	encrypt, decrypt string // URLs
	namespace        string
	tokenFile        string
	client           *http.Client
}

// openTransit reads hashivault://HOST:PORT/MOUNT/KEY, with ?namespace=NAME for one of Vault's namespaces.
func openTransit(u *url.URL, o ServiceOptions) (*transit, error) {
	mount, key := path.Split(strings.TrimPrefix(u.Path, "/"))
	mount = strings.Trim(mount, "/")
	query := u.Query()
	namespace := query.Get("namespace")
	query.Del("namespace")
	if u.Host == "" || u.User != nil || mount == "" || key == "" || len(query) > 0 || u.Fragment != "" {
		return nil, errors.New("write hashivault://HOST:PORT/MOUNT/KEY, as hashivault://vault.example:8200/transit/greffier; ?namespace=NAME may follow")
	}
	if o.TokenFile == "" {
		return nil, errors.New("the token is missing: name the file that holds it")
	}
	scheme := "https"
	if u.Scheme == plainTransitScheme {
		if scheme = "http"; !isLoopback(u.Hostname()) {
			return nil, fmt.Errorf("%s is for a loopback address only: secrets would cross the network in clear", plainTransitScheme)
		}
	}
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	at := func(deed string) string {
		return (&url.URL{Scheme: scheme, Host: u.Host, Path: path.Join("/v1", mount, deed, key)}).String()
	}
	return &transit{encrypt: at("encrypt"), decrypt: at("decrypt"), namespace: namespace, tokenFile: o.TokenFile, client: client}, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// client makes one that follows no redirection: the token is for the service that was named.
func (o ServiceOptions) client() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read certificate authority: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", o.CAFile)
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return &http.Client{
		Transport: transport, Timeout: serviceTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Wrap implements Wrapper.
func (t *transit) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	var answer struct {
		Ciphertext string `json:"ciphertext"`
	}
	if err := t.post(ctx, t.encrypt, map[string][]byte{"plaintext": secret}, &answer); err != nil {
		return nil, fmt.Errorf("encrypt by Vault: %w", err)
	}
	if !strings.HasPrefix(answer.Ciphertext, "vault:v") {
		return nil, fmt.Errorf("encrypt by Vault: %w: it answers without a ciphertext: check address and mount", ErrUnavailable)
	}
	return []byte(answer.Ciphertext), nil
}

// Unwrap implements Wrapper.
func (t *transit) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	var answer struct {
		Plaintext []byte `json:"plaintext"`
	}
	if err := t.post(ctx, t.decrypt, map[string]string{"ciphertext": string(wrapped)}, &answer); err != nil {
		return nil, fmt.Errorf("decrypt by Vault: %w", err)
	}
	if len(answer.Plaintext) == 0 {
		return nil, fmt.Errorf("decrypt by Vault: %w: it answers without a plaintext: check address and mount", ErrUnavailable)
	}
	return answer.Plaintext, nil
}

// post sends a request and reads the data of the answer.
func (t *transit) post(ctx context.Context, to string, body, data any) error {
	token, err := readToken(t.tokenFile)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	defer clear(b)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set("X-Vault-Token", token)
	if t.namespace != "" {
		req.Header.Set("X-Vault-Namespace", t.namespace)
	}
	resp, err := t.client.Do(req)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	defer clear(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if resp.StatusCode != http.StatusOK {
		return transitError(resp.StatusCode, text)
	}
	answer := struct{ Data any }{data}
	if json.Unmarshal(text, &answer) != nil { // its error may show what is in it
		return fmt.Errorf("%w: the answer is not Vault's: check address and mount", ErrUnavailable)
	}
	return nil
}

// transitError says what to do about an answer. 400 is what Transit says of a ciphertext that its key has not made, or made by a version
// that was taken away; everything else may be mended at the service.
func transitError(status int, text []byte) error {
	var answer struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(text, &answer) // without them the status must do
	reason := strings.Join(answer.Errors, "; ")
	if len(reason) > maxReasonBytes {
		reason = reason[:maxReasonBytes]
	}
	said := fmt.Sprintf("status %d %q", status, reason)
	switch {
	case status == http.StatusBadRequest:
		return fmt.Errorf("%w: %s: check the name of the key, and min_decryption_version", ErrWrongKey, said)
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %s: renew the token, and let its policy update MOUNT/encrypt/KEY and MOUNT/decrypt/KEY", ErrUnavailable, said)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %s: enable the transit engine at the mount, and create the key", ErrUnavailable, said)
	case status >= 300 && status < 400:
		return fmt.Errorf("%w: %s: it names another address: configure that", ErrUnavailable, said)
	case status == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: %s: unseal Vault", ErrUnavailable, said)
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, said)
}

// readToken reads a token that only its owner may read. Its errors do not show it.
func readToken(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("the mode %04o of %s lets others than its owner read the token: run chmod 600", mode, name)
	}
	b, err := readLimited(name)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(token) > maxTokenBytes || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s holds no token: write the token alone into it", name)
	}
	return token, nil
}
