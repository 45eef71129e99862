package srs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// TLSFiles names the PEM files of the tls:// listeners. They are read again when they change.
type TLSFiles struct {
	Cert     string // our certificate and what leads to its authority
	Key      string // its private key
	ClientCA string // authorities of the clients' certificates; "": clients are not asked for any
}

// Certificates are what the files held when they were last good. Each reading makes a new tls.Config, and with it new keys for
// session tickets: a client that an authority vouched for which is gone begins anew.
type certificates struct {
	files   TLSFiles
	current atomic.Pointer[loaded]

	mu   sync.Mutex // protects good
	good [3][]byte  // the files as they were when last good
}

// A loaded is one reading of the files.
type loaded struct {
	config *tls.Config
	cert   tls.Certificate
	pool   *x509.CertPool // nil: clients are not asked
}

func newCertificates(files TLSFiles) (*certificates, error) {
	if files.Cert == "" || files.Key == "" {
		return nil, errors.New("tls:// needs a certificate and its key: set tls_cert and tls_key to their PEM files")
	}
	c := &certificates{files: files}
	_, err := c.reload()
	return c, err
}

// reload reads the files. It reports whether they changed; when they are not good, nothing else changes.
func (c *certificates) reload() (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var read [3][]byte
	for i, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if path == "" {
			continue
		}
		if read[i], err = os.ReadFile(path); err != nil {
			return false, fmt.Errorf("read TLS files: %w", err)
		}
	}
	if c.current.Load() != nil && slices.EqualFunc(read[:], c.good[:], bytes.Equal) {
		return false, nil
	}
	l := &loaded{}
	if l.cert, err = tls.X509KeyPair(read[0], read[1]); err != nil {
		return false, fmt.Errorf("read certificate %s with key %s: %w", c.files.Cert, c.files.Key, err)
	}
	if c.files.ClientCA != "" {
		if l.pool, err = readPool(read[2]); err != nil {
			return false, fmt.Errorf("read client authorities %s: %w", c.files.ClientCA, err)
		}
	}
	l.config = l.serverConfig()
	c.current.Store(l)
	c.good = read
	return true, nil
}

// readPool reads certificates strictly: one that cannot be read would otherwise be left out without a word.
func readPool(raw []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s: put certificates only there", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n+1, err)
		}
		pool.AddCert(cert)
		n++
	}
	if n == 0 {
		return nil, errors.New("it holds no certificate in PEM form")
	}
	return pool, nil
}

func (l *loaded) serverConfig() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{l.cert}}
	if l.pool != nil {
		// A client without a certificate is told so in SIP; the certificate of another is verified here, when a session is
		// resumed too.
		cfg.ClientAuth, cfg.ClientCAs = tls.RequestClientCert, l.pool
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return nil
			}
			return verifyPeer(cs.PeerCertificates, l.pool)
		}
	}
	return cfg
}

// expiry is when our certificate ends.
func (l *loaded) expiry() time.Time { return l.cert.Leaf.NotAfter }

// ReloadCertificates reads the files of the tls:// listeners now. Connections that are open stay. When the files are not good,
// what was read before stays in use.
func (s *Server) ReloadCertificates() error {
	if s.certs == nil {
		return nil
	}
	changed, err := s.certs.reload()
	s.logReload(changed, err)
	return err
}

func (s *Server) logReload(changed bool, err error) {
	if err != nil {
		s.log.Error("TLS certificates not reloaded: the old ones stay in use", zap.Error(err))
	}
	if changed {
		s.logCertificates("TLS certificates reloaded")
	}
}

func (s *Server) logCertificates(event string) {
	until := s.certs.current.Load().expiry()
	if until.Before(s.now().Add(certExpirySoon)) {
		s.log.Warn(event+": the certificate expires soon, or has expired: renew it", zap.Time("not_after", until))
		return
	}
	s.log.Info(event, zap.Time("not_after", until))
}

// watchCertificates looks at the files now and then until the server stops.
func (s *Server) watchCertificates() {
	tick := time.NewTicker(s.timing.certs)
	defer tick.Stop()
	said := "" // each trouble is logged once
	for {
		select {
		case <-s.stopping:
			return
		case <-tick.C:
			changed, err := s.certs.reload()
			if err != nil && err.Error() == said {
				continue
			}
			said = ""
			if err != nil {
				said = err.Error()
			}
			s.logReload(changed, err)
		}
	}
}
