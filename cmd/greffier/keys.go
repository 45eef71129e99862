package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/storage/seal"
)

const (
	// kekInFile is keys.kek when no service keeps the key-encryption key.
	kekInFile = "file"
	// keepKeysEach is how often the server sees to it that it can unwrap.
	keepKeysEach = time.Minute
)

// service opens a key-encryption key that a service keeps.
func (k KeysConfig) service(ctx context.Context, url string) (seal.Service, error) {
	return seal.OpenService(ctx, url, seal.ServiceOptions{TokenFile: k.TokenFile, CAFile: k.CAFile})
}

// kek opens what wraps keys, and what did before. The ring is nil when no service is configured.
func (c Config) kek(ctx context.Context, fresh bool) (seal.KEK, *seal.Ring, error) {
	file := filepath.Join(c.DataDir, secretsDir, kekFile)
	_, statErr := os.Stat(file)
	missing := errors.Is(statErr, fs.ErrNotExist)
	urls := c.Keys.Former
	if c.Keys.KEK != kekInFile {
		urls = append([]string{c.Keys.KEK}, urls...)
	}
	var all seal.Several
	var ring *seal.Ring
	if len(urls) > 0 {
		services := make([]seal.Service, len(urls))
		for i, u := range urls {
			s, err := c.Keys.service(ctx, u)
			if err != nil {
				return nil, nil, fmt.Errorf("keys: %w", err)
			}
			services[i] = s
		}
		opened, err := seal.OpenRing(filepath.Join(c.DataDir, keysDir), services...)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, opened)
		if c.Keys.KEK != kekInFile {
			ring = opened
		}
	}
	switch {
	case ring != nil && missing:
		return all, ring, nil
	case missing && !fresh && len(c.Keys.Former) == 0:
		return nil, nil, fmt.Errorf("%s is missing: restore it from your backup; without it no recording can be opened", file)
	}
	local, err := seal.LocalFile(file)
	if err != nil {
		return nil, nil, err
	}
	if ring == nil {
		return append(seal.Several{local}, all...), nil, nil
	}
	return append(all, local), ring, nil
}

// openKeys opens the keys. Their first key-encryption key is made by a server only.
func (p *parts) openKeys(ctx context.Context, c Config, want access, fresh bool) error {
	kek, ring, err := c.kek(ctx, fresh)
	if err != nil {
		return err
	}
	p.ring = ring
	if ring != nil && want == serves { // without a member there is nothing that a call's key could be wrapped by
		if err := ring.Begin(ctx); err != nil {
			return fmt.Errorf("the first start needs the key-encryption key: %w", err)
		}
	}
	p.archive.Keys, err = seal.OpenKeys(ctx, filepath.Join(c.DataDir, keysDir), kek)
	return err
}

// replayKeys destroys again what a backup of the keys brought back.
func (m *Main) replayKeys(ctx context.Context) {
	report, err := m.parts.archive.ReplayKeys(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		m.log.Error("destroyed keys are not compared with the audit log: run greffier audit verify", zap.Error(err))
	case report.Destroyed > 0:
		m.log.Warn("keys that had been destroyed were there again, as after a restore: they are destroyed again", zap.Int("keys", report.Destroyed))
	}
}

// keepKeys has the ring's secret at hand, and gives it a new member each day. While the service is away calls are taken; what ends
// waits in the spool if the secret is not in memory yet.
func (m *Main) keepKeys(ctx context.Context) error {
	if m.parts.ring == nil {
		return nil
	}
	tick := time.NewTicker(keepKeysEach)
	defer tick.Stop()
	away := false
	for {
		err := errors.Join(m.parts.ring.Keep(ctx), m.parts.archive.Keys.Check(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			m.log.Error("key-encryption key: calls are recorded, and stored when it is back", zap.Error(err))
		case err == nil && away:
			m.log.Info("key-encryption key is back")
		}
		away = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
