package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A remote command asks a running server, over its HTTP API.
type remote struct {
	located
	URL       string `name:"url" placeholder:"URL" help:"The server, as https://recorder.example:8080; absent: http.listen of its configuration."`
	TokenFile string `name:"token-file" placeholder:"FILE" help:"File with the token of the API; absent: secrets/api-token of the data directory."`
	CA        string `name:"ca" placeholder:"FILE" help:"PEM file with the authority of the server's certificate; absent: the system's."`
}

// Bounds of one request.
const (
	remoteTimeout = 30 * time.Second
	maxAnswer     = 64 << 20 // bytes
)

// A remoteServer is a running server, as a remote command asks it.
type remoteServer struct {
	base, token string
	client      *http.Client
}

// connect finds out where the server is and what it wants to see. Nothing is sent yet.
func (r remote) connect() (*remoteServer, error) {
	s := &remoteServer{base: strings.TrimRight(r.URL, "/")}
	tokenPath := r.TokenFile
	if s.base == "" || tokenPath == "" {
		c, err := r.config()
		if err != nil {
			return nil, err
		}
		if s.base == "" {
			s.base = c.HTTP.address()
		}
		if tokenPath == "" {
			tokenPath = filepath.Join(c.DataDir, secretsDir, tokenFile)
		}
	}
	if err := mayCarryToken(s.base); err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	var err error
	if s.token, err = secret(tokenPath, false); err != nil {
		return nil, err
	}
	transport, err := trusting(r.CA)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	s.client = &http.Client{Transport: transport, Timeout: remoteTimeout, CheckRedirect: stay}
	return s, nil
}

// stay follows no redirection: what is sent, and the token, are for the server that was named.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// trusting gives a transport that trusts the authorities of a PEM file; without a file, those of the system.
func trusting(file string) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return t, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t.TLSClientConfig.RootCAs = x509.NewCertPool()
	if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return t, nil
}

// address is where a client of this machine finds the server.
func (h HTTPConfig) address() string {
	listen := h.Listen
	if ap, err := netip.ParseAddrPort(listen); err == nil && ap.Addr().IsUnspecified() {
		loopback := netip.IPv6Loopback()
		if ap.Addr().Is4() {
			loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		listen = netip.AddrPortFrom(loopback, ap.Port()).String()
	}
	if h.TLSCert != "" {
		return "https://" + listen
	}
	return "http://" + listen
}

// mayCarryToken refuses a server that a token, or names, would be sent to in clear over a network.
func mayCarryToken(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is no server; write it as https://server.example:8080", base)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not this machine, and http would show what is sent to the network; use https", u.Hostname())
	}
	return nil
}

// ask sends a request, with body as JSON unless it is nil, and reads the answer into the value, unless that is nil.
func (s *remoteServer) ask(ctx context.Context, method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask server: %w", err)
		}
		sent = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+"/api/v1/"+path, sent)
	if err != nil {
		return fmt.Errorf("ask server: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.client.Do(r)
	if err != nil {
		return fmt.Errorf("ask server: %w (is it running? name it with --url)", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return refusal(answer, b)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read answer: %w (does %s lead to Greffier?)", err, s.base)
	}
	return nil
}

// refusal is the error that an answer tells of.
func refusal(answer *http.Response, body []byte) error {
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = "the server answers " + answer.Status
	}
	if answer.StatusCode == http.StatusNotFound {
		return exitError{exitNotFound, fmt.Errorf("%s; `greffier calls list` shows what there is", problem.Detail)}
	}
	return fmt.Errorf("%s", problem.Detail)
}
