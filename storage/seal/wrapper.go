package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// ErrWrongKey is a sealed file or wrapped key that was made with another key.
var ErrWrongKey = errors.New("it was sealed with another key")

// A Wrapper is a key-encryption key: it wraps the keys of recordings. id is authenticated with the secret where the
// key-management service can do that; the secret's text holds it in any case.
type Wrapper interface {
	Wrap(ctx context.Context, id string, secret []byte) ([]byte, error)
	// Unwrap gives ErrWrongKey for what another key has wrapped.
	Unwrap(ctx context.Context, id string, wrapped []byte) ([]byte, error)
}

// maxWrapped bounds a wrapped key, in bytes.
const maxWrapped = 16 << 10

// localWrapper wraps with an age identity in a file.
type localWrapper struct{ identity *age.X25519Identity }

// LocalFile is a key-encryption key in a file: an age identity, made at first use, that only its owner may read. A wrapped key
// is an age file, so `age -d -i` opens it. Whoever loses the file has lost every recording.
func LocalFile(path string) (Wrapper, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeLocalFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	defer clear(text)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key-encryption key %s can be read by others; run: chmod 600 %s", path, path)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			break // age's own text may quote the secret
		}
		return &localWrapper{identity}, nil
	}
	return nil, fmt.Errorf("%s holds no age identity; restore it from your backup", path)
}

func makeLocalFile(path string) (Wrapper, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make key-encryption key: %w", err)
	}
	text := "# The key-encryption key of every recording. Back it up; give it to nobody.\n# public key: " + identity.Recipient().String() + "\n" + identity.String() + "\n"
	if err := writeFile(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("make key-encryption key: %w", err)
	}
	return LocalFile(path) // another process may have been first: what counts is what is there
}

func (l *localWrapper) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, l.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if _, err := w.Write(secret); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return out.Bytes(), ctx.Err()
}

func (l *localWrapper) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(wrapped), l.identity)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return nil, fmt.Errorf("unwrap key: %w", ErrWrongKey)
		}
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	secret, err := io.ReadAll(io.LimitReader(r, maxWrapped))
	if err != nil {
		return nil, fmt.Errorf("unwrap key: %w", err)
	}
	return secret, ctx.Err()
}

// writeFile makes a file that is whole or not there, durable, and never replaced: an existing one stays.
func writeFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the link below keeps what it names
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	} else if err != nil {
		return fs.ErrExist
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
