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
func (c Config) kek(ctx context.Context, place *keyPlace, fresh bool) (seal.KEK, *seal.Ring, error) {
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
		opened, err := c.openRing(place, services)
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

func (c Config) openRing(place *keyPlace, services []seal.Service) (*seal.Ring, error) {
	dir := filepath.Join(c.DataDir, keysDir)
	if place == nil {
		return seal.OpenRing(dir, services...)
	}
	return seal.OpenSharedRing(place, dir, services...)
}

// openKeys opens the keys. Their first key-encryption key is made by a server only.
func (p *parts) openKeys(ctx context.Context, c Config, want access, fresh bool) (err error) {
	if p.keyPlace, err = openKeyPlace(ctx, c); err != nil {
		return err
	}
	if p.keyPlace != nil && want == serves {
		// One that is away may pass: calls are recorded, and stored when it is back.
		if err := p.keyPlace.check(ctx); err != nil && !errors.Is(err, seal.ErrUnavailable) {
			return err
		}
	}
	kek, ring, err := c.kek(ctx, p.keyPlace, fresh)
	if err != nil {
		return err
	}
	p.ring = ring
	if ring != nil && want == serves { // without a member there is nothing that a call's key could be wrapped by
		if err := ring.Begin(ctx); err != nil {
			return fmt.Errorf("the first start needs the key-encryption key: %w", err)
		}
	}
	dir := filepath.Join(c.DataDir, keysDir)
	if p.keyPlace == nil {
		p.archive.Keys, err = seal.OpenKeys(ctx, dir, kek)
	} else {
		p.archive.Keys, err = seal.OpenShared(ctx, p.keyPlace, dir, kek)
	}
	return err
}

// replayKeys destroys again what a backup of the keys brought back. It is false if that is to be tried again.
func (m *Main) replayKeys(ctx context.Context) bool {
	report, err := m.parts.archive.ReplayKeys(ctx)
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, seal.ErrUnavailable):
		m.log.Error("the place of the keys is away: destroyed keys are compared with the audit log when it is back", zap.Error(err))
		return false
	case err != nil:
		m.log.Error("destroyed keys are not compared with the audit log: run greffier audit verify", zap.Error(err))
	case report.Destroyed > 0:
		m.log.Warn("keys that had been destroyed were there again, as after a restore: they are destroyed again", zap.Int("keys", report.Destroyed))
	}
	return true
}

// keepKeys sees to the keys each minute: the ring has its secret at hand, and gets a new member each day; what is on its way between
// this machine and a shared place arrives. While either is away calls are taken; what ends waits in the spool.
func (m *Main) keepKeys(ctx context.Context, replayed bool) error {
	if m.parts.ring == nil && m.parts.keyPlace == nil {
		return nil
	}
	tick := time.NewTicker(keepKeysEach)
	defer tick.Stop()
	away := false
	for {
		err := m.tendKeys(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !away:
			m.log.Error("keys: calls are recorded, and stored when this has passed", zap.Error(err))
		case err == nil && away:
			m.log.Info("keys are back")
		}
		away = err != nil
		if !away && !replayed {
			replayed = m.replayKeys(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *Main) tendKeys(ctx context.Context) error {
	var errs []error
	if m.parts.ring != nil {
		errs = append(errs, m.parts.ring.Keep(ctx))
	}
	if m.parts.keyPlace != nil {
		errs = append(errs, m.parts.keyPlace.check(ctx), m.parts.archive.Keys.Sweep(ctx))
	}
	return errors.Join(append(errs, m.parts.archive.Keys.Check(ctx))...)
}
