package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/seal"
)

// Where things lie in the data directory.
const (
	secretsDir  = "secrets"
	kekFile     = "kek.age"   // the key-encryption key: an age identity
	nodeKeyFile = "node-key"  // keys sampling and pseudonyms; the same on every node that shares a policy
	tokenFile   = "api-token" // bearer token of the API
	keysDir     = "keys"
	spoolDir    = "spool"
	storeDir    = "store"
	auditDir    = "audit"
	catalogFile = "catalog.sqlite"
)

// parts are what every command works with.
type parts struct {
	archive      recorder.Archive
	policy       *policy.Policy
	token        string
	pseudonymKey []byte
}

// openParts opens store, keys, catalog and audit log. mayCreate makes what is missing: a server's first start; a command
// that reads would rather say that there is nothing.
func openParts(ctx context.Context, c Config, mayCreate bool) (p *parts, err error) {
	if _, err := os.Stat(filepath.Join(c.DataDir, auditDir)); errors.Is(err, fs.ErrNotExist) && !mayCreate {
		return nil, fmt.Errorf("%s holds no recordings: name the server's directory with --data-dir, or its file with --config", c.DataDir)
	}
	p = &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	secrets := filepath.Join(c.DataDir, secretsDir)
	if err := os.MkdirAll(secrets, 0o700); err != nil {
		return p, fmt.Errorf("make data directory: %w", err)
	}
	node, err := secret(filepath.Join(secrets, nodeKeyFile))
	if err != nil {
		return p, err
	}
	if p.token, err = secret(filepath.Join(secrets, tokenFile)); err != nil {
		return p, err
	}
	sampling, err := hkdf.Key(sha256.New, []byte(node), nil, "greffier sampling v1", 32)
	if err != nil {
		return p, fmt.Errorf("derive sampling key: %w", err)
	}
	if p.pseudonymKey, err = hkdf.Key(sha256.New, []byte(node), nil, "greffier pseudonyms v1", 32); err != nil {
		return p, fmt.Errorf("derive pseudonym key: %w", err)
	}
	if p.policy, err = loadPolicy(c.Policy, sampling); err != nil {
		return p, err
	}
	wrapper, err := seal.LocalFile(filepath.Join(secrets, kekFile))
	if err != nil {
		return p, err
	}
	a := &p.archive
	a.PseudonymKey = p.pseudonymKey
	a.AuditDir, a.SpoolDir = filepath.Join(c.DataDir, auditDir), filepath.Join(c.DataDir, spoolDir)
	if a.Keys, err = seal.OpenKeys(ctx, filepath.Join(c.DataDir, keysDir), wrapper); err != nil {
		return p, err
	}
	if a.Store, err = openStore(c); err != nil {
		return p, err
	}
	if a.Catalog, err = catalog.Open(filepath.Join(c.DataDir, catalogFile)); err != nil {
		return p, err
	}
	if a.Audit, err = audit.Open(a.AuditDir, audit.Options{Source: "greffier"}); err != nil {
		return p, err
	}
	return p, ctx.Err()
}

// Close closes in the reverse order: the audit log last.
func (p *parts) Close() error {
	var errs []error
	if p.archive.Catalog != nil {
		errs = append(errs, p.archive.Catalog.Close())
	}
	if p.archive.Audit != nil {
		errs = append(errs, p.archive.Audit.Close())
	}
	return errors.Join(errs...)
}

func loadPolicy(path string, samplingKey []byte) (*policy.Policy, error) {
	o := policy.Options{SamplingKey: samplingKey}
	if path == "" {
		return policy.Builtin(o)
	}
	return policy.Load(path, o)
}

func openStore(c Config) (storage.Store, error) {
	if c.Store.Type == "dir" {
		dir := c.Store.Dir
		if dir == "" {
			dir = filepath.Join(c.DataDir, storeDir)
		}
		return storage.NewDir(dir, storage.DirOptions{})
	}
	s := c.Store.S3
	secretKey := ""
	if s.SecretKeyFile != "" {
		b, err := os.ReadFile(s.SecretKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read store.s3.secret_key_file: %w", err)
		}
		secretKey = strings.TrimSpace(string(b))
	}
	return storage.NewS3(storage.S3Config{
		Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, PathStyle: s.PathStyle,
		AccessKey: s.AccessKey, SecretKey: storage.Secret(secretKey), CAFile: s.CAFile, Insecure: s.Insecure,
	})
}

// secret reads a secret file, and makes it with 256 random bits at first use.
func secret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("read secret: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("%s can be read by others; run: chmod 600 %s", path, path)
		}
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	text := hex.EncodeToString(raw)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return text, nil
}
