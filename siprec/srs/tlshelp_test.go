package srs_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec/srs"
)

// An authority issues certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign fills the template in; without a certificate of its own the authority signs itself.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(unique.Add(1))
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(100 * 24 * time.Hour)
	}
	template.NotBefore = time.Now().Add(-48 * time.Hour)
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue makes a certificate with names: sip: URIs, IP addresses, DNS names; changes come last.
func (a *authority) issue(names []string, change ...func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "cn.example.com"}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if strings.Contains(n, ":") {
			u, err := url.Parse(n)
			if err != nil {
				a.t.Fatal(err)
			}
			template.URIs = append(template.URIs, u)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	for _, f := range change {
		f(template)
	}
	cert, key := a.sign(template)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// write puts a certificate and the authorities into files.
func write(t *testing.T, f srs.TLSFiles, cert tls.Certificate, authorities ...*authority) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var pool []byte
	for _, a := range authorities {
		pool = append(pool, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	for path, content := range map[string][]byte{
		f.Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		f.Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), f.ClientCA: pool,
	} {
		if path == "" {
			continue
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// files names the files of a server; with client authorities when mutual.
func files(t *testing.T, mutual bool) srs.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	f := srs.TLSFiles{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	if mutual {
		f.ClientCA = filepath.Join(dir, "ca.pem")
	}
	return f
}

// secured is a setup with one TLS listener on loopback.
func secured(t *testing.T, ca *authority, mutual bool, sources ...srs.Source) func(*srs.Config) {
	t.Helper()
	f := files(t, mutual)
	write(t, f, ca.issue([]string{"127.0.0.1", "::1"}), ca)
	return func(c *srs.Config) {
		c.Listen, c.TLS, c.Sources = []string{"tls://127.0.0.1:0"}, f, sources
	}
}

// client is a TLS configuration of a recording client.
func (a *authority) client(certs ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: a.pool(), Certificates: certs}
}

// tryTLS opens a TLS connection from a local address, "" for any.
func tryTLS(t *testing.T, listener, local string, cfg *tls.Config) (*peer, error) {
	t.Helper()
	_, addr, _ := strings.Cut(listener, "://")
	d := &net.Dialer{Timeout: patience}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := tls.DialWithDialer(d, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return &peer{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<20), via: "TLS"}, nil
}

func dialTLS(t *testing.T, listener string, cfg *tls.Config) *peer {
	t.Helper()
	p, err := tryTLS(t, listener, "", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dialed is the peer of a connection that the server opened.
func dialed(t *testing.T, c net.Conn) *peer {
	return &peer{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<20), via: "TLS"}
}

// reuseAddress lets a socket be bound where another one is.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReusePort, 1))
	})
	return errors.Join(err, failed)
}

// soReusePort is Linux's, which package syscall does not name.
const soReusePort = 15

// named is a source with names of certificates and perhaps prefixes.
func named(name string, names []string, prefixes ...string) srs.Source {
	s := srs.Source{Name: name, TLSNames: names}
	for _, p := range prefixes {
		s.Prefixes = append(s.Prefixes, netip.MustParsePrefix(p))
	}
	return s
}
