package storage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Sizes and times of the S3 client.
const (
	DefaultPartSize    = 16 << 20
	MinPartSize        = 5 << 20 // the service's own limit
	maxParts           = 10000   // the service's own limit
	DefaultS3Timeout   = 60 * time.Second
	s3DialTimeout      = 10 * time.Second
	s3IdleTimeout      = 90 * time.Second
	s3IdleConnections  = 16
	s3Attempts         = 3 // of each request, within a second or two; the caller repeats the whole later
	maxSecretFileBytes = 1 << 20
)

// A Secret does not show itself when it is printed, logged or marshalled.
type Secret string

const redacted = "[redacted]"

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// S3Config says where the service is and how to sign in.
type S3Config struct {
	// Endpoint is HOST, HOST:PORT or an https URL. An http URL is accepted for a loopback address, or with Insecure.
	Endpoint string
	Bucket   string
	Region   string // asked from the service when empty
	// Insecure allows http to other hosts. Metadata and credentials' signatures then travel in clear.
	Insecure bool
	// PathStyle puts the bucket in the path instead of the host name, for services without wildcard names.
	PathStyle bool
	// CAFile is a PEM file with the only authorities to trust; empty means those of the system.
	CAFile string

	// Credentials: these two if given; else CredentialsFile; else the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
	// MINIO_ROOT_USER and MINIO_ROOT_PASSWORD); else ~/.aws/credentials.
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret
	// CredentialsFile is an AWS credentials file; Profile is its section, "default" when empty.
	CredentialsFile string
	Profile         string

	// PartSize in bytes is the most that is sent in one request, and sent again when the request fails. Zero means 16 MiB.
	PartSize int64
	// Timeout is how long a connection may stand still before it is given up. Zero means 60 s.
	Timeout time.Duration
}

// S3 is a Store on a service with S3 Object Lock.
type S3 struct {
	core      *minio.Core
	clock     *clockReader
	transport *http.Transport
	bucket    string
	region    string
	partSize  int64
}

var _ Store = (*S3)(nil)

// NewS3 makes a client; it does not talk to the service: see Check.
func NewS3(cfg S3Config) (*S3, error) {
	s, err := newS3(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure S3 store: %w", err)
	}
	return s, nil
}

func newS3(cfg S3Config) (*S3, error) {
	host, secure, err := s3Endpoint(cfg.Endpoint, cfg.Insecure)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Bucket == "":
		return nil, errors.New("no bucket is named")
	case cfg.PartSize == 0:
		cfg.PartSize = DefaultPartSize
	case cfg.PartSize < MinPartSize:
		return nil, fmt.Errorf("part size of %d bytes is less than %d", cfg.PartSize, MinPartSize)
	}
	transport, err := s3Transport(cfg)
	if err != nil {
		return nil, err
	}
	creds, err := s3Credentials(cfg)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	clock := &clockReader{RoundTripper: transport}
	core, err := minio.NewCore(host, &minio.Options{
		Creds: creds, Secure: secure, Transport: clock, Region: cfg.Region, BucketLookup: lookup, MaxRetries: s3Attempts,
	})
	if err != nil {
		return nil, err
	}
	return &S3{core: core, clock: clock, transport: transport, bucket: cfg.Bucket, region: cfg.Region, partSize: cfg.PartSize}, nil
}

// s3Endpoint gives HOST:PORT and whether to use TLS.
func s3Endpoint(endpoint string, insecure bool) (host string, secure bool, err error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", false, fmt.Errorf("endpoint: %w", err)
	}
	if u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return "", false, fmt.Errorf("endpoint for %q is not a host, or a URL without user, path and query", u.Host)
	}
	switch {
	case u.Scheme == "https":
		return u.Host, true, nil
	case u.Scheme != "http":
		return "", false, fmt.Errorf("endpoint scheme %q is neither https nor http", u.Scheme)
	case insecure || isLoopback(u.Hostname()):
		return u.Host, false, nil
	}
	return "", false, fmt.Errorf("endpoint %s would be used without TLS: use https, or set insecure if the network is protected otherwise", u.Host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func s3Transport(cfg S3Config) (*http.Transport, error) {
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultS3Timeout
	}
	if timeout < 0 {
		return nil, fmt.Errorf("timeout %v is negative", timeout)
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := readLimited(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s has no certificate in PEM form", cfg.CAFile)
		}
	}
	dialer := &net.Dialer{Timeout: min(timeout, s3DialTimeout)}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &stallConn{Conn: c, timeout: timeout}, nil
		},
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: min(timeout, s3DialTimeout),
		MaxIdleConnsPerHost: s3IdleConnections,
		IdleConnTimeout:     s3IdleTimeout,
		DisableCompression:  true,
	}, nil
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecretFileBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are expected", path, info.Size(), maxSecretFileBytes)
	}
	return os.ReadFile(path)
}

// A stallConn gives a connection up when it stands still for a time: a deadline for a whole request would have to know its size.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

func (c *stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *stallConn) Write(p []byte) (int, error) {
	// The answer may take its time after the last byte was sent: the read that waits for it starts again from now.
	now := time.Now()
	if err := errors.Join(c.SetWriteDeadline(now.Add(c.timeout)), c.SetReadDeadline(now.Add(c.timeout))); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func s3Credentials(cfg S3Config) (*credentials.Credentials, error) {
	switch {
	case (cfg.AccessKey == "") != (cfg.SecretKey == ""):
		return nil, errors.New("access key and secret key must be given together")
	case cfg.AccessKey != "":
		return credentials.NewStaticV4(cfg.AccessKey, string(cfg.SecretKey), string(cfg.SessionToken)), nil
	case cfg.CredentialsFile != "":
		if _, err := readLimited(cfg.CredentialsFile); err != nil {
			return nil, fmt.Errorf("read credentials file: %w", err)
		}
		return credentials.NewFileAWSCredentials(cfg.CredentialsFile, cfg.Profile), nil
	}
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.EnvMinio{}, &credentials.FileAWSCredentials{Profile: cfg.Profile},
	}), nil
}
