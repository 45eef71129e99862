package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/greffier/greffier/storage"
)

// openStore makes a client of the store; it asks it nothing.
func openStore(c Config) (storage.Store, error) {
	if c.Store.Type == "dir" {
		dir := c.Store.Dir
		if dir == "" {
			dir = filepath.Join(c.DataDir, storeDir)
		}
		return storage.NewDir(dir, storage.DirOptions{})
	}
	s := c.Store.S3
	secret, err := secretKey("store.s3.secret_key_file", s.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	return storage.NewS3(s.client(s.AccessKey, secret))
}

// openEraser makes what deletes what the store locks in GOVERNANCE mode, where the configuration has credentials for that.
func (p *parts) openEraser(c Config) error {
	if dir, ok := p.archive.Store.(*storage.Dir); ok {
		p.archive.Eraser = storage.NewDirEraser(dir)
		return nil
	}
	s := c.Store.S3
	if s.EraserAccessKey == "" {
		return nil
	}
	secret, err := secretKey("store.s3.eraser_secret_key_file", s.EraserSecretKeyFile)
	if err != nil {
		return err
	}
	eraser, err := storage.NewS3Eraser(s.client(s.EraserAccessKey, secret))
	if err != nil {
		return err
	}
	p.archive.Eraser = eraser
	return nil
}

// client is how the service is met with some credentials.
func (s S3StoreConfig) client(accessKey string, secret storage.Secret) storage.S3Config {
	return storage.S3Config{
		Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, PathStyle: s.PathStyle, CAFile: s.CAFile, Insecure: s.Insecure,
		AccessKey: accessKey, SecretKey: secret,
	}
}

// secretKey reads the file that a key of the configuration names; "" is none.
func secretKey(key, path string) (storage.Secret, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", key, err)
	}
	return storage.Secret(strings.TrimSpace(string(b))), nil
}
