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
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
)

const maxLocalFileBytes = 64 << 10

// errNoKEK is a store of key-encryption keys that is empty.
var errNoKEK = errors.New("there is no key-encryption key yet: start the server once while it can be made")

// A Local is a key-encryption key in a file of age identities, as age-keygen -pq writes it. The first identity wraps, all unwrap. A file
// that has changed is read again.
type Local struct {
	path string

	mu         sync.Mutex
	read       fs.FileInfo // of the file when it was read
	identities []identity  // at least one
}

// LocalFile opens a key-encryption key in a file, and makes it if there is none. A file that others than its owner may read is refused.
// Keep a copy of it elsewhere: without it no recording can be read again.
func LocalFile(path string) (*Local, error) {
	l := &Local{path: path}
	_, err := l.current()
	if errors.Is(err, fs.ErrNotExist) {
		if err = createLocalFile(path); err == nil {
			_, err = l.current()
		}
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// createLocalFile makes the file whole under another name first, so that a crash does not leave a broken one. If another process is
// quicker, its key is as good.
func createLocalFile(path string) error {
	made, err := newIdentity()
	if err != nil {
		return err
	}
	text := localText(made, time.Now())
	defer clear(text)
	if err := makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := linkNew(path, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// localText is an identity as the age-keygen command writes it.
func localText(i identity, now time.Time) []byte {
	return fmt.Appendf(nil, "# created: %s\n# public key: %s\n%s\n", now.UTC().Format(time.RFC3339), recipientOf(i), i)
}

// current gives the file's identities, and reads the file if it has changed.
func (l *Local) current() ([]identity, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info, err := os.Stat(l.path)
	if err == nil && l.read != nil && os.SameFile(info, l.read) && info.ModTime().Equal(l.read.ModTime()) && info.Size() == l.read.Size() {
		return l.identities, nil
	}
	identities, info, text, err := readLocalFile(l.path)
	clear(text)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key %s: %w", l.path, err)
	}
	l.identities, l.read = identities, info
	return identities, nil
}

// readLocalFile reads the file. The caller clears the text.
func readLocalFile(path string) (identities []identity, info fs.FileInfo, text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, nil, errors.New("it is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, nil, nil, fmt.Errorf("its mode %04o lets others than its owner at it: run chmod 600, and consider whether someone read it", mode)
	}
	if text, err = io.ReadAll(io.LimitReader(f, maxLocalFileBytes+1)); err != nil {
		return nil, nil, text, err
	}
	if len(text) > maxLocalFileBytes {
		return nil, nil, text, fmt.Errorf("it has more than %d bytes", maxLocalFileBytes)
	}
	identities, err = parseLocalFile(text)
	return identities, info, text, err
}

// parseLocalFile reads identities; its errors show none.
func parseLocalFile(text []byte) (identities []identity, err error) {
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		parsed, err := parseIdentity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is not an identity (AGE-SECRET-KEY-...): restore the file, or make one with age-keygen -pq", i+1)
		}
		identities = append(identities, parsed)
	}
	if len(identities) == 0 {
		return nil, errors.New("it holds no identity (AGE-SECRET-KEY-...): restore the file, or remove it if nothing was recorded with it")
	}
	return identities, nil
}

// Wrap implements Wrapper.
func (l *Local) Wrap(ctx context.Context, _ string, secret []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	identities, err := l.current()
	if err != nil {
		return nil, err
	}
	return wrapTo(recipientOf(identities[0]), secret)
}

// Unwrap implements Wrapper.
func (l *Local) Unwrap(ctx context.Context, _ string, wrapped []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	identities, err := l.current()
	if err != nil {
		return nil, err
	}
	all := make([]age.Identity, len(identities))
	for i, each := range identities {
		all[i] = each
	}
	return unwrapWith(wrapped, all...)
}

// IDs implements KEK.
func (l *Local) IDs(context.Context) ([]string, error) {
	identities, err := l.current()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(identities))
	for i, each := range identities {
		ids[i] = kekID(recipientOf(each))
	}
	return ids, nil
}

// Renew implements KEK: a new identity before the others.
func (l *Local) Renew(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	made, err := newIdentity()
	if err != nil {
		return "", err
	}
	_, _, text, err := readLocalFile(l.path)
	defer clear(text)
	if err != nil {
		return "", fmt.Errorf("key-encryption key %s: %w", l.path, err)
	}
	both := append(localText(made, time.Now()), text...)
	defer clear(both)
	if len(both) > maxLocalFileBytes {
		return "", fmt.Errorf("key-encryption key %s: there is no room for another identity: retire the old ones first", l.path)
	}
	if err := replace(l.path, both); err != nil {
		return "", fmt.Errorf("write key-encryption key %s: %w", l.path, err)
	}
	return kekID(recipientOf(made)), nil
}

// Retire implements KEK. A file of which nothing would be left is erased.
func (l *Local) Retire(_ context.Context, ids []string) error {
	_, _, text, err := readLocalFile(l.path)
	defer clear(text)
	if err != nil {
		return fmt.Errorf("key-encryption key %s: %w", l.path, err)
	}
	kept, dropped, err := withoutIdentities(text, ids)
	defer clear(kept)
	switch {
	case err != nil:
		return err
	case dropped == 0:
		return nil
	case len(kept) == 0:
		err = erase(l.path)
	default:
		err = replace(l.path, kept)
	}
	if err != nil {
		return fmt.Errorf("write key-encryption key %s: %w", l.path, err)
	}
	return nil
}

// withoutIdentities leaves identities out of a file, with the comments above each. What is kept is empty when no identity is.
func withoutIdentities(text []byte, ids []string) (kept []byte, dropped int, err error) {
	var left, comments []byte
	first := "" // dropped although it wraps
	for line := range bytes.Lines(text) {
		parsed, err := parseIdentity(strings.TrimSpace(string(line)))
		if err != nil { // a comment: the file has been read before
			comments = append(comments, line...)
			continue
		}
		if id := kekID(recipientOf(parsed)); slices.Contains(ids, id) {
			if dropped++; len(left) == 0 && first == "" {
				first = id
			}
		} else {
			left = append(append(left, comments...), line...)
		}
		clear(comments)
		comments = comments[:0]
	}
	if first != "" && len(left) > 0 {
		clear(left)
		return nil, 0, fmt.Errorf("retire key-encryption key %s: it is the one that wraps", first)
	}
	return left, dropped, nil
}

// What follows keeps the secret out of every way to print a Local.

func (*Local) String() string               { return "seal.Local(redacted)" }
func (*Local) GoString() string             { return "seal.Local(redacted)" }
func (*Local) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, "seal.Local(redacted)") }
func (*Local) MarshalJSON() ([]byte, error) { return []byte(`"seal.Local(redacted)"`), nil }
