package srs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// A certificateError says that a peer's certificate was not accepted.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return "verify the peer's certificate: " + e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// verifyPeer checks a chain, leaf first, up to one of the authorities. Which extended key usages the leaf has matters as RFC 5924
// says: one for SIP domains, or, by our leave, one for TLS on either side, because a SIP element is both with the same certificate.
func verifyPeer(chain []*x509.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil && !isForSIP(chain[0]) {
		err = errors.New("its extended key usage is neither TLS nor SIP")
	}
	if err != nil {
		return &certificateError{err}
	}
	return nil
}

// usageSIPDomain is id-kp-sipDomain (RFC 5924 section 4).
var usageSIPDomain = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 20}

func isForSIP(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, u := range c.ExtKeyUsage {
		if u == x509.ExtKeyUsageAny || u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageServerAuth {
			return true
		}
	}
	return slices.ContainsFunc(c.UnknownExtKeyUsage, usageSIPDomain.Equal)
}

// oidSubjectAltName is the extension's identifier (RFC 5280 section 4.2.1.6).
var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// sipIdentities gives the SIP domains that a certificate is for, in lower case (RFC 5922 section 7.1): of subjectAltName the SIP
// URIs without a user and the DNS names, and the common name only when there is no subjectAltName.
func sipIdentities(c *x509.Certificate) []string {
	var names []string
	for _, u := range c.URIs {
		if host, ok := domainOfURI(u); ok {
			names = append(names, host)
		}
	}
	for _, n := range c.DNSNames {
		names = append(names, strings.ToLower(n))
	}
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSubjectAltName) {
			return names
		}
	}
	if cn := strings.ToLower(c.Subject.CommonName); checkTLSName(cn) == nil {
		names = append(names, cn)
	}
	return names
}

// domainOfURI gives the host of sip:HOST. A URI with a user names a person, and one of another scheme no SIP domain.
func domainOfURI(u *url.URL) (string, bool) {
	host := u.Opaque
	if !strings.EqualFold(u.Scheme, "sip") || strings.Contains(host, "@") {
		return "", false
	}
	host, _, _ = strings.Cut(host, ";")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(host), host != ""
}

// checkTLSName checks a name of Source.TLSNames.
func checkTLSName(name string) error {
	if name == "" || len(name) > 253 || strings.ContainsAny(name, "*@:/ \t") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q is no host name: write it in full, without scheme or wildcard, as sbc1.example.com", name)
	}
	return nil
}

const (
	noCertificateReason    = "a client certificate is needed on this port"
	certificateReason      = "the client's certificate was not accepted"
	otherCertificateReason = "this address's profile asks for TLS and a certificate with one of its names"
	unknownNameReason      = "the certificate names no configured source, and this address is not among theirs"
	misplacedReason        = "the certificate's profile does not have this address"
)

// identify tells whose TLS connection it is, or why it is nobody's.
func (s *Server) identify(cs tls.ConnectionState, from netip.Addr) (*Source, string) {
	if s.cfg.TLS.ClientCA == "" {
		return s.sources.find(from)
	}
	if len(cs.PeerCertificates) == 0 {
		return nil, noCertificateReason
	}
	src, why := s.sources.find(from, sipIdentities(cs.PeerCertificates[0])...)
	if why == strangerReason {
		why = unknownNameReason
	}
	return src, why
}

// sourceOf tells whose request it is. Over TLS the connection says so, if it is still the one that the request came on: sipgo
// opens another, to wherever Via says, when that one is gone.
func (s *Server) sourceOf(req *sip.Request, tx *sip.ServerTx, from netip.AddrPort) *Source {
	if sip.NetworkToLower(req.Transport()) != "tls" {
		src, _ := s.sources.find(from.Addr())
		return src
	}
	over, ok := tx.Connection().(*sip.TCPConnection)
	if !ok {
		return nil
	}
	if a, ok := over.RemoteAddr().(*net.TCPAddr); !ok || unmapped(a.AddrPort()) != from {
		return nil
	}
	switch c := over.Conn.(type) {
	case *streamConn: // that the client opened
		return c.src
	case *tls.Conn: // that we opened; dialConfig has verified it
		src, _ := s.identify(c.ConnectionState(), from.Addr())
		return src
	}
	return nil
}

// dialConfig is for connections that sipgo opens for requests of ours, when the client's are gone: only to somebody whose
// certificate verifies and names a source.
func (s *Server) dialConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it, by RFC 5922
		VerifyConnection: func(cs tls.ConnectionState) error {
			if s.certs == nil || s.cfg.TLS.ClientCA == "" {
				return errors.New("connect over TLS: without client authorities nobody can be recognised")
			}
			if err := verifyPeer(cs.PeerCertificates, s.certs.current.Load().pool); err != nil {
				return err
			}
			if !s.sources.names(sipIdentities(cs.PeerCertificates[0])) {
				return &certificateError{errors.New("it names no source")}
			}
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if s.certs == nil {
				return &tls.Certificate{}, nil
			}
			return &s.certs.current.Load().cert, nil
		},
	}
}
