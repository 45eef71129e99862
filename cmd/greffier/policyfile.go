package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/greffier/greffier/api"
	"github.com/greffier/greffier/policy"
)

// A policyFile lets the API show the policy in force, and put another into its file.
type policyFile struct {
	path  string // "": none is configured
	lists *lists

	writing sync.Mutex
}

// Current gives the policy in force. Its text is that of the file, as long as that has not changed since.
func (f *policyFile) Current(context.Context) (api.PolicyInForce, error) {
	now := f.lists.policy.Load()
	p := now.policy
	current := api.PolicyInForce{Digest: p.Digest(), LoadedAt: now.since.UTC(), Editable: f.path != "", Classes: p.Classes(), Rules: p.Rules()}
	if f.path == "" {
		return current, nil
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return current, fmt.Errorf("read policy: %w", err)
	}
	sum := sha256.Sum256(text)
	if digest := hex.EncodeToString(sum[:]); digest == current.Digest {
		current.Text = string(text)
	} else {
		current.Proposed = digest
	}
	return current, nil
}

// Replace puts a policy into the file, whole or not at all, once it has been loaded as the server loads it, and has the server take it up.
func (f *policyFile) Replace(ctx context.Context, text []byte, _ string) error {
	if f.path == "" {
		return api.Conflict("the server has no policy file")
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	path, err := filepath.EvalSymlinks(f.path) // the link stays one
	if err != nil {
		return fmt.Errorf("replace policy: %w", err)
	}
	before, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("replace policy: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".policy-*.new")
	if err != nil {
		return fmt.Errorf("replace policy: %w", err)
	}
	defer os.Remove(temp.Name()) // not there any more when all went well
	_, err = temp.Write(text)
	if err := errors.Join(err, temp.Chmod(before.Mode().Perm()), temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("replace policy: %w", err)
	}
	if _, err := loadPolicy(temp.Name(), make([]byte, policy.MinSamplingKey)); err != nil { // which key it is does not matter for loading
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("replace policy: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	f.lists.Reload(ctx)
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
