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
	"time"

	"filippo.io/age"
)

// A Wrapper is a key-encryption key. Its methods may be called at the same time.
type Wrapper interface {
	// Wrap encrypts a secret that belongs to id. It does not keep secret.
	Wrap(ctx context.Context, id string, secret []byte) ([]byte, error)
	// Unwrap gives the secret back. An error wraps ErrWrongKey if the key-encryption key is another than that of Wrap. A Wrapper may
	// bind the id to the secret; Keys does so in any case, inside of it.
	Unwrap(ctx context.Context, id string, wrapped []byte) ([]byte, error)
}

const (
	fileMode = 0o600
	dirMode  = 0o700

	maxLocalFileBytes = 64 << 10
	maxWrappedBytes   = 64 << 10
)

// LocalFile is a key-encryption key in a file: an age identity, as age-keygen writes it. It is made if there is none. A file that
// others than its owner may read is refused. Keep a copy of it elsewhere: without it no recording can be read again.
//
// The file may hold several identities, each on a line, to change the key: the first wraps, all unwrap.
func LocalFile(path string) (Wrapper, error) {
	w, err := readLocalFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createLocalFile(path); err == nil {
			w, err = readLocalFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key-encryption key %s: %w", path, err)
	}
	return w, nil
}

// createLocalFile makes the file whole under another name first, so that a crash does not leave a broken one. If another process is
// quicker, its key is as good.
func createLocalFile(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", time.Now().UTC().Format(time.RFC3339), identity.Recipient(), identity)
	defer clear(text)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := linkNew(path, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func readLocalFile(path string) (*localFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("its mode %04o lets others than its owner at it: run chmod 600, and consider whether someone read it", mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLocalFileBytes+1))
	defer clear(text)
	if err != nil {
		return nil, err
	}
	if len(text) > maxLocalFileBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxLocalFileBytes)
	}
	return parseLocalFile(text)
}

// parseLocalFile reads identities; its errors show none.
func parseLocalFile(text []byte) (*localFile, error) {
	w := new(localFile)
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not an identity (AGE-SECRET-KEY-1...): restore the file, or make one with age-keygen", i+1)
		}
		w.identities = append(w.identities, identity)
	}
	if len(w.identities) == 0 {
		return nil, errors.New("it holds no identity (AGE-SECRET-KEY-1...): restore the file, or remove it if nothing was recorded with it")
	}
	return w, nil
}

type localFile struct {
	identities []age.Identity // X25519, at least one
}

func (w *localFile) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var wrapped bytes.Buffer
	sealed, err := age.Encrypt(&wrapped, w.identities[0].(*age.X25519Identity).Recipient())
	if err == nil {
		_, err = sealed.Write(secret)
	}
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return wrapped.Bytes(), nil
}

func (w *localFile) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(bytes.NewReader(wrapped), w.identities...)
	var secret []byte
	if err == nil {
		secret, err = io.ReadAll(io.LimitReader(plain, maxWrappedBytes))
	}
	if err != nil {
		clear(secret)
		return nil, fmt.Errorf("unwrap key: %w", openError(err))
	}
	return secret, nil
}

func (w localFile) String() string {
	return fmt.Sprintf("seal.LocalFile(%d identities, redacted)", len(w.identities))
}
func (w localFile) GoString() string             { return w.String() }
func (w localFile) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, w.String()) }
func (w localFile) MarshalJSON() ([]byte, error) { return []byte(`"` + w.String() + `"`), nil }
