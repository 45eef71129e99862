package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/greffier/greffier/storage"
)

// openStore opens the store, and the eraser where there is one.
func (p *parts) openStore(c Config) error {
	if c.Store.Type == "dir" {
		path := c.Store.Dir
		if path == "" {
			path = filepath.Join(c.DataDir, storeDir)
		}
		dir, err := storage.NewDir(path, storage.DirOptions{})
		if err != nil {
			return err
		}
		p.archive.Store, p.archive.Eraser = dir, storage.NewDirEraser(dir)
		return nil
	}
	s := c.Store.S3
	cfg := storage.S3Config{Endpoint: s.Endpoint, Region: s.Region, Bucket: s.Bucket, PathStyle: s.PathStyle, CAFile: s.CAFile, Insecure: s.Insecure}
	secret, err := secretKey("store.s3.secret_key_file", s.SecretKeyFile)
	if err != nil {
		return err
	}
	writer := cfg
	writer.AccessKey, writer.SecretKey = s.AccessKey, secret
	if p.archive.Store, err = storage.NewS3(writer); err != nil {
		return err
	}
	if s.EraserAccessKey == "" {
		return nil
	}
	if secret, err = secretKey("store.s3.eraser_secret_key_file", s.EraserSecretKeyFile); err != nil {
		return err
	}
	cfg.AccessKey, cfg.SecretKey = s.EraserAccessKey, secret
	eraser, err := storage.NewS3Eraser(cfg)
	if err != nil {
		return err
	}
	p.archive.Eraser = eraser
	return nil
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
