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
	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage/seal"
)

// Where things lie in the data directory.
const (
	secretsDir  = "secrets"
	kekFile     = "kek.age"     // the key-encryption key: an age identity
	nodeKeyFile = "node-key"    // keys sampling and pseudonyms; the same on every node that shares a policy
	tokenFile   = "api-token"   // bearer token of the API
	adminFile   = "admin-token" // that of the administrator, who alone may change the policy
	keysDir     = "keys"
	spoolDir    = "spool"
	storeDir    = "store"
	auditDir    = "audit"
	catalogFile = "catalog.sqlite"
)

// keySize is that of the keys that come from the node's, in bytes.
const keySize = 32

// storeFile says which store a data directory belongs to, so that a command that was not told of an S3 service does not look
// into an empty directory.
const storeFile = "store-id"

// parts are what every command works with.
type parts struct {
	archive      recorder.Archive
	ring         *seal.Ring     // nil: the key-encryption key is in a file
	keyPlace     *keyPlace      // nil: the keys are in the data directory
	policy       *policy.Policy // of a server only
	token        string
	adminToken   string // of a server only
	pseudonymKey []byte
	samplingKey  []byte
	factsKey     []byte
	objectorsKey []byte
}

// An access is what a command needs of the parts.
type access int

const (
	reads     access = iota // changes nothing, not even the audit log
	witnesses               // writes to the audit log
	serves                  // makes what is missing, and has a policy
)

// openParts opens store, keys, catalog and audit log.
func openParts(ctx context.Context, c Config, want access) (p *parts, err error) {
	_, statErr := os.Stat(filepath.Join(c.DataDir, auditDir))
	fresh := errors.Is(statErr, fs.ErrNotExist)
	if fresh && want != serves {
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
	node, err := secret(filepath.Join(secrets, nodeKeyFile), fresh)
	if err != nil {
		return p, err
	}
	if p.token, err = secret(filepath.Join(secrets, tokenFile), want == serves); err != nil {
		return p, err
	}
	for name, key := range map[string]*[]byte{"pseudonyms": &p.pseudonymKey, "sampling": &p.samplingKey, "facts": &p.factsKey, "objectors": &p.objectorsKey} {
		if *key, err = hkdf.Key(sha256.New, []byte(node), nil, "greffier "+name+" v1", keySize); err != nil {
			return p, fmt.Errorf("derive key of %s: %w", name, err)
		}
	}
	if want == serves {
		if p.adminToken, err = secret(filepath.Join(secrets, adminFile), true); err != nil {
			return p, err
		}
		if p.policy, err = loadPolicy(c.Policy, p.samplingKey); err != nil {
			return p, err
		}
	}
	return p, errors.Join(p.openArchive(ctx, c, want, fresh), ctx.Err())
}

func (p *parts) openArchive(ctx context.Context, c Config, want access, fresh bool) error {
	a := &p.archive
	a.PseudonymKey, a.Holder = p.pseudonymKey, recorder.NewHolder()
	a.AuditDir, a.SpoolDir = filepath.Join(c.DataDir, auditDir), filepath.Join(c.DataDir, spoolDir)
	if err := sameKeys(c, want == serves); err != nil {
		return err
	}
	if err := p.openKeys(ctx, c, want, fresh); err != nil {
		return err
	}
	if err := sameStore(c, want == serves); err != nil {
		return err
	}
	var err error
	if a.Store, err = openStore(c); err != nil {
		return err
	}
	if err := p.openEraser(c); err != nil {
		return err
	}
	if a.Catalog, err = openCatalog(ctx, c, want); err != nil {
		return err
	}
	if want == reads {
		return nil
	}
	a.Audit, err = audit.Open(a.AuditDir, audit.Options{Source: "greffier"})
	return err
}

// sameStore compares the configured store with the one that the data directory belongs to.
func sameStore(c Config, mayWrite bool) error {
	id := c.Store.Type + " " + c.Store.Dir
	if c.Store.Type == "s3" {
		id = fmt.Sprintf("s3 %s %s", c.Store.S3.Endpoint, c.Store.S3.Bucket)
	}
	path := filepath.Join(c.DataDir, storeFile)
	known, err := belongs(path, id, mayWrite)
	if err == nil && known != id {
		err = fmt.Errorf("the recordings of %s are in the store %q, and %q is configured: name the server's configuration with -c (after moving a store, delete %s)", c.DataDir, known, id, path)
	}
	return err
}

// belongs gives what a file of the data directory says that it belongs to: a store, a place of keys, a catalog. Where there is none yet it
// is what is configured, and the file says so from now on if it may be written.
func belongs(path, configured string, mayWrite bool) (known string, err error) {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && mayWrite:
		return configured, os.WriteFile(path, []byte(configured+"\n"), 0o600)
	case errors.Is(err, fs.ErrNotExist):
		return configured, nil
	case err != nil:
		return "", fmt.Errorf("read what the data directory belongs to: %w", err)
	}
	return strings.TrimRight(string(b), "\n"), nil
}

// Close closes in the reverse order: the audit log last.
func (p *parts) Close() error {
	var errs []error
	if p.keyPlace != nil {
		errs = append(errs, p.keyPlace.close())
	}
	if p.archive.Catalog != nil {
		errs = append(errs, p.archive.Catalog.Close())
	}
	if p.archive.Audit != nil {
		errs = append(errs, p.archive.Audit.Close())
	}
	return errors.Join(errs...)
}

func loadPolicy(path string, samplingKey []byte) (*policy.Policy, error) {
	o := policy.Options{SamplingKey: samplingKey, Can: policy.Anything()}
	if path == "" {
		return policy.Builtin(o)
	}
	return policy.Load(path, o)
}

// secret reads a secret file, and makes it with 256 random bits where it may.
func secret(path string, mayMake bool) (string, error) {
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
	if !mayMake {
		return "", fmt.Errorf("%s is missing: restore it from your backup", path)
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
